/**
 * Reads KRPC datagrams in one pass, without recursion, without building dictionaries, and without throwing:
 * whatever is not a message of BEP 5 comes out as undefined, or as a rejection that tells the sender why.
 *
 * Strict where it matters: one dictionary and nothing after it, no leading zeros, exact types and lengths for the
 * fields that are used. Lenient where clients differ: key order is not checked and unknown keys are skipped.
 */
import {
  isId,
  KRPC_METHOD_UNKNOWN,
  KRPC_PROTOCOL_ERROR,
  type KrpcMessage,
  type KrpcMethod,
  MAX_TOKEN_LENGTH,
  MAX_TRANSACTION_ID_LENGTH,
  MAX_VALUES,
  NODE_INFO_LENGTH,
  NODE_INFO6_LENGTH,
  type RejectedQuery,
} from './krpc.ts';

const METHODS: readonly KrpcMethod[] = ['get_peers', 'find_node', 'ping', 'announce_peer'];

const CHAR_D = 0x64;
const CHAR_E = 0x65;
const CHAR_I = 0x69;
const CHAR_L = 0x6c;
const CHAR_COLON = 0x3a;
const CHAR_MINUS = 0x2d;
const CHAR_0 = 0x30;
const CHAR_9 = 0x39;

/** Fields of all message kinds, as far as they were there with the right type. All are always set, that the shape is one. */
class Fields {
  t: Uint8Array | undefined;
  /** The one letter of `y`. */
  y: number | undefined;
  q: KrpcMethod | 'unknown' | undefined;
  readOnly = false;
  hasBody = false;
  id: Uint8Array | undefined;
  target: Uint8Array | undefined;
  infoHash: Uint8Array | undefined;
  token: Uint8Array | undefined;
  port: number | undefined;
  impliedPort = false;
  nodes: Uint8Array | undefined;
  nodes6: Uint8Array | undefined;
  values: Uint8Array[] | undefined;
  errorCode: number | undefined;
  errorMessage: Uint8Array | undefined;
}

/** Thrown and caught in this file only: made once, so that junk costs no stack trace. */
const MALFORMED = new Error('malformed KRPC datagram');

// Decoding is synchronous, so its position can live here rather than in an object a datagram.
let input: Uint8Array = new Uint8Array(0);
let at = 0;
// The dictionary key read last: compared where it lies, for a view of each would cost more than all else.
let keyAt = 0;
let keyLength = 0;

/**
 * The message in a datagram; undefined if it is none. Byte fields are borrowed: they hold until the next call, and no
 * longer than `datagram` itself. Never throws.
 */
export function decodeKrpc(datagram: Uint8Array): KrpcMessage | RejectedQuery | undefined {
  // Most junk ends here.
  if (datagram.length < 16 || datagram[0] !== CHAR_D) return undefined;
  input = datagram;
  at = 1;
  try {
    const fields = readMessage();
    return at === input.length ? interpret(fields) : undefined;
  } catch (error) {
    if (error !== MALFORMED) throw error;
    return undefined;
  }
}

function readMessage(): Fields {
  const fields = new Fields();
  while (input[at] !== CHAR_E) {
    readKey();
    const type = input[at];
    if (keyLength === 1) {
      const letter = input[keyAt];
      if (letter === 0x74 && isDigit(type)) fields.t = readShort(transactionIds);
      else if (letter === 0x79 && isDigit(type)) fields.y = readLetter();
      else if (letter === 0x71 && isDigit(type)) fields.q = readMethod();
      else if ((letter === 0x61 || letter === 0x72) && type === CHAR_D) readBody(fields);
      else if (letter === 0x65 && type === CHAR_L) readErrorList(fields);
      else skipValue();
    } else if (isKey('ro') && type === CHAR_I) {
      fields.readOnly = readInteger() === 1;
    } else skipValue();
  }
  at++;
  return fields;
}

