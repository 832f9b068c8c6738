/**
 * Who gets our upload. A few peers are unchoked at a time, so that each gets a rate worth having:
 * - while we download, those that give us most (tit-for-tat);
 * - once we seed, those that take fastest, but each for a turn only, so that everyone is served;
 * - besides, one optimistic slot goes to a peer that has not shown yet what it gives, newcomers three
 *   times as likely as others (BEP 3, "Choking and Optimistic Unchoking").
 * Slots that are free are given away at once when a peer becomes interested; the rest is decided every 10 s.
 */
import type { Random } from '../host/host.ts';

const RECHOKE_MS = 10_000;
const OPTIMISTIC_MS = 30_000;
const NEWCOMER_MS = 60_000;
const SEED_TURN_MS = 60_000;

/** What the choker must know of a peer. */
export interface ChokerPeer {
  readonly isInterested: boolean;
  /** We asked it for blocks and it has not delivered for long. */
  readonly isSnubbed: boolean;
  readonly connectedMs: number;
  downloadRate(nowMs: number): number;
  uploadRate(nowMs: number): number;
}

export interface ChokerOptions {
  /** Upload limit that the slots are derived from; Infinity is none. */
  readonly uploadBytesPerSecond: number;
}

/** Slots beside the optimistic one. The steps are those of the original client; unlimited gets a generous few. */
export function slotsFor(uploadBytesPerSecond: number): number {
  if (uploadBytesPerSecond === Infinity) return 8;
  const kib = uploadBytesPerSecond / 1024;
  if (kib < 9) return 2;
  if (kib < 15) return 3;
  if (kib < 42) return 4;
  return Math.min(50, Math.floor(Math.sqrt(kib * 0.6)));
}

export class Choker<P extends ChokerPeer> {
  readonly #random: Random;
  readonly #slots: number;
  /** Unchoked peers, with when each was. */
  readonly #unchoked = new Map<P, number>();
  /** When peers that are choked now were last served. */
  readonly #servedMs = new WeakMap<P, number>();
  #optimistic: P | undefined;
  #nextRechokeMs = 0;
  #nextOptimisticMs = 0;

  constructor(components: { random: Random }, options: ChokerOptions) {
    this.#random = components.random;
    this.#slots = slotsFor(options.uploadBytesPerSecond);
  }

  /** Peers that are to be unchoked; all others are to be choked. */
  get unchoked(): ReadonlyMap<P, number> {
    return this.#unchoked;
  }

  /** Whether who becomes interested is unchoked at once. */
  get hasRoom(): boolean {
    return this.#unchoked.size <= this.#slots;
  }

  /** A peer has become interested. True if it got a free slot. */
  interested(peer: P, nowMs: number): boolean {
    if (this.#unchoked.has(peer) || !this.hasRoom) return false;
    this.#unchoked.set(peer, nowMs);
    return true;
  }

  gone(peer: P): void {
    this.#unchoked.delete(peer);
    if (this.#optimistic === peer) {
      this.#optimistic = undefined;
      this.#nextOptimisticMs = 0;
    }
  }

  /** Decides anew if the time has come. True if it did: `unchoked` may have changed. */
  tick(peers: Iterable<P>, isSeeding: boolean, nowMs: number): boolean {
    if (nowMs < this.#nextRechokeMs) return false;
    this.#nextRechokeMs = nowMs + RECHOKE_MS;
    const candidates = [...peers].filter((peer) => peer.isInterested && (isSeeding || !peer.isSnubbed));
    const ranked = isSeeding ? this.#rankAsSeed(candidates, nowMs) : rankAsLeech(candidates, nowMs);
    const chosen = new Set(ranked.slice(0, this.#slots));

    const stillThere = this.#optimistic !== undefined && candidates.includes(this.#optimistic);
    if (nowMs >= this.#nextOptimisticMs || !stillThere || chosen.has(this.#optimistic!)) {
      // A snubbed peer may still win here: it is how it gets a second chance.
      const rest = [...peers].filter((peer) => peer.isInterested && !chosen.has(peer));
      this.#optimistic = this.#draw(rest, nowMs);
      this.#nextOptimisticMs = nowMs + OPTIMISTIC_MS;
    }
    if (this.#optimistic !== undefined) chosen.add(this.#optimistic);

    for (const peer of this.#unchoked.keys()) {
      if (chosen.has(peer)) continue;
      this.#unchoked.delete(peer);
      this.#servedMs.set(peer, nowMs);
    }
    for (const peer of chosen) if (!this.#unchoked.has(peer)) this.#unchoked.set(peer, nowMs);
    return true;
  }

  /** Those within their turn first, fastest first; then those that wait, longest first; then those that had their turn. */
  #rankAsSeed(peers: P[], nowMs: number): P[] {
    const standing = (peer: P): number => {
      const sinceMs = this.#unchoked.get(peer);
      if (sinceMs === undefined) return 1;
      return nowMs - sinceMs < SEED_TURN_MS ? 0 : 2;
    };
    const served = (peer: P): number => (standing(peer) === 1 ? (this.#servedMs.get(peer) ?? -1) : 0);
    const rates = new Map(peers.map((peer) => [peer, peer.uploadRate(nowMs)]));
    const ranked = peers.sort(
      (a, b) => standing(a) - standing(b) || served(a) - served(b) || rates.get(b)! - rates.get(a)!,
    );
    for (const peer of ranked.slice(0, this.#slots)) {
      if (standing(peer) === 2) this.#unchoked.set(peer, nowMs);
    }
    return ranked;
  }

  #draw(peers: P[], nowMs: number): P | undefined {
    const weight = (peer: P) => (nowMs - peer.connectedMs < NEWCOMER_MS ? 3 : 1);
    let ticket = this.#random.float() * peers.reduce((sum, peer) => sum + weight(peer), 0);
    for (const peer of peers) {
      ticket -= weight(peer);
      if (ticket < 0) return peer;
    }
    return peers.at(-1);
  }
}

function rankAsLeech<P extends ChokerPeer>(peers: P[], nowMs: number): P[] {
  const rates = new Map(peers.map((peer) => [peer, peer.downloadRate(nowMs)]));
  return peers.sort((a, b) => rates.get(b)! - rates.get(a)!);
}
