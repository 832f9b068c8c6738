/**
 * Answers the four queries of BEP 5 from what this node knows. Decides and encodes; sends nothing. An answer is never more
 * than one datagram below 1 KiB, and errors and answers are never answered, so two nodes can't be made to
 * talk to each other for ever.
 */
import type { Address } from '../../host/host.ts';
import {
  encodeKrpc,
  KRPC_PROTOCOL_ERROR,
  type KrpcQuery,
  type KrpcResponse,
  NODE_INFO_LENGTH,
  type RejectedQuery,
} from './krpc.ts';
import type { PeerStore } from './peer-store.ts';
import { BUCKET_SIZE, type RoutingTable } from './routing-table.ts';
import type { Tokens } from './tokens.ts';

export interface ResponderComponents {
  readonly table: RoutingTable;
  readonly tokens: Tokens;
  readonly peers: PeerStore;
}

/** Filled and encoded within one synchronous call, so all nodes of a process share it. */
const closestNodes = new Uint8Array(BUCKET_SIZE * NODE_INFO_LENGTH);
/** The first so many of them: making a view costs more than filling it. */
const closestViews = Array.from({ length: BUCKET_SIZE + 1 }, (_, count) =>
  closestNodes.subarray(0, count * NODE_INFO_LENGTH),
);

export class Responder {
  readonly #table: RoutingTable;
  readonly #tokens: Tokens;
  readonly #peers: PeerStore;

  constructor({ table, tokens, peers }: ResponderComponents) {
    this.#table = table;
    this.#tokens = tokens;
    this.#peers = peers;
  }

  /** The datagram to send back, valid until the next message is encoded. */
  answer(query: KrpcQuery | RejectedQuery, from: Address, nowMs: number): Uint8Array {
    const { transactionId } = query;
    if (query.kind === 'rejected')
      return encodeKrpc({ kind: 'error', transactionId, code: query.code, message: query.reason });
    const id = this.#table.ownId;
    switch (query.method) {
      case 'ping':
        return encodeKrpc(responseOf(transactionId, id));
      case 'find_node':
        return encodeKrpc(responseOf(transactionId, id, this.#closest(query.target)));
      case 'get_peers': {
        const values = this.#peers.sample(query.infoHash, nowMs);
        const nodes = this.#closest(query.infoHash);
        const token = this.#tokens.issue(from.host, nowMs);
        return encodeKrpc(
          responseOf(transactionId, id, nodes, token, values.length > 0 ? values : undefined),
        );
      }
      case 'announce_peer': {
        if (!this.#tokens.verify(query.token, from.host, nowMs)) {
          const message = 'Bad Token: ask get_peers for a new one';
          return encodeKrpc({ kind: 'error', transactionId, code: KRPC_PROTOCOL_ERROR, message });
        }
        const port = query.impliedPort ? from.port : query.port;
        this.#peers.announce(query.infoHash, { host: from.host, port }, nowMs);
        return encodeKrpc(responseOf(transactionId, id));
      }
    }
  }

  #closest(target: Uint8Array): Uint8Array {
    return closestViews[this.#table.writeClosest(target, BUCKET_SIZE, closestNodes) / NODE_INFO_LENGTH]!;
  }
}

/** All responses have one shape, the one that the decoder makes too: code that sees only one is fast. */
function responseOf(
  transactionId: Uint8Array,
  id: Uint8Array,
  nodes?: Uint8Array,
  token?: Uint8Array,
  values?: readonly Uint8Array[],
): KrpcResponse {
  return { kind: 'response', transactionId, id, nodes, nodes6: undefined, values, token };
}
