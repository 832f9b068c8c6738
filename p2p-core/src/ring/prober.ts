/**
 * Whom to ping and when an answer is overdue. Each interval the successor in ring order is pinged, one other member in a
 * random order of all (SWIM, section 4.3: each is met once in a round), and whoever is silent. Who does not answer in
 * the time that its round trips suggest is pinged again, and through random others, before the probe has failed.
 *
 * It also measures how far this node itself can be trusted (Lifeguard's local health): if none of its own probes is
 * answered, the fault may be its own, and everything waits longer.
 */
import { type Random, randomInt, shuffle } from '../host/index.ts';
import { formatMember, type MemberId } from './member.ts';
import type { RingMessage } from './messages.ts';
import { isDoubted, isUp, type Peer } from './peer.ts';
import { RoundTrips } from './round-trips.ts';
import type { RingTiming } from './timing.ts';

/** What becomes of probes. */
export interface ProbeListener {
  send(to: MemberId, message: RingMessage): void;
  /** `peer` has not answered in time, but there is hope. */
  unanswered(now: number, peer: Peer, sinceMs: number): void;
  /** Neither it nor anyone for it has answered. */
  failed(now: number, peer: Peer): void;
}

export const MAX_DISTRUST = 4;
/** Members asked at a time to probe a silent one. */
const RELAYS = 3;
/** Suspects pinged in one interval beside the two. */
const MAX_SUSPECTS = 8;
/** Probes made on behalf of others that may be open at once. */
const MAX_RELAYED = 256;
/** A probe has failed after so many times the usual wait, but not before the interval is over. */
const WAITS = 3;

interface Probe {
  readonly peer: Peer;
  readonly sentMs: number;
  readonly failMs: number;
  /** When it will be tried again; each time the wait doubles. */
  nextMs: number;
  waitMs: number;
}

/** Each sending has its own number, so that an answer tells which it belongs to. */
interface Ping {
  readonly probe: Probe;
  readonly sentMs: number;
}

interface RelayedProbe {
  readonly origin: MemberId;
  readonly originSeq: number;
  readonly untilMs: number;
}

export class Prober {
  readonly roundTrips: RoundTrips;
  readonly #random: Random;
  readonly #listener: ProbeListener;
  readonly #timing: RingTiming;
  /** In ring order. */
  #peers: readonly Peer[] = [];
  #order: Peer[] = [];
  /** Those whose outcome is open. */
  readonly #probes = new Set<Probe>();
  /** By number. Kept until the probe's time is over: a late answer still tells of the way that it came. */
  readonly #pings = new Map<number, Ping>();
  readonly #relayed = new Map<number, RelayedProbe>();
  #seq = 0;
  #distrust = 0;
  #roundStartMs = Number.NEGATIVE_INFINITY;
  /** Pinged in this round, and expected to answer. */
  #expected: Peer[] = [];

  constructor(components: { random: Random; listener: ProbeListener }, timing: RingTiming) {
    this.#random = components.random;
    this.#listener = components.listener;
    this.#timing = timing;
    this.roundTrips = new RoundTrips(timing.probeTimeoutMs);
  }

  /** 0 to MAX_DISTRUST. */
  get distrust(): number {
    return this.#distrust;
  }

