/**
 * The peer wire protocol, bytes to values and back: BEP 3 with the fast extension (BEP 6) and the
 * envelope of the extension protocol (BEP 10).
 *
 * Decoding is incremental over a borrowed view and stateless: `decodeMessage` either needs more bytes,
 * or yields one message and how many bytes it took, or throws a WireError after which the connection must
 * be closed. A message's length is judged from its first five bytes, before any of its body is awaited.
 * Payload is never part of a message: `piece` is a 13-byte header, and whoever reads it directs the bytes
 * that follow. An unknown message is likewise only its header; its body is to be skipped.
 */

export type WireErrorCode = 'bad-handshake' | 'bad-length' | 'too-long' | 'bad-field';

/** The remote broke the protocol. `message` says how; the connection cannot go on. */
export class WireError extends Error {
  readonly code: WireErrorCode;
  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.name = 'WireError';
    this.code = code;
  }
}

// ---------------------------------------------------------------- handshake

export const HANDSHAKE_LENGTH = 68;
const PROTOCOL = new TextEncoder().encode('\x13BitTorrent protocol');

export interface Handshake {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly supports: HandshakeFlags;
}

/** The reserved bits that are in use: BEP 10, BEP 6, BEP 5. */
export interface HandshakeFlags {
  readonly extensions: boolean;
  readonly fast: boolean;
  readonly dht: boolean;
}

export function encodeHandshake(handshake: Handshake): Uint8Array {
  const bytes = new Uint8Array(HANDSHAKE_LENGTH);
  bytes.set(PROTOCOL, 0);
  if (handshake.supports.extensions) bytes[25] = 0x10;
  if (handshake.supports.fast) bytes[27]! |= 0x04;
  if (handshake.supports.dht) bytes[27]! |= 0x01;
  bytes.set(handshake.infoHash, 28);
  bytes.set(handshake.peerId, 48);
  return bytes;
}

/**
 * Reads a handshake from the start of `view`. Undefined while bytes are missing; garbage is refused at its
 * first wrong byte. The result is a copy.
 */
export function decodeHandshake(view: Uint8Array): Handshake | undefined {
  const known = Math.min(view.length, PROTOCOL.length);
  for (let i = 0; i < known; i++) {
    if (view[i] !== PROTOCOL[i]) {
      throw new WireError(
        'bad-handshake',
        'The peer does not speak the BitTorrent protocol, or only encrypted.',
      );
    }
  }
  if (view.length < HANDSHAKE_LENGTH) return undefined;
  return {
    infoHash: view.slice(28, 48),
    peerId: view.slice(48, 68),
    supports: {
      extensions: (view[25]! & 0x10) !== 0,
      fast: (view[27]! & 0x04) !== 0,
      dht: (view[27]! & 0x01) !== 0,
    },
  };
}

// ---------------------------------------------------------------- messages

/** A run of bytes inside one piece. */
export interface Block {
  readonly index: number;
  readonly begin: number;
  readonly length: number;
}

export type PeerMessage =
  | {
      readonly type:
        | 'keep-alive'
        | 'choke'
        | 'unchoke'
        | 'interested'
        | 'not-interested'
        | 'have-all'
        | 'have-none';
    }
  | { readonly type: 'have' | 'suggest' | 'allowed-fast'; readonly index: number }
  /** `bits` is a view into the input. */
  | { readonly type: 'bitfield'; readonly bits: Uint8Array }
  | ({ readonly type: 'request' | 'cancel' | 'reject' } & Block)
  /** `length` bytes of payload follow and were not consumed. */
  | ({ readonly type: 'piece' } & Block)
  | { readonly type: 'port'; readonly port: number }
  /** `id` 0 is the extension handshake; `payload` is a view into the input. */
  | { readonly type: 'extended'; readonly id: number; readonly payload: Uint8Array }
  /** `length` bytes of body follow and were not consumed; skip them. */
  | { readonly type: 'unknown'; readonly id: number; readonly length: number };

export interface WireLimits {
  /** Of a bitfield's bits; exact sizes are the receiver's to check, who may not know them yet. */
  readonly maxBitfieldBytes: number;
  readonly maxExtendedBytes: number;
  readonly maxBlockBytes: number;
  readonly maxUnknownBytes: number;
}

/** Together they stay below what a Host buffers of one connection (2 MiB). */
export const DEFAULT_WIRE_LIMITS: WireLimits = {
  maxBitfieldBytes: 1 << 20,
  maxExtendedBytes: 1 << 18,
  maxBlockBytes: 1 << 17,
  maxUnknownBytes: 1 << 20,
};