/** The dictionary under `a` or `r`. */
function readBody(fields: Fields): void {
  fields.hasBody = true;
  at++;
  while (input[at] !== CHAR_E) {
    readKey();
    const type = input[at];
    if (isDigit(type)) {
      if (isKey('id')) fields.id = readShort(ids);
      else if (isKey('nodes')) fields.nodes = readString();
      else if (isKey('token')) fields.token = readShort(tokens);
      else if (isKey('target')) fields.target = readShort(targets);
      else if (isKey('info_hash')) fields.infoHash = readShort(infoHashes);
      else if (isKey('nodes6')) fields.nodes6 = readString();
      else skipString();
    } else if (type === CHAR_I) {
      const value = readInteger();
      if (isKey('port')) fields.port = value;
      else if (isKey('implied_port')) fields.impliedPort = value !== 0;
    } else if (type === CHAR_L && isKey('values')) readValues(fields);
    else skipValue();
  }
  at++;
}

function readValues(fields: Fields): void {
  at++;
  const values: Uint8Array[] = [];
  while (input[at] !== CHAR_E) {
    if (isDigit(input[at])) {
      const value = readString();
      if ((value.length === 6 || value.length === 18) && values.length < MAX_VALUES) values.push(value);
    } else skipValue();
  }
  at++;
  fields.values = values;
}

function readErrorList(fields: Fields): void {
  at++;
  if (input[at] === CHAR_I) fields.errorCode = readInteger();
  if (isDigit(input[at])) fields.errorMessage = readString();
  while (input[at] !== CHAR_E) skipValue();
  at++;
}

function interpret(fields: Fields): KrpcMessage | RejectedQuery | undefined {
  const transactionId = fields.t;
  if (
    transactionId === undefined ||
    transactionId.length === 0 ||
    transactionId.length > MAX_TRANSACTION_ID_LENGTH ||
    fields.y === undefined
  )
    return undefined;
  switch (fields.y) {
    case 0x71:
      return interpretQuery(fields, transactionId);
    case 0x72:
      return interpretResponse(fields, transactionId);
    case CHAR_E:
      return {
        kind: 'error',
        transactionId,
        code: fields.errorCode ?? 0,
        message: latin1(fields.errorMessage?.subarray(0, 200)),
      };
    default:
      return undefined;
  }
}

function interpretQuery(fields: Fields, transactionId: Uint8Array): KrpcMessage | RejectedQuery | undefined {
  const { id, q, readOnly, target, infoHash, token, port, impliedPort } = fields;
  if (q === undefined || !fields.hasBody) return undefined;
  if (!isId(id)) return reject(transactionId, 'id must have 20 bytes');
  if (q === 'ping') return { kind: 'query', method: 'ping', transactionId, id, readOnly };
  if (q === 'find_node') {
    if (!isId(target)) return reject(transactionId, 'target must have 20 bytes');
    return { kind: 'query', method: 'find_node', transactionId, id, readOnly, target };
  }
  if (q === 'get_peers') {
    if (!isId(infoHash)) return reject(transactionId, 'info_hash must have 20 bytes');
    return { kind: 'query', method: 'get_peers', transactionId, id, readOnly, infoHash };
  }
  if (q === 'announce_peer') {
    if (!isId(infoHash)) return reject(transactionId, 'info_hash must have 20 bytes');
    if (token === undefined || token.length > MAX_TOKEN_LENGTH)
      return reject(transactionId, 'announce_peer needs the token of a get_peers response');
    if (!impliedPort && !(port !== undefined && port >= 1 && port <= 65535))
      return reject(transactionId, 'port must be 1 to 65535');
    const ownPort = impliedPort ? 0 : port!;
    return {
      kind: 'query',
      method: 'announce_peer',
      transactionId,
      id,
      readOnly,
      infoHash,
      token,
      port: ownPort,
      impliedPort,
    };
  }
  return { kind: 'rejected', transactionId, code: KRPC_METHOD_UNKNOWN, reason: 'Method Unknown' };
}

