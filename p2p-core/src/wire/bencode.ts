/**
 * Bencode (BEP 3), the encoding of .torrent files, DHT messages, extension messages and tracker answers.
 *
 * The decoder reads bytes from strangers: it is iterative, makes one pass, keeps to limits, and throws nothing
 * but BencodeError. It is strict where two readings would be possible (leading zeros, -0, duplicate keys, bytes
 * left over) but accepts keys out of order, which BEP 3 forbids and torrents in the wild have: since an infohash
 * is taken over the bytes as found (`ranges`) and never over a re-encoding, order cannot mislead anyone.
 * The encoder is npm `bencode`, which is also the oracle of the tests; it never sees untrusted bytes.
 */
import bencode from 'bencode';

/** What bencode can say. Byte strings stay bytes: only the reader of a field knows whether it is text. */
export type BencodeValue = number | Uint8Array | BencodeValue[] | BencodeDict;

/** A dictionary; each key is the latin1 text of its bytes (one character a byte), in the order found. */
export type BencodeDict = Map<string, BencodeValue>;

/** What `encodeBencode` takes. Strings become UTF-8; entries of a dictionary that are undefined are left out. */
export type EncodableValue =
  | number
  | string
  | Uint8Array
  | readonly EncodableValue[]
  | ReadonlyMap<string, EncodableValue | undefined>
  | { readonly [key: string]: EncodableValue | undefined };

export type BencodeErrorCode =
  | 'truncated'
  | 'syntax'
  | 'duplicate-key'
  | 'integer-range'
  | 'trailing-bytes'
  | 'too-deep'
  | 'too-many-tokens'
  | 'too-large'
  | 'not-encodable';

/** The bytes are not bencode, or go beyond a limit; `offset` is the byte at which that showed. */
export class BencodeError extends Error {
  readonly code: BencodeErrorCode;
  readonly offset: number;
  constructor(code: BencodeErrorCode, what: string, offset: number) {
    super(`${what} (at byte ${offset})`);
    this.name = 'BencodeError';
    this.code = code;
    this.offset = offset;
  }
}

export interface DecodeLimits {
  /** Lists and dictionaries inside one another; default 100. */
  readonly maxDepth?: number;
  /** Strings (keys too), integers, lists and dictionaries together; default 3 million. */
  readonly maxTokens?: number;
  /** Length of the input, checked before anything is read; default 10 MB. */
  readonly maxBytes?: number;
  /** Allows bytes after the value, as in a ut_metadata data message (BEP 9); default false. */
  readonly allowTrailing?: boolean;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface DecodedBencode {
  readonly value: BencodeValue;
  /** Bytes consumed: where the value ends in the input. */
  readonly end: number;
  /** Where each value of the top-level dictionary lies in the input; empty if the top level is none. */
  readonly ranges: ReadonlyMap<string, ByteRange>;
}

const DEFAULT_MAX_DEPTH = 100;
const DEFAULT_MAX_TOKENS = 3_000_000;
const DEFAULT_MAX_BYTES = 10_000_000;

const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const DICTIONARY = 0x64;
const END = 0x65;
const INTEGER = 0x69;
const LIST = 0x6c;

/**
 * Decodes one value from the beginning of `bytes`. Decoded byte strings are views into `bytes`: copy what must
 * outlive it. Throws BencodeError and nothing else.
 */
export function decodeBencode(bytes: Uint8Array, options: DecodeLimits = {}): DecodedBencode {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  if (bytes.length > maxBytes) {
    throw new BencodeError('too-large', `${bytes.length} bytes are more than the ${maxBytes} allowed`, 0);
  }
  const decoder = new Decoder(
    bytes,
    options.maxDepth ?? DEFAULT_MAX_DEPTH,
    options.maxTokens ?? DEFAULT_MAX_TOKENS,
  );
  decoder.decode();
  if (decoder.end < bytes.length && options.allowTrailing !== true) {
    throw new BencodeError('trailing-bytes', 'the value ends but the input goes on', decoder.end);
  }
  return decoder;
}

class Decoder implements DecodedBencode {
  value: BencodeValue = 0;
  end = 0;
  readonly #bytes: Uint8Array;
  readonly #maxDepth: number;
  #tokensLeft: number;
  /** Where the values of the top-level dictionary lie, in the order of its keys. */
  readonly #topStarts: number[] = [];
  readonly #topEnds: number[] = [];

  constructor(bytes: Uint8Array, maxDepth: number, maxTokens: number) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#tokensLeft = maxTokens;
  }

