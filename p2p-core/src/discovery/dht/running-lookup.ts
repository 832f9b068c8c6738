/** A lookup on its way: asks whom the state machine of lookup.ts names, and tells it what comes of it. */
import type { Address } from '../../host/host.ts';
import { ENDPOINT_LENGTH, isSendable, unpackEndpoint } from './endpoint.ts';
import type { KrpcResponse, QueryBody } from './krpc.ts';
import type { Candidate, Lookup } from './lookup.ts';
import type { Asker, Rpc } from './rpc.ts';

export interface LookupTask {
  /** 20 bytes. */
  readonly target: Uint8Array;
  /** get_peers collects peers and tokens on the way, find_node only nodes. */
  readonly method: 'find_node' | 'get_peers';
  /** Addresses to start from beside the routing table. */
  readonly seeds?: readonly Address[];
  /** Nodes asked in all; default 100. */
  readonly maxQueries?: number;
  /** Whether `nearest` come with the tokens that they gave; default false. */
  readonly keepsTokens?: boolean;
  /** Peers that one node named: as they come, duplicates included. */
  onPeers?(peers: Address[]): void;
  /** Over; `nearest` have answered, `answers` did in all. Not called after a cancel. */
  onDone(nearest: Candidate[], answers: number): void;
}

export class RunningLookup implements Asker<Candidate> {
  readonly #rpc: Rpc;
  readonly #lookup: Lookup;
  readonly #task: LookupTask;
  readonly #query: QueryBody;
  #isOver = false;

  constructor({ rpc, lookup }: { rpc: Rpc; lookup: Lookup }, task: LookupTask, query: QueryBody) {
    this.#rpc = rpc;
    this.#lookup = lookup;
    this.#task = task;
    this.#query = query;
  }

  /** Asks whom it can, and ends if there is nobody left. */
  advance(): void {
    const lookup = this.#lookup;
    for (let next = lookup.next(); next !== undefined; next = lookup.next())
      if (!this.#rpc.query(next.address, this.#query, this, next)) lookup.failed(next);
    if (this.#isOver || !lookup.done) return;
    this.#isOver = true;
    this.#task.onDone(lookup.nearest(), lookup.answers);
  }

  /** Nothing is asked or told after this. */
  cancel(): void {
    this.#isOver = true;
  }

  onResponse({ id, nodes, token, values }: KrpcResponse, candidate: Candidate): void {
    if (this.#isOver) return;
    this.#lookup.answered(candidate, id, nodes, token);
    const peers = values === undefined ? [] : peersOf(values);
    if (peers.length > 0) this.#task.onPeers?.(peers);
    if (!this.#isOver) this.advance();
  }

  onSlow(candidate: Candidate): void {
    this.#lookup.slow(candidate);
    if (!this.#isOver) this.advance();
  }

  onFailure(candidate: Candidate): void {
    this.#lookup.failed(candidate);
    if (!this.#isOver) this.advance();
  }
}

/** IPv4 peers among `values` of a get_peers response that something can be sent to. */
function peersOf(values: readonly Uint8Array[]): Address[] {
  const peers: Address[] = [];
  for (const value of values)
    if (value.length === ENDPOINT_LENGTH && isSendable(value, 0)) peers.push(unpackEndpoint(value, 0));
  return peers;
}
