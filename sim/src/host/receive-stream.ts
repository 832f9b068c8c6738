/**
 * The receiving half of a simulated TCP connection: shows arriving bytes to the handler and moves payload
 * into pieces by reference. Views that a handler keeps beyond its call turn to noise, so that a bug which
 * would corrupt data on a real Host shows in simulation too.
 */
import type { PieceBuffer, TcpHandler } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { Slice } from './chunk.ts';
import { type Extent, RealExtent } from './extent.ts';
import { SimPiece } from './piece.ts';

/** What a handler leaves is kept up to this many bytes. */
const MAX_LEFTOVER_BYTES = 2 * 2 ** 20;
/** Plain bytes are shown in views of about this size. */
const VIEW_BYTES = 256 * 1024;
const POISON = 0xdb;

/** Lent to one handler call at a time; calls never nest. */
let scratch = new Uint8Array(2 * VIEW_BYTES);
/** Views of its beginning by their length: most messages are short, and a view costs more than its bytes. */
let shortViews: Uint8Array[] = [];
const SHORT_VIEW_BYTES = 256;

interface AskedPayload {
  leftBytes: number;
  readonly target: SimPiece | undefined;
  at: number;
}

/** Says whether the handler may be called on; asked between calls. */
export interface Gate {
  readonly isOpen: boolean;
}

export class ReceiveStream {
  /** What has arrived and was not consumed, from byte `#headByte` of slice `#head` on. */
  #inbox: Slice[] | undefined;
  #head = 0;
  #headByte = 0;
  #waitingBytes = 0;
  /** Bytes at the front that were shown and left. */
  #shownBytes = 0;
  /** They are to be shown once more, with nothing new. */
  #isShowingAgain = false;
  #consumedBytes = 0;
  #asked: AskedPayload | undefined;
  #isInHandler = false;

  /** Bytes that the process was given so far: what a paused one leaves waiting fills the window. */
  get deliveredBytes(): number {
    return this.#consumedBytes + this.#shownBytes;
  }

  /** Whether nothing is left to be shown: what was shown and not consumed is old news. */
  get isShown(): boolean {
    return this.#waitingBytes === this.#shownBytes && !this.#isShowingAgain;
  }

  /** Makes what was left over news again, for a handler that was not to be asked before. */
  showAgain(): void {
    // From inside the handler's own call it is about what that will leave.
    this.#isShowingAgain = this.#isInHandler || this.#shownBytes > 0;
  }

  /** Takes ownership of the array. */
  push(slices: Slice[], lengthBytes: number): void {
    this.#waitingBytes += lengthBytes;
    if (this.#inbox === undefined) this.#inbox = slices;
    else for (const slice of slices) this.#inbox.push(slice);
  }

  drop(): void {
    this.#inbox = undefined;
    this.#waitingBytes = 0;
    this.#shownBytes = 0;
    this.#isShowingAgain = false;
    this.#asked = undefined;
  }

  /** See TcpConnection.receivePayload. */
  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    if (!this.#isInHandler || this.#asked !== undefined)
      throw new Error('receivePayload is called from inside onBytes only, and once');
    if (target !== undefined && !(target instanceof SimPiece))
      throw new TypeError('the piece belongs to another Host');
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`no payload has ${length} bytes`);
    if (target !== undefined && !(targetOffset >= 0 && targetOffset + length <= target.length))
      throw new RangeError(`${length} bytes at ${targetOffset} do not fit a piece of ${target.length}`);
    this.#asked = { leftBytes: length, target, at: targetOffset };
  }

