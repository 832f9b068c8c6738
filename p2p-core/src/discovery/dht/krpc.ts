/**
 * KRPC, the messages of the mainline DHT (BEP 5, "KRPC Protocol"): their types and their encoding.
 *
 * A message is at most a few hundred bytes of bencode of one fixed shape, and a busy node sends and receives
 * tens of thousands a second, so it has a codec of its own that touches each byte once and builds no
 * dictionaries. The general decoder (wire/bencode.ts) is the oracle of its tests.
 */
import { ID_LENGTH } from './node-id.ts';

export type KrpcMethod = 'ping' | 'find_node' | 'get_peers' | 'announce_peer';

interface QueryFields {
  readonly kind: 'query';
  readonly transactionId: Uint8Array;
  /** Of the sender, 20 bytes. */
  readonly id: Uint8Array;
  /** BEP 43: the sender answers no queries and belongs in no routing table. */
  readonly readOnly: boolean;
}

export interface PingQuery extends QueryFields {
  readonly method: 'ping';
}

export interface FindNodeQuery extends QueryFields {
  readonly method: 'find_node';
  /** 20 bytes. */
  readonly target: Uint8Array;
}

export interface GetPeersQuery extends QueryFields {
  readonly method: 'get_peers';
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
}

export interface AnnouncePeerQuery extends QueryFields {
  readonly method: 'announce_peer';
  readonly infoHash: Uint8Array;
  readonly token: Uint8Array;
  /** 1 to 65535, or 0 with `impliedPort`. */
  readonly port: number;
  /** The peer listens at the port that this datagram came from. */
  readonly impliedPort: boolean;
}

/** A query before it has a transaction. */
export type QueryBody = KrpcQuery extends infer Q
  ? Q extends KrpcQuery
    ? Omit<Q, 'transactionId'>
    : never
  : never;

export type KrpcQuery = PingQuery | FindNodeQuery | GetPeersQuery | AnnouncePeerQuery;

export interface KrpcResponse {
  readonly kind: 'response';
  readonly transactionId: Uint8Array;
  readonly id: Uint8Array;
  /** Compact node info: 26 bytes a node, id, IPv4 address, port. */
  readonly nodes?: Uint8Array;
  /** BEP 32: 38 bytes a node. */
  readonly nodes6?: Uint8Array;
  /** Compact peers, each 6 or 18 bytes. */
  readonly values?: readonly Uint8Array[];
  readonly token?: Uint8Array;
}

export interface KrpcError {
  readonly kind: 'error';
  readonly transactionId: Uint8Array;
  readonly code: number;
  readonly message: string;
}

/** A query that can't be served, but whose sender can be told why: answer it with an error. */
export interface RejectedQuery {
  readonly kind: 'rejected';
  readonly transactionId: Uint8Array;
  readonly code: number;
  readonly reason: string;
}

export type KrpcMessage = KrpcQuery | KrpcResponse | KrpcError;

/** Error codes of BEP 5, "Errors". */
export const KRPC_GENERIC_ERROR = 201;
export const KRPC_PROTOCOL_ERROR = 203;
export const KRPC_METHOD_UNKNOWN = 204;

/** Compact node info: 20 bytes of id, 6 of address (BEP 5, "Contact Encoding"). */
export const NODE_INFO_LENGTH = 26;
export const NODE_INFO6_LENGTH = 38;

/** Longer transaction ids and tokens than these are refused: an answer has to repeat them. */
export const MAX_TRANSACTION_ID_LENGTH = 32;
export const MAX_TOKEN_LENGTH = 64;
export const MAX_VALUES = 256;

/** `v`, by which a client says who it is: two letters and a version (BEP 5). */
const CLIENT_VERSION = 'SK01';
// Joined once: a string made anew for each message would have to be flattened for each.
const QUERY_END = `1:v4:${CLIENT_VERSION}1:y1:qe`;
const RESPONSE_END = `1:v4:${CLIENT_VERSION}1:y1:re`;
const ERROR_END = `1:v4:${CLIENT_VERSION}1:y1:ee`;

/** Fits everything that a node of this code sends: the largest is an answer with 8 nodes and 50 peers. */
const SCRATCH_LENGTH = 2048;
const scratch = new Uint8Array(SCRATCH_LENGTH);
let length = 0;

/** Views of the scratch by their length: making one costs as much as encoding a ping. */
const views: (Uint8Array | undefined)[] = new Array(SCRATCH_LENGTH + 1).fill(undefined);

function ascii(text: string): void {
  for (let index = 0; index < text.length; index++) scratch[length++] = text.charCodeAt(index);
}

