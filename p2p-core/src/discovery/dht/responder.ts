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
    const response: KrpcResponse = { kind: 'response', transactionId, id: this.#table.ownId };
    switch (query.method) {
      case 'ping':
        return encodeKrpc(response);
      case 'find_node':
        return encodeKrpc({ ...response, nodes: this.#closest(query.target) });
      case 'get_peers': {
        const values = this.#peers.sample(query.infoHash, nowMs);
        return encodeKrpc({
          ...response,
          nodes: this.#closest(query.infoHash),
          token: this.#tokens.issue(from.host, nowMs),
          values: values.length > 0 ? values : undefined,
        });
      }
      case 'announce_peer': {
        if (!this.#tokens.verify(query.token, from.host, nowMs)) {
          const message = 'Bad Token: ask get_peers for a new one';
          return encodeKrpc({ kind: 'error', transactionId, code: KRPC_PROTOCOL_ERROR, message });
        }
        const port = query.impliedPort ? from.port : query.port;
        this.#peers.announce(query.infoHash, { host: from.host, port }, nowMs);
        return encodeKrpc(response);
      }
    }
  }

  #closest(target: Uint8Array): Uint8Array {
    return closestNodes.subarray(0, this.#table.writeClosest(target, BUCKET_SIZE, closestNodes));
  }
}
