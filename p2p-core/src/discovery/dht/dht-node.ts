/**
 * One node's protocol: datagrams in, datagrams out, and lookups on top. It knows no socket (dht.ts binds one) and starts
 * nothing by itself: joining, refreshing and searching again are decided above it.
 */

import type { Address, Clock, Host, UdpSocket } from '../../host/host.ts';
import { ipOf, NOT_IPV4 } from './endpoint.ts';
import { type KrpcResponse, NODE_INFO_LENGTH, type QueryBody } from './krpc.ts';
import { decodeKrpc } from './krpc-decoder.ts';
import { type Candidate, Lookup } from './lookup.ts';
import { PeerStore, type PeerStoreOptions } from './peer-store.ts';
import { RateLimiter, type RateLimits } from './rate-limiter.ts';
import { Responder } from './responder.ts';
import { BUCKET_SIZE, RoutingTable } from './routing-table.ts';
import { type Asker, Rpc, type RpcOwner } from './rpc.ts';
import { type LookupTask, RunningLookup } from './running-lookup.ts';
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
  readonly socket: Pick<UdpSocket, 'send'>;
}

export interface DhtNodeOptions {
  readonly nodeId: Uint8Array;
  readonly readOnly: boolean;
  readonly rateLimits: RateLimits;
  readonly peerStore?: PeerStoreOptions;
}

/** Newcomers that are being checked at once, and never more: queries from strangers can't make us send without end. */
const MAX_VERIFICATIONS = 32;

/** Where a lookup starts; filled and read within one call. */
const startNodes = new Uint8Array(2 * BUCKET_SIZE * NODE_INFO_LENGTH);

export class DhtNode implements RpcOwner {
  readonly table: RoutingTable;
  readonly peers: PeerStore;
  readonly traffic: DhtTraffic = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0 };
  readonly #socket: Pick<UdpSocket, 'send'>;
  readonly #isReadOnly: boolean;
  readonly #responder: Responder;
  readonly #limiter: RateLimiter;
  readonly #rpc: Rpc;
  readonly #clock: Clock;
  /** Called whenever the routing table may have grown; set only while somebody waits for that. */
  onNode: (() => void) | undefined = undefined;
  readonly #verifications = new Verifications();
  readonly #pingQuery: QueryBody;
  #isClosed = false;

  constructor(components: DhtNodeComponents, options: DhtNodeOptions) {
    const { host } = components;
    this.#socket = components.socket;
    this.#clock = host.clock;
    this.#isReadOnly = options.readOnly;
    this.table = new RoutingTable(options.nodeId, host.clock.now());
    this.peers = new PeerStore(host, options.peerStore);
    this.#responder = new Responder({ table: this.table, peers: this.peers, tokens: new Tokens(host) });
    this.#limiter = new RateLimiter(host, options.rateLimits);
    this.#rpc = new Rpc({ clock: host.clock, random: host.random, owner: this });
    this.#pingQuery = { ...this.#queryFields(), method: 'ping' };
  }

  get outstanding(): number {
    return this.#rpc.outstanding;
  }

  /** Takes any datagram whatsoever. */
  receive(datagram: Uint8Array, from: Address): void {
    if (this.#isClosed) return;
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
    const isAnswerable = !this.#isReadOnly && from.port !== 0 && ipOf(from.host) !== NOT_IPV4;
    if (!isAnswerable || !this.#limiter.allow(from, nowMs)) {
      this.traffic.dropped++;
      return;
    }
    this.send(this.#responder.answer(message, from, nowMs), from);
    if (message.kind === 'query' && !message.readOnly) this.#noteQuerier(message.id, from, nowMs);
  }

  /** Asks whether a node is there; the routing table learns the answer. */
  ping(address: Address): void {
    if (!this.#verifications.begin(address)) return;
    if (!this.#rpc.query(address, this.#pingQuery, this.#verifications, address))
      this.#verifications.end(address);
  }

  /** As `ping`, and tells whether it answered; once, and never from inside this call. */
  call(address: Address, onDone: (answered: boolean) => void): void {
    const asker: Asker<undefined> = { onResponse: () => onDone(true), onFailure: () => onDone(false) };
    if (this.#rpc.query(address, this.#pingQuery, asker, undefined)) return;
    this.#clock.setTimer(0, () => onDone(false));
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
      const asker: Asker<undefined> = {
        onResponse: () => settle(true),
        onSlow: () => {
          if (retries > 0 && !isSettled) attempt(retries - 1);
        },
        onFailure: () => settle(false),
      };
      const isSent = this.#rpc.query(node.address, body, asker, undefined);
      if (!isSent) settle(false);
    };
    attempt(1);
  }

  /** Runs a lookup. Returns what cancels it. */
  lookup(task: LookupTask): () => void {
    const { target, seeds, maxQueries, keepsTokens } = task;
    const lookup = new Lookup(target, { ownId: this.table.ownId, maxQueries, keepsTokens });
    if (seeds !== undefined) lookup.addSeeds(seeds);
    lookup.addNodes(startNodes, this.table.writeAskable(target, 2 * BUCKET_SIZE, startNodes));
    const running = new RunningLookup({ rpc: this.#rpc, lookup }, task, this.#lookupQuery(task));
    // Not from inside this call: whoever starts a lookup may not expect to be called back yet.
    const start = this.#clock.setTimer(0, () => running.advance());
    return () => {
      running.cancel();
      start.cancel();
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#rpc.close();
  }

  // -------------------------------------------------------------- what its Rpc asks of it

  send(datagram: Uint8Array, to: Address): void {
    this.traffic.messagesOut++;
    this.traffic.bytesOut += datagram.length;
    this.#socket.send(datagram, to);
  }

  onAnswered(id: Uint8Array, from: Address, nowMs: number): void {
    const questionable = this.table.heardResponse(id, from, nowMs);
    if (questionable !== undefined) this.ping(questionable);
    this.onNode?.();
  }

  onUnanswered(address: Address): void {
    const doubtful = this.table.failed(address);
    if (doubtful !== undefined) this.ping(doubtful);
  }

  #queryFields(): { kind: 'query'; id: Uint8Array; readOnly: boolean } {
    return { kind: 'query', id: this.table.ownId, readOnly: this.#isReadOnly };
  }

  #lookupQuery({ method, target }: LookupTask): QueryBody {
    return method === 'find_node'
      ? { ...this.#queryFields(), method, target }
      : { ...this.#queryFields(), method, infoHash: target };
  }

  /** Who queries us may be worth knowing, but a query's source is easily forged: it has to answer a ping first. */
  #noteQuerier(id: Uint8Array, from: Address, nowMs: number): void {
    if (this.table.heardQuery(id, from, nowMs)) return;
    if (this.table.wants(id, from, nowMs)) this.ping(from);
  }
}

/** Who was pinged and has not answered: never many, so a list is the fastest set. */
class Verifications implements Asker<Address> {
  readonly #addresses: Address[] = [];

  /** False if the address is being verified already, or too many are. */
  begin(address: Address): boolean {
    const addresses = this.#addresses;
    if (addresses.length >= MAX_VERIFICATIONS) return false;
    for (const { host, port } of addresses) if (port === address.port && host === address.host) return false;
    addresses.push(address);
    return true;
  }

  end(address: Address): void {
    this.#addresses.splice(this.#addresses.indexOf(address), 1);
  }

  onResponse(_response: KrpcResponse, address: Address): void {
    this.end(address);
  }

  onFailure(address: Address): void {
    this.end(address);
  }
}