/** A byte string whose length was checked by `fits`. */
function byteString(bytes: Uint8Array): void {
  const size = bytes.length;
  if (size >= 1_000) scratch[length++] = 0x30 + ((size / 1_000) | 0);
  if (size >= 100) scratch[length++] = 0x30 + (((size / 100) | 0) % 10);
  if (size >= 10) scratch[length++] = 0x30 + (((size / 10) | 0) % 10);
  scratch[length++] = 0x30 + (size % 10);
  scratch[length++] = 0x3a;
  if (bytes.length > 24) {
    scratch.set(bytes, length);
    length += bytes.length;
  } else {
    for (let index = 0; index < bytes.length; index++) scratch[length++] = bytes[index]!;
  }
}

function assertFits(message: KrpcResponse | KrpcError | QueryBody, transactionId: Uint8Array): void {
  let total = 200 + transactionId.length;
  if (message.kind === 'error') total += message.message.length;
  if (message.kind === 'query' && message.method === 'announce_peer') total += message.token.length;
  if (message.kind === 'response') {
    total += (message.nodes?.length ?? 0) + (message.nodes6?.length ?? 0) + (message.token?.length ?? 0);
    if (message.values !== undefined) for (const value of message.values) total += value.length + 3;
  }
  if (total > SCRATCH_LENGTH)
    throw new RangeError(
      `a DHT message has to fit ${SCRATCH_LENGTH} bytes, this one may need ${total}; send less`,
    );
}

/**
 * The datagram of a message. The result is a view of one shared buffer, valid until the next call: send it
 * (Host sockets copy) or copy it. Throws RangeError if the message could not fit 2,048 bytes.
 */
export function encodeKrpc(message: KrpcMessage): Uint8Array {
  if (message.kind === 'query') return encodeQuery(message, message.transactionId);
  assertFits(message, message.transactionId);
  length = 0;
  if (message.kind === 'response') writeResponse(message);
  else writeError(message);
  return written();
}

/** The same of a query, with a transaction id of its own. */
export function encodeQuery(query: QueryBody, transactionId: Uint8Array): Uint8Array {
  assertFits(query, transactionId);
  length = 0;
  writeQuery(query, transactionId);
  return written();
}

function written(): Uint8Array {
  let view = views[length];
  if (view === undefined) {
    view = scratch.subarray(0, length);
    views[length] = view;
  }
  return view;
}

function writeQuery(query: QueryBody, transactionId: Uint8Array): void {
  ascii('d1:ad2:id');
  byteString(query.id);
  switch (query.method) {
    case 'ping':
      ascii('e1:q4:ping');
      break;
    case 'find_node':
      ascii('6:target');
      byteString(query.target);
      ascii('e1:q9:find_node');
      break;
    case 'get_peers':
      ascii('9:info_hash');
      byteString(query.infoHash);
      ascii('e1:q9:get_peers');
      break;
    case 'announce_peer':
      ascii(query.impliedPort ? '12:implied_porti1e9:info_hash' : '9:info_hash');
      byteString(query.infoHash);
      ascii(`4:porti${query.port}e5:token`);
      byteString(query.token);
      ascii('e1:q13:announce_peer');
      break;
  }
  if (query.readOnly) ascii('2:roi1e');
  ascii('1:t');
  byteString(transactionId);
  ascii(QUERY_END);
}

function writeResponse(response: KrpcResponse): void {
  ascii('d1:rd2:id');
  byteString(response.id);
  if (response.nodes !== undefined) {
    ascii('5:nodes');
    byteString(response.nodes);
  }
  if (response.nodes6 !== undefined) {
    ascii('6:nodes6');
    byteString(response.nodes6);
  }
  if (response.token !== undefined) {
    ascii('5:token');
    byteString(response.token);
  }
  if (response.values !== undefined) {
    ascii('6:valuesl');
    for (const value of response.values) byteString(value);
    ascii('e');
  }
  ascii('e1:t');
  byteString(response.transactionId);
  ascii(RESPONSE_END);
}

/** `message` is written as Latin-1; what this code says is ASCII. */
function writeError(error: KrpcError): void {
  ascii(`d1:eli${error.code}e${error.message.length}:`);
  ascii(error.message);
  ascii('e1:t');
  byteString(error.transactionId);
  ascii(ERROR_END);
}

/** Whether this is a 20-byte id. */
export function isId(bytes: Uint8Array | undefined): bytes is Uint8Array {
  return bytes !== undefined && bytes.length === ID_LENGTH;
}