  /** `peers` are all other members in ring order. */
  configure(peers: readonly Peer[]): void {
    this.#peers = peers;
    const present = new Set(peers);
    this.#order = this.#order.filter((peer) => present.has(peer));
    for (const probe of this.#probes) if (!present.has(probe.peer)) this.#probes.delete(probe);
    for (const [seq, { probe }] of this.#pings) if (!present.has(probe.peer)) this.#pings.delete(seq);
    const keys = new Set(peers.map((peer) => peer.key));
    for (const [seq, relay] of this.#relayed) {
      if (!keys.has(formatMember(relay.origin))) this.#relayed.delete(seq);
    }
    this.roundTrips.keep(keys);
  }

  nextDueMs(): number {
    let dueMs = this.#roundStartMs + this.#timing.probeIntervalMs;
    for (const probe of this.#probes) dueMs = Math.min(dueMs, probe.nextMs, probe.failMs);
    return dueMs;
  }

  wake(now: number): void {
    this.#judge(now);
    if (now >= this.#roundStartMs + this.#timing.probeIntervalMs) this.#startRound(now);
  }

  /** This node stood still for so long: nobody else is to blame for it. */
  forgive(now: number, awayMs: number): void {
    const missedRounds = Math.ceil(awayMs / this.#timing.probeIntervalMs);
    this.#distrust = Math.min(MAX_DISTRUST, this.#distrust + missedRounds);
    // What came in time was heard; the rest was asked by a node that was not there to hear the answer.
    this.#probes.clear();
    this.#pings.clear();
    this.#expected = [];
    this.#roundStartMs = Math.min(now, this.#roundStartMs + awayMs);
  }

  acknowledged(now: number, peer: Peer, seq: number): void {
    const relay = this.#relayed.get(seq);
    if (relay !== undefined) {
      this.#relayed.delete(seq);
      this.#listener.send(relay.origin, { kind: 'vouch', seq: relay.originSeq, member: peer.id });
      return;
    }
    const ping = this.#pings.get(seq);
    if (ping?.probe.peer !== peer) return;
    this.#pings.delete(seq);
    this.#probes.delete(ping.probe);
    this.roundTrips.sample(peer.id, now - ping.sentMs);
  }

  /** Whether the word of another answers a probe of this node. */
  vouched(peer: Peer, seq: number): boolean {
    const ping = this.#pings.get(seq);
    return ping?.probe.peer === peer && this.#probes.delete(ping.probe);
  }

  /** `origin` asks that `target` be probed for it. */
  relay(now: number, origin: MemberId, originSeq: number, target: Peer): void {
    if (this.#relayed.size >= MAX_RELAYED) return;
    this.#seq += 1;
    this.#relayed.set(this.#seq, { origin, originSeq, untilMs: now + 2 * this.#timing.probeIntervalMs });
    this.#listener.send(target.id, { kind: 'ping', seq: this.#seq });
  }

  /** A ping whose answer is waited for. */
  probe(now: number, peer: Peer): void {
    const patience = 1 + this.#distrust;
    const waitMs = this.roundTrips.timeoutMs(peer.id) * patience;
    const failMs = now + Math.max(this.#timing.probeIntervalMs * patience, WAITS * waitMs);
    const probe = { peer, sentMs: now, failMs, nextMs: now + waitMs, waitMs };
    this.#probes.add(probe);
    this.#ping(now, probe);
  }

  /** A ping whose answer only shows that the member lives. */
  call(peer: Peer): void {
    this.#seq += 1;
    this.#listener.send(peer.id, { kind: 'ping', seq: this.#seq });
  }

  /** Up to `count` members, known and up, drawn at random. */
  draw(count: number, but?: Peer): Peer[] {
    const fit = this.#peers.filter((peer) => peer !== but && peer.known && peer.standing === 'alive');
    for (let index = 0; index < Math.min(count, fit.length); index += 1) {
      const other = index + randomInt(this.#random, fit.length - index);
      [fit[index], fit[other]] = [fit[other]!, fit[index]!];
    }
    return fit.slice(0, count);
  }

  #judge(now: number): void {
    for (const probe of this.#probes) {
      const { peer } = probe;
      if (peer.lastHeardMs > probe.sentMs) this.#probes.delete(probe);
      else if (now >= probe.failMs) {
        this.#probes.delete(probe);
        this.#listener.failed(now, peer);
      } else if (now >= probe.nextMs) this.#tryAgain(now, probe);
    }
  }

  #tryAgain(now: number, probe: Probe): void {
    const { peer } = probe;
    probe.waitMs *= 2;
    probe.nextMs += probe.waitMs;
    if (!peer.known || !isUp(peer)) return;
    this.#listener.unanswered(now, peer, probe.sentMs);
    const seq = this.#ping(now, probe);
    // Once it is suspected, many ask at once; the others' roundabout pings would only be more of the same.
    if (peer.standing !== 'alive') return;
    for (const relay of this.draw(RELAYS, peer)) {
      this.#listener.send(relay.id, { kind: 'ping-request', seq, member: peer.id });
    }
  }

  #ping(now: number, probe: Probe): number {
    this.#seq += 1;
    this.#pings.set(this.#seq, { probe, sentMs: now });
    this.#listener.send(probe.peer.id, { kind: 'ping', seq: this.#seq });
    return this.#seq;
  }

  #startRound(now: number): void {
    const { probeIntervalMs } = this.#timing;
    if (this.#expected.length > 0) {
      const answered = this.#expected.some((peer) => peer.lastHeardMs >= this.#roundStartMs);
      this.#distrust = Math.min(MAX_DISTRUST, Math.max(0, this.#distrust + (answered ? -1 : 1)));
    }
    for (const [seq, relay] of this.#relayed) if (now >= relay.untilMs) this.#relayed.delete(seq);
    for (const [seq, { probe }] of this.#pings) if (now >= probe.failMs) this.#pings.delete(seq);
    const lateMs = now - this.#roundStartMs - probeIntervalMs;
    this.#roundStartMs = lateMs < probeIntervalMs ? this.#roundStartMs + probeIntervalMs : now;
    const successor = this.#peers.find(isUp);
    const targets = successor === undefined ? [] : [successor];
    const next = this.#next();
    if (next !== undefined && next !== successor) targets.push(next);
    // That a suspect does not answer says nothing against this node.
    this.#expected = targets.filter((peer) => peer.known && peer.standing === 'alive');
    const most = targets.length + MAX_SUSPECTS;
    for (const peer of this.#peers) {
      if (targets.length >= most) break;
      if (isDoubted(peer) && peer !== successor && peer !== next) targets.push(peer);
    }
    for (const peer of targets) this.probe(now, peer);
  }

  /** Dead ones too are met in turn: one may have come back, or never have been away. */
  #next(): Peer | undefined {
    if (this.#order.length === 0) this.#order = shuffle(this.#random, [...this.#peers]);
    return this.#order.pop();
  }
}
