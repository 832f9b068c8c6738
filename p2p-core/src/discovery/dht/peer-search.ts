/**
 * Peers of one infohash, looked for once or again and again while there are too few; and the announcement of our own
 * peer, kept alive. Both wait until the node has joined.
 */
import { formatAddress } from '../../host/address.ts';
import type { Address, Clock, Timer } from '../../host/host.ts';
import type { DhtNode } from './dht-node.ts';

export interface SearchComponents {
  readonly clock: Clock;
  readonly node: DhtNode;
  /** Calls back as soon as a lookup has somewhere to start; returns what cancels that. */
  readonly whenJoined: (callback: () => void) => () => void;
  /** Addresses that help a thin routing table. */
  readonly seeds: () => readonly Address[];
}

export interface RepeatOptions {
  /** Search again while a round finds fewer peers than this. */
  readonly wantedPeers: number;
  /** The wait after the first round; it doubles from round to round. Default 500. */
  readonly firstDelayMs?: number;
  /** Default 60 000; also the wait while there are enough peers. */
  readonly maxDelayMs?: number;
  /** Counts and tells of what other nodes name, and not of what was announced to this one. Default false. */
  readonly fromOthersOnly?: boolean;
}

export interface PeerSearchOptions {
  readonly infoHash: Uint8Array;
  /** New peers of this round, as soon as a node names them. */
  readonly onPeers: (peers: Address[]) => void;
  /** A round is over; `found` different peers were named in it. */
  readonly onDone?: (found: number) => void;
  /** Without it one round is all. */
  readonly repeat?: RepeatOptions;
}

/** A round tells of no more: enough for any swarm, and a bound on what liars can make us hold. */
const MAX_PEERS_A_ROUND = 2_000;

export class PeerSearch {
  readonly #components: SearchComponents;
  readonly #options: PeerSearchOptions;
  #cancelStep: () => void = () => {};
  #isCancelled = false;
  #delayMs: number;

  constructor(components: SearchComponents, options: PeerSearchOptions) {
    this.#components = components;
    this.#options = options;
    this.#delayMs = options.repeat?.firstDelayMs ?? 500;
    this.#cancelStep = components.whenJoined(() => this.#round());
  }

  /** Nothing is called after this. */
  cancel(): void {
    this.#isCancelled = true;
    this.#cancelStep();
  }

  #round(): void {
    const { node, clock, seeds } = this.#components;
    const { infoHash, onPeers, onDone, repeat } = this.#options;
    const told = new Set<string>();
    const tell = (peers: readonly Address[]): void => {
      const news: Address[] = [];
      for (const peer of peers) {
        const key = formatAddress(peer);
        if (told.has(key) || told.size >= MAX_PEERS_A_ROUND) continue;
        told.add(key);
        news.push(peer);
      }
      if (news.length > 0) onPeers(news);
    };
    this.#cancelStep = node.lookup({
      target: infoHash,
      method: 'get_peers',
      seeds: seeds(),
      onPeers: tell,
      onDone: () => {
        if (!this.#isCancelled) this.#scheduleNext(told.size);
        if (!this.#isCancelled) onDone?.(told.size);
      },
    });
    if (repeat?.fromOthersOnly !== true) tell(node.peers.sampleAddresses(infoHash, clock.now()));
  }

  #scheduleNext(found: number): void {
    const { repeat } = this.#options;
    if (repeat === undefined) return;
    const maxDelayMs = repeat.maxDelayMs ?? 60_000;
    const delayMs = found < repeat.wantedPeers ? Math.min(this.#delayMs, maxDelayMs) : maxDelayMs;
    this.#delayMs = Math.min(this.#delayMs * 2, maxDelayMs);
    const timer = this.#components.clock.setTimer(delayMs, () => this.#round());
    this.#cancelStep = () => timer.cancel();
  }
}

export interface AnnouncementOptions {
  readonly infoHash: Uint8Array;
  /** Of our peer, 1 to 65535. */
  readonly port: number;
  /** Where others reach our peer, if we know: we may be among the nodes that should remember it. */
  readonly ownHost: string | undefined;
  /** A round is over; so many nodes accepted. */
  readonly onAnnounced?: (accepted: number) => void;
}

/** Announced peers are forgotten after 30 minutes or more, so half of that leaves one round to be lost. */
const REANNOUNCE_MS = 15 * 60_000;

/** Soon after joining a better table finds nearer nodes: the first repetitions come early and then ever later. */
const FIRST_REANNOUNCE_MS = 5_000;

/** Where nobody accepted, the next try comes sooner still. */
const FIRST_RETRY_MS = 500;

export class Announcement {
  readonly #components: SearchComponents;
  readonly #options: AnnouncementOptions;
  #cancelStep: () => void = () => {};
  #isCancelled = false;
  #delayMs = FIRST_REANNOUNCE_MS;
  #retryMs = FIRST_RETRY_MS;

  constructor(components: SearchComponents, options: AnnouncementOptions) {
    this.#components = components;
    this.#options = options;
    this.#rememberOwn();
    this.#cancelStep = components.whenJoined(() => this.#round());
  }

  /** Announces no more; what others remember fades. */
  cancel(): void {
    this.#isCancelled = true;
    this.#cancelStep();
  }

  #rememberOwn(): void {
    const { node, clock } = this.#components;
    const { infoHash, port, ownHost } = this.#options;
    if (ownHost !== undefined) node.peers.announce(infoHash, { host: ownHost, port }, clock.now());
  }

  #round(): void {
    const { node, seeds } = this.#components;
    const { infoHash, port } = this.#options;
    this.#rememberOwn();
    this.#cancelStep = node.lookup({
      target: infoHash,
      method: 'get_peers',
      keepsTokens: true,
      seeds: seeds(),
      onDone: (nearest) => {
        const willing = nearest.filter((candidate) => candidate.token !== undefined);
        let pending = willing.length;
        let accepted = 0;
        if (pending === 0) this.#finish(0);
        for (const candidate of willing)
          node.announceTo(candidate, infoHash, port, (isAccepted) => {
            pending--;
            if (isAccepted) accepted++;
            if (pending === 0) this.#finish(accepted);
          });
      },
    });
  }

  #finish(accepted: number): void {
    if (this.#isCancelled) return;
    this.#schedule(accepted);
    this.#options.onAnnounced?.(accepted);
  }

  #schedule(accepted: number): void {
    const delayMs = accepted > 0 ? this.#delayMs : this.#retryMs;
    if (accepted > 0) this.#delayMs = Math.min(this.#delayMs * 3, REANNOUNCE_MS);
    this.#retryMs = accepted > 0 ? FIRST_RETRY_MS : Math.min(this.#retryMs * 2, 60_000);
    const timer: Timer = this.#components.clock.setTimer(delayMs, () => this.#round());
    this.#cancelStep = () => timer.cancel();
  }
}