  /** Made only when asked for: most messages are read without it. */
  get ranges(): ReadonlyMap<string, ByteRange> {
    const ranges = new Map<string, ByteRange>();
    if (this.value instanceof Map) {
      let index = 0;
      for (const key of this.value.keys()) {
        ranges.set(key, { start: this.#topStarts[index]!, end: this.#topEnds[index]! });
        index++;
      }
    }
    return ranges;
  }

  decode(): void {
    const bytes = this.#bytes;
    // The containers that are open around the current one, and the key that each waits with (if a dictionary).
    const parents: (BencodeValue[] | BencodeDict)[] = [];
    const parentKeys: (string | undefined)[] = [];
    let list: BencodeValue[] | undefined;
    let dict: BencodeDict | undefined;
    let key: string | undefined;

    for (;;) {
      const byte = bytes[this.end];
      let value: BencodeValue;

      if (byte === END && key === undefined && (list !== undefined || dict !== undefined)) {
        this.end++;
        value = list ?? dict!;
        const parent = parents.pop();
        key = parentKeys.pop();
        list = undefined;
        dict = undefined;
        if (parent instanceof Map) dict = parent;
        else list = parent;
      } else {
        if (--this.#tokensLeft < 0) {
          throw new BencodeError('too-many-tokens', 'more values than are allowed', this.end);
        }
        if (dict !== undefined && key === undefined) {
          key = this.#readKey();
          if (parents.length === 0) this.#topStarts.push(this.end);
          continue;
        }
        if (byte === DICTIONARY || byte === LIST) {
          const outer = list ?? dict;
          if (outer !== undefined) {
            parents.push(outer);
            parentKeys.push(key);
          }
          if (parents.length >= this.#maxDepth) {
            throw new BencodeError('too-deep', 'lists and dictionaries are nested too deeply', this.end);
          }
          this.end++;
          key = undefined;
          list = byte === LIST ? [] : undefined;
          dict = byte === LIST ? undefined : new Map();
          continue;
        }
        value = byte === INTEGER ? this.#readInteger() : this.#readString();
      }

      if (dict !== undefined) {
        const sizeBefore = dict.size;
        dict.set(key!, value);
        if (dict.size === sizeBefore) {
          throw new BencodeError('duplicate-key', 'a dictionary has the same key twice', this.end);
        }
        key = undefined;
        if (parents.length === 0) this.#topEnds.push(this.end);
      } else if (list !== undefined) {
        list.push(value);
      } else {
        this.value = value;
        return;
      }
    }
  }

  #readKey(): string {
    const length = this.#readLength();
    const start = this.end;
    this.end += length;
    return latin1Text(this.#bytes, start, this.end);
  }

  #readString(): Uint8Array {
    const length = this.#readLength();
    const start = this.end;
    this.end += length;
    // Not subarray: that would give Buffers for a Buffer.
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** Reads `<digits>:` and makes sure that as many bytes follow. */
  #readLength(): number {
    const bytes = this.#bytes;
    const start = this.end;
    const limit = bytes.length;
    let position = start;
    let length = 0;
    for (; position < limit; position++) {
      const byte = bytes[position]!;
      if (byte < ZERO || byte > NINE) break;
      length = length * 10 + (byte - ZERO);
      // No need to read on: it is beyond the input already, and would lose precision.
      if (length > limit) throw new BencodeError('truncated', 'a string is longer than the input', start);
    }
    if (position === limit) throw new BencodeError('truncated', 'the input ends too early', limit);
    if (position === start) throw new BencodeError('syntax', 'no value can begin with this byte', start);
    if (bytes[position] !== COLON) throw new BencodeError('syntax', "':' expected after a length", position);
    if (bytes[start] === ZERO && position > start + 1) {
      throw new BencodeError('syntax', 'a length has leading zeros', start);
    }
    position++;
    if (length > limit - position) {
      throw new BencodeError('truncated', 'a string is longer than the input', start);
    }
    this.end = position;
    return length;
  }

  /** Reads `i<digits>e`. */
  #readInteger(): number {
    const bytes = this.#bytes;
    const limit = bytes.length;
    const start = this.end;
    const negative = bytes[start + 1] === MINUS;
    const firstDigit = start + (negative ? 2 : 1);
    let position = firstDigit;
    let value = 0;
    for (; position < limit; position++) {
      const byte = bytes[position]!;
      if (byte < ZERO || byte > NINE) break;
      value = value * 10 + (byte - ZERO);
      if (value > Number.MAX_SAFE_INTEGER) {
        throw new BencodeError('integer-range', 'an integer is beyond 2^53 - 1', start);
      }
    }
    if (position >= limit) throw new BencodeError('truncated', 'the input ends too early', limit);
    if (position === firstDigit || bytes[position] !== END) {
      throw new BencodeError('syntax', 'an integer has something else than digits', position);
    }
    if (bytes[firstDigit] === ZERO && (negative || position > firstDigit + 1)) {
      throw new BencodeError('syntax', 'an integer has leading zeros or is -0', start);
    }
    this.end = position + 1;
    return negative ? -value : value;
  }
}