function interpretResponse(fields: Fields, transactionId: Uint8Array): KrpcMessage | undefined {
  const { id, nodes, nodes6, values, token } = fields;
  if (!isId(id)) return undefined;
  if (nodes !== undefined && nodes.length % NODE_INFO_LENGTH !== 0) return undefined;
  if (nodes6 !== undefined && nodes6.length % NODE_INFO6_LENGTH !== 0) return undefined;
  if (token !== undefined && token.length > MAX_TOKEN_LENGTH) return undefined;
  return { kind: 'response', transactionId, id, nodes, nodes6, values, token };
}

function reject(transactionId: Uint8Array, reason: string): RejectedQuery {
  return { kind: 'rejected', transactionId, code: KRPC_PROTOCOL_ERROR, reason };
}

// ---------------------------------------------------------------- bencode

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= CHAR_0 && byte <= CHAR_9;
}

/** Passes the length of a string and its colon; the string itself lies at `at` then, all of it. */
function readLength(): number {
  const start = at;
  let size = 0;
  let byte = input[at];
  while (isDigit(byte)) {
    size = size * 10 + byte! - CHAR_0;
    // Longer than any datagram; also keeps the number exact.
    if (size > 65_535) throw MALFORMED;
    byte = input[++at];
  }
  const digits = at - start;
  if (byte !== CHAR_COLON || digits === 0 || (digits > 1 && input[start] === CHAR_0)) throw MALFORMED;
  at++;
  if (at + size > input.length) throw MALFORMED;
  return size;
}

function readString(): Uint8Array {
  const size = readLength();
  at += size;
  return input.subarray(at - size, at);
}

/**
 * Copies of short fields, one buffer for each length of each field: making a view of the datagram costs more than
 * copying 20 bytes.
 */
class ShortFields {
  readonly #byLength: (Uint8Array | undefined)[] = new Array(MAX_TOKEN_LENGTH + 1).fill(undefined);

  copy(from: number, size: number): Uint8Array {
    this.#byLength[size] ??= new Uint8Array(size);
    const field = this.#byLength[size];
    for (let index = 0; index < size; index++) field[index] = input[from + index]!;
    return field;
  }
}

const transactionIds = new ShortFields();
const ids = new ShortFields();
const targets = new ShortFields();
const infoHashes = new ShortFields();
const tokens = new ShortFields();

function readShort(fields: ShortFields): Uint8Array {
  const size = readLength();
  at += size;
  return size > MAX_TOKEN_LENGTH ? input.subarray(at - size, at) : fields.copy(at - size, size);
}

/** A string of one letter; undefined if it is longer. */
function readLetter(): number | undefined {
  const size = readLength();
  at += size;
  return size === 1 ? input[at - 1] : undefined;
}

function readMethod(): KrpcMethod | 'unknown' {
  readKey();
  for (const method of METHODS) if (isKey(method)) return method;
  return 'unknown';
}

function skipString(): void {
  const size = readLength();
  at += size;
}

function readKey(): void {
  keyLength = readLength();
  keyAt = at;
  at += keyLength;
}

function isKey(text: string): boolean {
  if (keyLength !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (input[keyAt + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

function readInteger(): number {
  const negative = input[++at] === CHAR_MINUS;
  if (negative) at++;
  const start = at;
  let value = 0;
  while (isDigit(input[at])) value = value * 10 + input[at++]! - CHAR_0;
  const digits = at - start;
  const leadingZero = input[start] === CHAR_0 && (digits > 1 || negative);
  if (digits === 0 || digits > 15 || leadingZero || input[at] !== CHAR_E) throw MALFORMED;
  at++;
  return negative ? -value : value;
}

/** Passes over one value of any type, however deep; inside dictionaries keys count as values. */
function skipValue(): void {
  let depth = 0;
  do {
    const byte = input[at];
    if (isDigit(byte)) skipString();
    else if (byte === CHAR_I) readInteger();
    else if (byte === CHAR_L || byte === CHAR_D) {
      at++;
      depth++;
    } else if (byte === CHAR_E && depth > 0) {
      at++;
      depth--;
    } else throw MALFORMED;
  } while (depth > 0);
}

function latin1(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : String.fromCharCode(...bytes);
}
