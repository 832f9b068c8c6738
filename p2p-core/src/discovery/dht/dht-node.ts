/**
 * One node's protocol: datagrams in, datagrams out, and lookups on top. It knows no socket (dht.ts binds one) and starts
 * nothing by itself: joining, refreshing and searching again are decided above it.
 */

import type { Address, Clock, Host } from '../../host/host.ts';
import { ENDPOINT_LENGTH, isSendable, unpackEndpoint } from './endpoint.ts';
import type { QueryBody } from './krpc.ts';
import { decodeKrpc } from './krpc-decoder.ts';
import { type Candidate, Lookup } from './lookup.ts';
import { sameId } from './node-id.ts';
import { PeerStore, type PeerStoreOptions } from './peer-store.ts';
import { RateLimiter, type RateLimits } from './rate-limiter.ts';
import { Responder } from './responder.ts';
import { BUCKET_SIZE, RoutingTable } from './routing-table.ts';
import { Rpc } from './rpc.ts';
import { Tokens } from './tokens.ts';

export interface DhtTraffic {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Datagrams that were no KRPC message, answers nobody had asked for, and queries above the rate limit. */
  dropped: number;
}

export interface DhtNodeComponents {
  readonly host: Pick<Host, 'clock' | 'random' | 'compute'>;
  readonly send: (datagram: Uint8Array, to: Address) => void;
  /** The routing table may have grown. */
  readonly onNode: () => void;
}

export interface DhtNodeOptions {
  readonly nodeId: Uint8Array;
  readonly readOnly: boolean;
  readonly rateLimits: RateLimits;
  readonly peerStore?: PeerStoreOptions;
}

export interface LookupTask {
  /** 20 bytes. */
  readonly target: Uint8Array;
  /** get_peers collects peers and tokens on the way, find_node only nodes. */
  readonly method: 'find_node' | 'get_peers';
  /** Addresses to start from beside the routing table. */
  readonly seeds?: readonly Address[];
  /** Nodes asked in all; default 100. */
  readonly maxQueries?: number;
  /** Peers that one node named: as they come, duplicates included. */
  onPeers?(peers: Address[]): void;
  /** Over; `nearest` have answered, `answers` did in all. Not called after a cancel. */
  onDone(nearest: Candidate[], answers: number): void;
}

/** Newcomers that are being checked at once, and never more: queries from strangers can't make us send without end. */
const MAX_VERIFICATIONS = 32;