const CHOKE = 0;
const HAVE = 4;
const BITFIELD = 5;
const REQUEST = 6;
const PIECE = 7;
const CANCEL = 8;
const PORT = 9;
const SUGGEST = 13;
const HAVE_ALL = 14;
const HAVE_NONE = 15;
const REJECT = 16;
const ALLOWED_FAST = 17;
const EXTENDED = 20;

const BARE_TYPES = ['choke', 'unchoke', 'interested', 'not-interested'] as const;
const BARE_IDS = new Map<string, number>([
  ...BARE_TYPES.map((type, id) => [type, id] as const),
  ['have-all', HAVE_ALL],
  ['have-none', HAVE_NONE],
]);
/** Length of the body after the id, of every message whose length is fixed; -1 where it varies. */
const FIXED_BODY = new Int8Array(256).fill(-1);
for (const id of [CHOKE, 1, 2, 3, HAVE_ALL, HAVE_NONE]) FIXED_BODY[id] = 0;
for (const id of [HAVE, SUGGEST, ALLOWED_FAST]) FIXED_BODY[id] = 4;
for (const id of [REQUEST, CANCEL, REJECT]) FIXED_BODY[id] = 12;
FIXED_BODY[PORT] = 2;

const KEEP_ALIVE: PeerMessage = { type: 'keep-alive' };
const BARE: readonly PeerMessage[] = BARE_TYPES.map((type) => ({ type }));
const ALL: PeerMessage = { type: 'have-all' };
const NONE: PeerMessage = { type: 'have-none' };

/** A decoder's place in a view; reused from message to message so that none is allocated on the way. */
export interface WireCursor {
  /** Where the next message begins; `decodeMessage` moves it past what it consumed. */
  offset: number;
}

/**
 * Reads the message at `cursor.offset` and moves the cursor past it (past the header only, for `piece` and
 * `unknown`). Undefined while bytes are missing, the cursor untouched. Throws WireError.
 */
export function decodeMessage(
  view: Uint8Array,
  cursor: WireCursor,
  limits: WireLimits = DEFAULT_WIRE_LIMITS,
): PeerMessage | undefined {
  const at = cursor.offset;
  if (view.length - at < 4) return undefined;
  const length = readUint32(view, at);
  if (length === 0) {
    cursor.offset = at + 4;
    return KEEP_ALIVE;
  }
  if (view.length - at < 5) return undefined;
  const id = view[at + 4]!;
  const bodyLength = length - 1;
  checkLength(id, bodyLength, limits);

  const body = at + 5;
  if (id === PIECE) {
    if (view.length - body < 8) return undefined;
    cursor.offset = body + 8;
    return {
      type: 'piece',
      index: readUint32(view, body),
      begin: readUint32(view, body + 4),
      length: bodyLength - 8,
    };
  }
  if (FIXED_BODY[id] === -1 && id !== BITFIELD && id !== EXTENDED) {
    cursor.offset = body;
    return { type: 'unknown', id, length: bodyLength };
  }
  if (view.length - body < bodyLength) return undefined;
  cursor.offset = body + bodyLength;
  switch (id) {
    case HAVE:
      return { type: 'have', index: readUint32(view, body) };
    case BITFIELD:
      return { type: 'bitfield', bits: view.subarray(body, body + bodyLength) };
    case REQUEST:
    case CANCEL:
    case REJECT:
      return {
        type: id === REQUEST ? 'request' : id === CANCEL ? 'cancel' : 'reject',
        index: readUint32(view, body),
        begin: readUint32(view, body + 4),
        length: readUint32(view, body + 8),
      };
    case PORT:
      return { type: 'port', port: (view[body]! << 8) | view[body + 1]! };
    case SUGGEST:
      return { type: 'suggest', index: readUint32(view, body) };
    case ALLOWED_FAST:
      return { type: 'allowed-fast', index: readUint32(view, body) };
    case HAVE_ALL:
      return ALL;
    case HAVE_NONE:
      return NONE;
    case EXTENDED:
      return { type: 'extended', id: view[body]!, payload: view.subarray(body + 1, body + bodyLength) };
    default:
      return BARE[id];
  }
}

