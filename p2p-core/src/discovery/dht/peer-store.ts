/**
 * Peers that others announced to this node, by infohash (BEP 5, "announce_peer"). Bounded per infohash and overall;
 * when full, the least recently announced give way.
 *
 * Peers lie packed, 6 bytes and a time each: a node may hold thousands, and answers copy the bytes as they are.
 */
import { toHex } from '../../bytes.ts';
import type { Address, Random } from '../../host/host.ts';
import { randomInt } from '../../host/random.ts';
import { ENDPOINT_LENGTH, packEndpoint, unpackEndpoint } from './endpoint.ts';

export interface PeerStoreOptions {
  readonly maxPeersPerInfoHash?: number;
  readonly maxInfoHashes?: number;
  readonly maxPeers?: number;
  /** Announcers repeat themselves every 15 minutes or so; default 45 minutes. */
  readonly lifetimeMs?: number;
}

/** Fills 50 × 8 bytes of an answer, which with 8 nodes stays below 800 bytes: no fragmentation anywhere. */
export const MAX_SAMPLED_PEERS = 50;

const NONE: readonly Uint8Array[] = [];

class Swarm {
  endpoints = new Uint8Array(4 * ENDPOINT_LENGTH);
  announcedAtMs = new Float64Array(4);
  count = 0;

  find(endpoint: Uint8Array): number {
    const { endpoints } = this;
    for (let index = 0, at = 0; index < this.count; index++, at += ENDPOINT_LENGTH) {
      let same = 0;
      while (same < ENDPOINT_LENGTH && endpoints[at + same] === endpoint[same]) same++;
      if (same === ENDPOINT_LENGTH) return index;
    }
    return -1;
  }

  put(index: number, endpoint: Uint8Array, nowMs: number): void {
    if (index === this.announcedAtMs.length) {
      const endpoints = new Uint8Array(index * 2 * ENDPOINT_LENGTH);
      endpoints.set(this.endpoints);
      this.endpoints = endpoints;
      const times = new Float64Array(index * 2);
      times.set(this.announcedAtMs);
      this.announcedAtMs = times;
    }
    this.endpoints.set(endpoint, index * ENDPOINT_LENGTH);
    this.announcedAtMs[index] = nowMs;
  }

  /** The last takes the freed place. */
  remove(index: number): void {
    const last = --this.count;
    this.announcedAtMs[index] = this.announcedAtMs[last]!;
    this.endpoints.copyWithin(index * ENDPOINT_LENGTH, last * ENDPOINT_LENGTH, (last + 1) * ENDPOINT_LENGTH);
  }

  oldest(): number {
    let oldest = 0;
    for (let index = 1; index < this.count; index++)
      if (this.announcedAtMs[index]! < this.announcedAtMs[oldest]!) oldest = index;
    return oldest;
  }
}

export class PeerStore {
  readonly #random: Random;
  readonly #maxPeersPerInfoHash: number;
  readonly #maxInfoHashes: number;
  readonly #maxPeers: number;
  readonly #lifetimeMs: number;
  /** In the order of their last announcement, so that the first is the one to give way. */
  readonly #swarms = new Map<string, Swarm>();
  readonly #packed = new Uint8Array(ENDPOINT_LENGTH);
  #peerCount = 0;

  constructor({ random }: { random: Random }, options: PeerStoreOptions = {}) {
    this.#random = random;
    this.#maxPeersPerInfoHash = options.maxPeersPerInfoHash ?? 500;
    this.#maxInfoHashes = options.maxInfoHashes ?? 2_000;
    this.#maxPeers = options.maxPeers ?? 20_000;
    this.#lifetimeMs = options.lifetimeMs ?? 45 * 60_000;
  }

  get peerCount(): number {
    return this.#peerCount;
  }

  get infoHashCount(): number {
    return this.#swarms.size;
  }

  /** Keeps a peer, or keeps it longer. What isn't a reachable IPv4 address is ignored. */
  announce(infoHash: Uint8Array, peer: Address, nowMs: number): void {
    if (!packEndpoint(peer, this.#packed, 0)) return;
    const key = toHex(infoHash);
    const swarm = this.#swarms.get(key) ?? new Swarm();
    this.#swarms.delete(key);
    this.#swarms.set(key, swarm);
    const known = swarm.find(this.#packed);
    if (known >= 0) {
      swarm.announcedAtMs[known] = nowMs;
      return;
    }
    if (swarm.count >= this.#maxPeersPerInfoHash) {
      swarm.put(swarm.oldest(), this.#packed, nowMs);
      return;
    }
    swarm.put(swarm.count++, this.#packed, nowMs);
    this.#peerCount++;
    while (this.#swarms.size > this.#maxInfoHashes || this.#peerCount > this.#maxPeers)
      this.#dropStalest(swarm);
  }

  /** Up to `limit` live peers of an infohash, a random choice of them, as 6 bytes each. */
  sample(infoHash: Uint8Array, nowMs: number, limit: number = MAX_SAMPLED_PEERS): readonly Uint8Array[] {
    if (this.#peerCount === 0) return NONE;
    const key = toHex(infoHash);
    const swarm = this.#swarms.get(key);
    if (swarm === undefined) return NONE;
    this.#expireSwarm(key, swarm, nowMs);
    const order = Uint16Array.from({ length: swarm.count }, (_, index) => index);
    const chosen: Uint8Array[] = [];
    for (let index = 0; index < swarm.count && index < limit; index++) {
      const pick = index + randomInt(this.#random, swarm.count - index);
      const at = order[pick]! * ENDPOINT_LENGTH;
      order[pick] = order[index]!;
      chosen.push(swarm.endpoints.slice(at, at + ENDPOINT_LENGTH));
    }
    return chosen;
  }

  /** The same as addresses. */
  sampleAddresses(infoHash: Uint8Array, nowMs: number): Address[] {
    return this.sample(infoHash, nowMs).map((endpoint) => unpackEndpoint(endpoint, 0));
  }

  /** Forgets who has not announced for the lifetime. Called now and then; answers never hold expired peers anyway. */
  expire(nowMs: number): void {
    for (const [key, swarm] of this.#swarms) this.#expireSwarm(key, swarm, nowMs);
  }

  #expireSwarm(key: string, swarm: Swarm, nowMs: number): void {
    const deadlineMs = nowMs - this.#lifetimeMs;
    for (let index = swarm.count - 1; index >= 0; index--) {
      if (swarm.announcedAtMs[index]! > deadlineMs) continue;
      swarm.remove(index);
      this.#peerCount--;
    }
    if (swarm.count === 0) this.#swarms.delete(key);
  }

  /** Frees room from the swarm that was announced to longest ago: all of it, or its oldest if that is `current`. */
  #dropStalest(current: Swarm): void {
    const [key, stalest] = this.#swarms.entries().next().value!;
    if (stalest === current) {
      stalest.remove(stalest.oldest());
      this.#peerCount--;
      return;
    }
    this.#swarms.delete(key);
    this.#peerCount -= stalest.count;
  }
}
