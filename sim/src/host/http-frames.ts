/**
 * How simulated HTTP messages travel over a simulated connection: a head, body parts, an end. Not the
 * syntax of HTTP, which is the real Host's business, but its course: what is sent when, and who waits.
 */

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly headers: readonly (readonly [string, string])[];
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
}

export type Frame<Head> =
  | { readonly kind: 'head'; readonly head: Head }
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' };

const HEAD = 1;
const BODY = 2;
const END = 3;
const PREFIX_BYTES = 5;
const MAX_BODY_FRAME_BYTES = 64 * 1024;
/** Both ends are the simulator's own, so a frame beyond this is not HTTP but another protocol's bytes. */
const MAX_FRAME_BYTES = 2 ** 20;

export function encodeHead(head: RequestHead | ResponseHead): Uint8Array {
  return encode(HEAD, new TextEncoder().encode(JSON.stringify(head)));
}

export function* encodeBody(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MAX_BODY_FRAME_BYTES)
    yield encode(BODY, bytes.subarray(at, at + MAX_BODY_FRAME_BYTES));
}

export function encodeEnd(): Uint8Array {
  return encode(END, new Uint8Array(0));
}

/** Reads whole frames off the front of a borrowed view and gives the number of bytes they took. */
export function readFrames<Head>(view: Uint8Array, onFrame: (frame: Frame<Head>) => void): number {
  const data = new DataView(view.buffer, view.byteOffset, view.length);
  let at = 0;
  while (view.length - at >= PREFIX_BYTES) {
    const length = data.getUint32(at + 1);
    if (length > MAX_FRAME_BYTES) throw new RangeError('not a simulated HTTP message');
    if (view.length - at - PREFIX_BYTES < length) break;
    const bytes = view.slice(at + PREFIX_BYTES, at + PREFIX_BYTES + length);
    onFrame(frameOf<Head>(view[at]!, bytes));
    at += PREFIX_BYTES + length;
  }
  return at;
}

function frameOf<Head>(kind: number, bytes: Uint8Array): Frame<Head> {
  if (kind === HEAD) return { kind: 'head', head: JSON.parse(new TextDecoder().decode(bytes)) as Head };
  if (kind === BODY) return { kind: 'body', bytes };
  if (kind === END) return { kind: 'end' };
  throw new RangeError('not a simulated HTTP message');
}

function encode(kind: number, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PREFIX_BYTES + bytes.length);
  frame[0] = kind;
  new DataView(frame.buffer).setUint32(1, bytes.length);
  frame.set(bytes, PREFIX_BYTES);
  return frame;
}