export class DhtNode {
  readonly table: RoutingTable;
  readonly peers: PeerStore;
  readonly traffic: DhtTraffic = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0 };
  readonly #components: DhtNodeComponents;
  readonly #options: DhtNodeOptions;
  readonly #responder: Responder;
  readonly #limiter: RateLimiter;
  readonly #rpc: Rpc;
  readonly #clock: Clock;
  /** Addresses that were pinged and have not answered: few, so a list is the fastest set. */
  readonly #verifying: Address[] = [];

  constructor(components: DhtNodeComponents, options: DhtNodeOptions) {
    const { host } = components;
    this.#components = components;
    this.#clock = host.clock;
    this.#options = options;
    this.table = new RoutingTable(options.nodeId, host.clock.now());
    this.peers = new PeerStore(host, options.peerStore);
    this.#responder = new Responder({ table: this.table, peers: this.peers, tokens: new Tokens(host) });
    this.#limiter = new RateLimiter(host, options.rateLimits);
    this.#rpc = new Rpc({
      clock: host.clock,
      random: host.random,
      send: (datagram, to) => this.#send(datagram, to),
      onAnswered: (id, from, nowMs) => {
        const questionable = this.table.heardResponse(id, from, nowMs);
        if (questionable !== undefined) this.ping(questionable.address);
        components.onNode();
      },
      onUnanswered: (address) => {
        const doubtful = this.table.failed(address);
        if (doubtful !== undefined) this.ping(doubtful.address);
      },
    });
  }

  get outstanding(): number {
    return this.#rpc.outstanding;
  }

  /** Takes any datagram whatsoever. */
  receive(datagram: Uint8Array, from: Address): void {
    this.traffic.messagesIn++;
    this.traffic.bytesIn += datagram.length;
    const message = decodeKrpc(datagram);
    if (message === undefined) {
      this.traffic.dropped++;
      return;
    }
    const nowMs = this.#clock.now();
    if (message.kind === 'response' || message.kind === 'error') {
      if (!this.#rpc.receive(message, from, nowMs)) this.traffic.dropped++;
      return;
    }
    if (this.#options.readOnly || from.port === 0 || !this.#limiter.allow(from, nowMs)) {
      this.traffic.dropped++;
      return;
    }
    this.#send(this.#responder.answer(message, from, nowMs), from);
    if (message.kind === 'query' && !message.readOnly) this.#noteQuerier(message.id, from, nowMs);
  }

  /** Asks whether a node is there; the routing table learns the answer. */
  ping(address: Address): void {
    this.#verify(address);
  }

  /**
   * Announces to a node that gave us a token, and once more when the answer is slow, for an announcement that gets
   * lost is missed for a quarter of an hour. Tells once whether it was accepted.
   */
  announceTo(node: Candidate, infoHash: Uint8Array, port: number, onDone: (accepted: boolean) => void): void {
    const token = node.token!;
    const body = {
      ...this.#queryFields(),
      method: 'announce_peer',
      infoHash,
      port,
      impliedPort: false,
      token,
    } as const;
    let pending = 0;
    let isSettled = false;
    const settle = (accepted: boolean): void => {
      pending--;
      if (isSettled || (!accepted && pending > 0)) return;
      isSettled = true;
      onDone(accepted);
    };
    const attempt = (retries: number): void => {
      pending++;
      const isSent = this.#rpc.query(node.address, body, {
        onResponse: () => settle(true),
        onSlow: () => {
          if (retries > 0 && !isSettled) attempt(retries - 1);
        },
        onFailure: () => settle(false),
      });
      if (!isSent) settle(false);
    };
    attempt(1);
  }

  /** Runs a lookup. Returns what cancels it. */
  lookup(task: LookupTask): () => void {
    const lookup = new Lookup(task.target, { ownId: this.table.ownId, maxQueries: task.maxQueries });
    lookup.addSeeds(task.seeds ?? []);
    lookup.addContacts(this.table.closest(task.target, 2 * BUCKET_SIZE));
    const body = this.#lookupQuery(task);
    let isOver = false;
    const advance = (): void => {
      for (let next = lookup.next(); next !== undefined; next = lookup.next()) ask(next);
      if (isOver || !lookup.done) return;
      isOver = true;
      task.onDone(lookup.nearest(), lookup.answers);
    };
    const ask = (candidate: Candidate): void => {
      const isSent = this.#rpc.query(candidate.address, body, {
        onResponse: ({ id, nodes, token, values }) => {
          if (isOver) return;
          lookup.answered(candidate, id, nodes, token);
          const peers = values === undefined ? [] : peersOf(values);
          if (peers.length > 0) task.onPeers?.(peers);
          if (!isOver) advance();
        },
        onSlow: () => {
          lookup.slow(candidate);
          if (!isOver) advance();
        },
        onFailure: () => {
          lookup.failed(candidate);
          if (!isOver) advance();
        },
      });
      if (!isSent) lookup.failed(candidate);
    };
    // Not from inside this call: whoever starts a lookup may not expect to be called back yet.
    const start = this.#clock.setTimer(0, advance);
    return () => {
      isOver = true;
      start.cancel();
    };
  }

  close(): void {
    this.#rpc.close();
  }

  #queryFields(): { kind: 'query'; id: Uint8Array; readOnly: boolean } {
    return { kind: 'query', id: this.table.ownId, readOnly: this.#options.readOnly };
  }

  #lookupQuery({ method, target }: LookupTask): QueryBody {
    return method === 'find_node'
      ? { ...this.#queryFields(), method, target }
      : { ...this.#queryFields(), method, infoHash: target };
  }

  /** Who queries us may be worth knowing, but a query's source is easily forged: it has to answer a ping first. */
  #noteQuerier(id: Uint8Array, from: Address, nowMs: number): void {
    if (sameId(id, 0, this.table.ownId, 0) || this.table.heardQuery(id, from, nowMs)) return;
    if (this.table.wants(id, from, nowMs)) this.#verify(from);
  }

  #verify(address: Address): void {
    const verifying = this.#verifying;
    if (verifying.length >= MAX_VERIFICATIONS) return;
    if (verifying.some(({ host, port }) => port === address.port && host === address.host)) return;
    const settle = (): void => {
      verifying.splice(verifying.indexOf(address), 1);
    };
    verifying.push(address);
    const isSent = this.#rpc.query(
      address,
      { ...this.#queryFields(), method: 'ping' },
      { onResponse: settle, onFailure: settle },
    );
    if (!isSent) settle();
  }

  #send(datagram: Uint8Array, to: Address): void {
    this.traffic.messagesOut++;
    this.traffic.bytesOut += datagram.length;
    this.#components.send(datagram, to);
  }
}

/** IPv4 peers among `values` of a get_peers response that something can be sent to. */
function peersOf(values: readonly Uint8Array[]): Address[] {
  const peers: Address[] = [];
  for (const value of values)
    if (value.length === ENDPOINT_LENGTH && isSendable(value, 0)) peers.push(unpackEndpoint(value, 0));
  return peers;
}