const CHARACTER_OF_BYTE: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(byte),
);

/** Short texts recur (keys, method names): a direct-mapped cache saves building and hashing them again. */
const CACHED_TEXT_MAX_LENGTH = 16;
const TEXT_CACHE_SIZE = 256;
const textCache: string[] = new Array<string>(TEXT_CACHE_SIZE).fill('');

function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length === 1) return CHARACTER_OF_BYTE[bytes[start]!]!;
  if (length === 0) return '';
  if (length > CACHED_TEXT_MAX_LENGTH) return latin1TextAfresh(bytes, start, end);
  let hash = length;
  for (let index = start; index < end; index++) hash = (Math.imul(hash, 31) + bytes[index]!) | 0;
  const slot = (hash ^ (hash >>> 8)) & (TEXT_CACHE_SIZE - 1);
  const cached = textCache[slot]!;
  if (cached.length === length) {
    let index = 0;
    while (index < length && cached.charCodeAt(index) === bytes[start + index]) index++;
    if (index === length) return cached;
  }
  const text = latin1TextAfresh(bytes, start, end);
  textCache[slot] = text;
  return text;
}

const CHUNK_BYTES = 4096;

function latin1TextAfresh(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let chunk = start; chunk < end; chunk += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(chunk, Math.min(chunk + CHUNK_BYTES, end)));
  }
  return text;
}

// ---------------------------------------------------------------- encoding

/**
 * Encodes a value; keys are sorted by their bytes as BEP 3 demands. Keys are latin1 text as the decoder gives
 * them, so what was decoded encodes back. Throws BencodeError `not-encodable` for numbers that are not safe
 * integers, keys with characters beyond latin1, and values of other types.
 */
export function encodeBencode(value: EncodableValue): Uint8Array {
  return bencode.encode(forEncoder(value));
}

/** Checks what npm `bencode` would let through or change silently, and gives it keys that it writes as they are. */
function forEncoder(value: EncodableValue | undefined): unknown {
  if (typeof value === 'string' || value instanceof Uint8Array) return value;
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value;
    throw new BencodeError('not-encodable', `${value} is not an integer that bencode can hold`, 0);
  }
  if (Array.isArray(value)) return value.map(forEncoder);
  if (typeof value !== 'object' || value === null) {
    throw new BencodeError('not-encodable', `a value of type ${typeof value} has no encoding`, 0);
  }
  const entries = value instanceof Map ? value.entries() : Object.entries(value);
  const dict = new Map<unknown, unknown>();
  for (const [key, entry] of entries) {
    if (entry !== undefined) dict.set(keyForEncoder(key), forEncoder(entry));
  }
  return dict;
}

function keyForEncoder(key: string): string | Uint8Array {
  let ascii = true;
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index);
    if (code > 0xff)
      throw new BencodeError('not-encodable', `the key ${JSON.stringify(key)} is not latin1`, 0);
    if (code > 0x7f) ascii = false;
  }
  if (ascii) return key;
  // npm bencode writes a text key as UTF-8, but a byte key as it is; it sorts by what toString gives.
  const bytes = Uint8Array.from(key, (character) => character.charCodeAt(0));
  return Object.assign(bytes, { toString: () => key });
}

// ---------------------------------------------------------------- typed readers

/** The value as a dictionary, or undefined if it is none. */
export function dictOf(value: BencodeValue | undefined): BencodeDict | undefined {
  return value instanceof Map ? value : undefined;
}

/** The value as a list, or undefined if it is none. */
export function listOf(value: BencodeValue | undefined): BencodeValue[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

/** The value as a byte string, or undefined if it is none. */
export function bytesOf(value: BencodeValue | undefined): Uint8Array | undefined {
  return value instanceof Uint8Array ? value : undefined;
}

/** The value as an integer, or undefined if it is none. */
export function integerOf(value: BencodeValue | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The value as text, or undefined if it is no byte string or is not valid UTF-8. */
export function textOf(value: BencodeValue | undefined): string | undefined {
  if (!(value instanceof Uint8Array)) return undefined;
  if (value.length <= CACHED_TEXT_MAX_LENGTH && isAscii(value)) return latin1Text(value, 0, value.length);
  try {
    return strictUtf8.decode(value);
  } catch {
    return undefined;
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index]! > 0x7f) return false;
  }
  return true;
}