function checkLength(id: number, bodyLength: number, limits: WireLimits): void {
  const fixed = FIXED_BODY[id]!;
  if (fixed >= 0) {
    if (bodyLength !== fixed) {
      throw new WireError(
        'bad-length',
        `Message ${id} must have ${fixed} bytes, the peer announced ${bodyLength}.`,
      );
    }
    return;
  }
  const most = mostBodyBytes(id, limits);
  if (bodyLength < leastBodyBytes(id))
    throw new WireError('bad-length', `Message ${id} is too short: ${bodyLength} bytes.`);
  if (bodyLength > most) {
    throw new WireError(
      'too-long',
      `Message ${id} announces ${bodyLength} bytes; at most ${most} are accepted.`,
    );
  }
}

function leastBodyBytes(id: number): number {
  if (id === PIECE) return 9;
  return id === BITFIELD || id === EXTENDED ? 1 : 0;
}

function mostBodyBytes(id: number, limits: WireLimits): number {
  if (id === PIECE) return limits.maxBlockBytes + 8;
  if (id === BITFIELD) return limits.maxBitfieldBytes;
  return id === EXTENDED ? limits.maxExtendedBytes : limits.maxUnknownBytes;
}

// ---------------------------------------------------------------- encoding

/** Any message but those with a payload of their own: for `piece` see `encodePieceHeader`. */
export type OutgoingMessage = Exclude<PeerMessage, { type: 'piece' | 'unknown' }>;

export function encodeMessage(message: OutgoingMessage): Uint8Array {
  switch (message.type) {
    case 'keep-alive':
      return new Uint8Array(4);
    case 'have':
      return withIndex(HAVE, message.index);
    case 'suggest':
      return withIndex(SUGGEST, message.index);
    case 'allowed-fast':
      return withIndex(ALLOWED_FAST, message.index);
    case 'bitfield':
      return withBody(BITFIELD, message.bits);
    case 'request':
      return encodeBlocks('request', [message]);
    case 'cancel':
      return encodeBlocks('cancel', [message]);
    case 'reject':
      return encodeBlocks('reject', [message]);
    case 'port':
      return withBody(PORT, Uint8Array.of(message.port >>> 8, message.port & 0xff));
    case 'extended': {
      const body = new Uint8Array(1 + message.payload.length);
      body[0] = message.id;
      body.set(message.payload, 1);
      return withBody(EXTENDED, body);
    }
    default:
      return withBody(BARE_IDS.get(message.type)!, EMPTY);
  }
}

/** Many requests, cancels or rejects as one run of bytes, so that a batch is one send. */
export function encodeBlocks(type: 'request' | 'cancel' | 'reject', blocks: readonly Block[]): Uint8Array {
  const id = type === 'request' ? REQUEST : type === 'cancel' ? CANCEL : REJECT;
  const bytes = new Uint8Array(blocks.length * 17);
  let at = 0;
  for (const block of blocks) {
    bytes[at + 3] = 13;
    bytes[at + 4] = id;
    writeUint32(bytes, at + 5, block.index);
    writeUint32(bytes, at + 9, block.begin);
    writeUint32(bytes, at + 13, block.length);
    at += 17;
  }
  return bytes;
}

/** Many `have` messages as one run of bytes: of `indices` from place `from` on. */
export function encodeHaves(indices: readonly number[], from = 0): Uint8Array {
  const bytes = new Uint8Array((indices.length - from) * 9);
  for (let at = 0, i = from; i < indices.length; i++, at += 9) {
    bytes[at + 3] = 5;
    bytes[at + 4] = HAVE;
    writeUint32(bytes, at + 5, indices[i]!);
  }
  return bytes;
}

/** The 13 bytes that go before a block's payload. */
export function encodePieceHeader(block: Block): Uint8Array {
  const bytes = new Uint8Array(13);
  writeUint32(bytes, 0, 9 + block.length);
  bytes[4] = PIECE;
  writeUint32(bytes, 5, block.index);
  writeUint32(bytes, 9, block.begin);
  return bytes;
}

const EMPTY = new Uint8Array(0);

function withIndex(id: number, index: number): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[3] = 5;
  bytes[4] = id;
  writeUint32(bytes, 5, index);
  return bytes;
}

function withBody(id: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + body.length);
  writeUint32(bytes, 0, 1 + body.length);
  bytes[4] = id;
  bytes.set(body, 5);
  return bytes;
}

function readUint32(view: Uint8Array, at: number): number {
  return ((view[at]! << 24) | (view[at + 1]! << 16) | (view[at + 2]! << 8) | view[at + 3]!) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