  /** Gives the handler all it takes. Throws what the handler throws, and too-large if it leaves too much. */
  deliver(handler: TcpHandler, gate: Gate): void {
    while (gate.isOpen) {
      if (this.#asked !== undefined) {
        this.#takePayload(this.#asked);
        if (this.#asked.leftBytes > 0) return;
        this.#asked = undefined;
        handler.onPayload?.();
      } else if (!this.isShown) {
        this.#show(handler);
      } else {
        return;
      }
    }
  }

  #show(handler: TcpHandler): void {
    const length = this.#gather();
    this.#isShowingAgain = false;
    const view = viewOf(length);
    this.#isInHandler = true;
    let consumed: number;
    try {
      consumed = handler.onBytes(view);
    } finally {
      this.#isInHandler = false;
    }
    if (!(Number.isInteger(consumed) && consumed >= 0 && consumed <= length))
      throw new RangeError(`onBytes returned ${consumed} for a view of ${length} bytes`);
    poison(view);
    // Closed from within the call: nothing is kept.
    if (this.#inbox === undefined) return;
    this.#consume(consumed);
    // After a request for payload the rest is not old news: it was not looked at.
    this.#shownBytes = this.#asked === undefined ? length - consumed : 0;
    this.#isShowingAgain &&= this.#shownBytes > 0;
    if (this.#shownBytes > MAX_LEFTOVER_BYTES)
      throw new HostError(
        'too-large',
        `The peer sent over ${MAX_LEFTOVER_BYTES} bytes that no message ended in.`,
      );
  }

  /** Copies leftovers and the next slices into scratch: plain ones together, payload alone. */
  #gather(): number {
    const inbox = this.#inbox!;
    let length = 0;
    let from = this.#headByte;
    let hasNews = false;
    for (let i = this.#head; i < inbox.length; i++) {
      const slice = inbox[i]!;
      const isNews = length >= this.#shownBytes;
      if (isNews && this.#isShowingAgain) break;
      const isPayload = !(slice instanceof Uint8Array);
      const end = length + slice.length - from;
      if (isNews && hasNews && (isPayload || end > VIEW_BYTES)) break;
      if (end > scratch.length) growScratch(end);
      const bytes = isPayload ? slice.bytes() : slice;
      if (bytes.length <= 32) for (let at = from; at < bytes.length; at++) scratch[length++] = bytes[at]!;
      else scratch.set(from === 0 ? bytes : bytes.subarray(from), length);
      length = end;
      from = 0;
      hasNews ||= isNews;
      if (isNews && isPayload) break;
    }
    return length;
  }

  #takePayload(asked: AskedPayload): void {
    while (asked.leftBytes > 0 && this.#waitingBytes > 0) {
      const slice = this.#inbox![this.#head]!;
      const end = Math.min(slice.length, this.#headByte + asked.leftBytes);
      const taken = end - this.#headByte;
      asked.target?.put(asked.at, extentOf(slice, this.#headByte, end));
      asked.at += taken;
      asked.leftBytes -= taken;
      this.#consume(taken);
    }
  }

  #consume(bytes: number): void {
    this.#consumedBytes += bytes;
    this.#waitingBytes -= bytes;
    const inbox = this.#inbox!;
    let left = bytes + this.#headByte;
    while (this.#head < inbox.length && left >= inbox[this.#head]!.length)
      left -= inbox[this.#head++]!.length;
    this.#headByte = left;
    if (this.#head === inbox.length) {
      this.#inbox = undefined;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 > inbox.length) {
      inbox.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

/** Bytes that were sent as plain ones may be payload to the receiver. */
function extentOf(slice: Slice, from: number, to: number): Extent {
  return slice instanceof Uint8Array ? RealExtent.of(slice.subarray(from, to)) : slice.sub(from, to);
}

function viewOf(length: number): Uint8Array {
  if (length >= SHORT_VIEW_BYTES) return scratch.subarray(0, length);
  shortViews[length] ??= scratch.subarray(0, length);
  return shortViews[length];
}

function poison(view: Uint8Array): void {
  if (view.length > 32) view.fill(POISON);
  else for (let i = 0; i < view.length; i++) view[i] = POISON;
}

function growScratch(length: number): void {
  const grown = new Uint8Array(length * 2);
  grown.set(scratch);
  scratch = grown;
  shortViews = [];
}
