/**
 * Failure detector of the ring: SWIM (Das, Gupta, Motivala 2002) with Lifeguard's self-awareness
 * (Dadgar, Phillips, Currey 2018), as a pure machine that is told the time and returns what to do.
 *
 * A node pings its next few successors each interval. One that stays silent is probed through others, and a
 * connection to it is tried, since a refusal proves that its process is gone. Still silent, it is suspected;
 * and only once its silence has lasted the whole grace is it called dead. A member that hears of its own
 * suspicion refutes it with a higher incarnation.
 *
 * A node also doubts itself. If its own clock jumped, it was the one that was away, and that time counts
 * against nobody; if none of its probes is answered, it waits longer; if it hears nobody at all (and no
 * lease proves it connected), it calls nobody dead. Another node's word that someone is silent counts as suspicion only,
 * unless this node has not heard the member for the grace either, and for nothing if it was heard just now. A member never heard of is still
 * starting: its silence means nothing.
 */
import type { Address } from '../host/index.ts';
import { findMember, type RingConfiguration, successorsOf } from './configuration.ts';
import {
  type Claim,
  formatMember,
  isDead,
  type MemberId,
  outranks,
  type Standing,
  sameMember,
} from './member.ts';
import { claimBytes, GOSSIP_BYTES, type RingMessage } from './messages.ts';
import type { RingTiming } from './timing.ts';

export type DetectorOutput =
  | { readonly type: 'send'; readonly to: MemberId; readonly message: RingMessage }
  | { readonly type: 'connect'; readonly member: MemberId; readonly address: Address }
  | {
      readonly type: 'changed';
      readonly member: MemberId;
      readonly incarnation: number;
      readonly standing: Standing;
      readonly before: Standing;
    };

export interface DetectorOptions {
  readonly self: MemberId;
  readonly configuration: RingConfiguration;
  readonly timing: RingTiming;
  /** Whether to try connections for positive evidence of death. */
  readonly connectForEvidence: boolean;
}

/** Successors probed each interval, beside one other member in turn. */
const FANOUT = 3;
/** Members asked to probe a silent one. */
const RELAYS = 3;
const MAX_DISTRUST = 4;
/** Probes made on behalf of others that may be open at once. */
const MAX_RELAYED = 256;

interface Peer {
  readonly id: MemberId;
  address: Address;
  incarnation: number;
  standing: Standing;
  /** Heard by this node, or by one that gossiped of it. */
  known: boolean;
  lastHeardMs: number;
  /** When the first of the probes was sent that have gone unanswered since it was last heard. */
  silentSinceMs: number | undefined;
  lastConnectMs: number;
  /** How often the present claim was gossiped; the freshest go first. */
  toldTimes: number;
}

interface Probe {
  readonly target: string;
  sentMs: number;
  indirect: boolean;
}

interface RelayedProbe {
  readonly origin: MemberId;
  readonly originSeq: number;
  readonly untilMs: number;
}

export class Detector {
  readonly #self: MemberId;
  readonly #timing: RingTiming;
  readonly #connectForEvidence: boolean;
  #peers = new Map<string, Peer>();
  readonly #probes = new Map<number, Probe>();
  readonly #relayed = new Map<number, RelayedProbe>();
  #incarnation = 0;
  #left = false;
  #seq = 0;
  /** Lifeguard's local health: 0 trusts itself; each step slows its judgement. */
  #distrust = 0;
  #lastTickMs: number | undefined;
  #roundStartMs = Number.NEGATIVE_INFINITY;
  #roundTargets: string[] = [];
  #turn = 0;
  #outputs: DetectorOutput[] = [];

  constructor(options: DetectorOptions) {
    this.#self = options.self;
    this.#timing = options.timing;
    this.#connectForEvidence = options.connectForEvidence;
    this.configure(options.configuration);
  }

  /** Takes up the members of `configuration`; what was known of a generation that goes on is kept. */
  configure(configuration: RingConfiguration): void {
    const peers = new Map<string, Peer>();
    for (const member of successorsOf(configuration, this.#self)) {
      const key = formatMember(member);
      const held = this.#peers.get(key);
      if (held !== undefined) held.address = member.address;
      peers.set(key, held ?? newPeer(member));
    }
    this.#peers = peers;
    for (const [seq, probe] of this.#probes) if (!peers.has(probe.target)) this.#probes.delete(seq);
    for (const [seq, relay] of this.#relayed) {
      if (findMember(configuration, relay.origin) === undefined) this.#relayed.delete(seq);
    }
  }

  /** `leading`: probe everyone, for the probes are the heartbeats. `connected`: a lease proves that this node is reachable. */
  tick(now: number, { leading, connected }: { leading: boolean; connected: boolean }): DetectorOutput[] {
    if (this.#left) return [];
    this.#forgiveOwnAbsence(now);
    this.#judgeProbes(now);
    this.#judgeSilences(now, connected);
    if (now - this.#roundStartMs >= this.#timing.probeIntervalMs) this.#startRound(now, leading);
    for (const [seq, relay] of this.#relayed) if (now >= relay.untilMs) this.#relayed.delete(seq);
    return this.#take();
  }

  /** An authentic message of `from` has come, with `claims`. Call before its own content is looked at. */
  heard(now: number, from: MemberId, claims: readonly Claim[]): DetectorOutput[] {
    const peer = this.#peers.get(formatMember(from));
    if (peer !== undefined) notSilent(peer, now);
    for (const claim of claims) this.#merge(now, claim);
    return this.#take();
  }

  receive(now: number, from: MemberId, message: RingMessage): DetectorOutput[] {
    if (this.#left) return [];
    switch (message.kind) {
      case 'ping':
        this.#send(from, { kind: 'ack', seq: message.seq });
        break;
      case 'ack':
        this.#acknowledged(from, message.seq);
        break;
      case 'ping-request': {
        const target = this.#peers.get(formatMember(message.member));
        if (target === undefined || this.#relayed.size >= MAX_RELAYED) break;
        this.#seq += 1;
        const untilMs = now + 2 * this.#timing.probeIntervalMs;
        this.#relayed.set(this.#seq, { origin: from, originSeq: message.seq, untilMs });
        this.#send(target.id, { kind: 'ping', seq: this.#seq });
        break;
      }
      case 'vouch': {
        const probe = this.#probes.get(message.seq);
        const target = this.#peers.get(formatMember(message.member));
        if (probe === undefined || target === undefined || probe.target !== formatMember(target.id)) break;
        this.#probes.delete(message.seq);
        notSilent(target, now);
        break;
      }
    }
    return this.#take();
  }

  /**
   * Positive evidence that `member` has died. Everyone is told at once. `startedMs` is given for evidence
   * that means nothing of a member never heard, or heard since that time: a refused connection.
   */
  observeDeath(now: number, member: MemberId, startedMs?: number): DetectorOutput[] {
    const peer = this.#peers.get(formatMember(member));
    if (peer === undefined || peer.standing === 'dead' || peer.standing === 'left') return [];
    if (startedMs !== undefined && (!peer.known || peer.lastHeardMs >= startedMs)) return [];
    peer.known = true;
    this.#change(peer, peer.incarnation, 'dead');
    return this.announce(now);
  }

  /** Tells all now what would else ride on the next probes: a death, or that this node leads or leads no more. */
  announce(now: number): DetectorOutput[] {
    for (const peer of this.#peers.values()) if (isUp(peer)) this.#probe(now, peer);
    return this.#take();
  }

  /** Tells all that this node goes, on purpose; it stays quiet afterwards. */
  leave(now: number): DetectorOutput[] {
    const outputs = this.announce(now);
    this.#left = true;
    return outputs;
  }

  /** Claims to ride on a datagram to `to`: of itself, of the recipient if it has something to refute, then the least told. */
  gossip(to: MemberId): Claim[] {
    const own: Claim = {
      member: this.#self,
      incarnation: this.#incarnation,
      standing: this.#left ? 'left' : 'alive',
    };
    const claims = [own];
    let room = GOSSIP_BYTES - claimBytes(own);
    const recipient = formatMember(to);
    const priority = (peer: Peer) =>
      formatMember(peer.id) === recipient && peer.standing !== 'alive' ? -1 : peer.toldTimes;
    const peers = [...this.#peers.values()].filter((peer) => peer.known);
    peers.sort((a, b) => priority(a) - priority(b));
    for (const peer of peers) {
      const claim = { member: peer.id, incarnation: peer.incarnation, standing: peer.standing };
      room -= claimBytes(claim);
      if (room < 0) break;
      peer.toldTimes += 1;
      claims.push(claim);
    }
    return claims;
  }

  /** Undefined for who is not a member; this node itself is alive until it leaves. */
  standingOf(member: MemberId): Standing | undefined {
    if (sameMember(member, this.#self)) return this.#left ? 'left' : 'alive';
    return this.#peers.get(formatMember(member))?.standing;
  }

  /** Every other member, as held now. */
  claims(): Claim[] {
    return [...this.#peers.values()].map(({ id, incarnation, standing }) => ({
      member: id,
      incarnation,
      standing,
    }));
  }

  /** A late tick means that this node stood still: shifts every measure of others' silence by that time. */
  #forgiveOwnAbsence(now: number): void {
    const awayMs = this.#lastTickMs === undefined ? 0 : now - this.#lastTickMs - this.#timing.tickMs;
    this.#lastTickMs = now;
    if (awayMs < this.#timing.probeIntervalMs / 2) return;
    const missedRounds = Math.ceil(awayMs / this.#timing.probeIntervalMs);
    this.#distrust = Math.min(MAX_DISTRUST, this.#distrust + missedRounds);
    for (const probe of this.#probes.values()) probe.sentMs = Math.min(now, probe.sentMs + awayMs);
    for (const peer of this.#peers.values()) {
      peer.lastHeardMs = Math.min(now, peer.lastHeardMs + awayMs);
      if (peer.silentSinceMs !== undefined) peer.silentSinceMs = Math.min(now, peer.silentSinceMs + awayMs);
    }
  }

  #judgeProbes(now: number): void {
    const { probeTimeoutMs, probeIntervalMs } = this.#timing;
    const patience = 1 + this.#distrust;
    for (const [seq, probe] of this.#probes) {
      const peer = this.#peers.get(probe.target)!;
      if (peer.lastHeardMs > probe.sentMs) {
        this.#probes.delete(seq);
      } else if (now - probe.sentMs >= probeIntervalMs * patience) {
        this.#probes.delete(seq);
        if (peer.known && peer.standing === 'alive') this.#change(peer, peer.incarnation, 'suspect');
      } else if (!probe.indirect && now - probe.sentMs >= probeTimeoutMs * patience) {
        probe.indirect = true;
        if (!peer.known) continue;
        peer.silentSinceMs ??= probe.sentMs;
        this.#askOthers(seq, peer);
        this.#seekEvidence(now, peer);
      }
    }
  }

  #askOthers(seq: number, silent: Peer): void {
    let relays = 0;
    for (const peer of this.#peers.values()) {
      if (peer === silent || peer.standing !== 'alive' || !peer.known) continue;
      this.#send(peer.id, { kind: 'ping-request', seq, member: silent.id });
      relays += 1;
      if (relays === RELAYS) return;
    }
  }

  #seekEvidence(now: number, peer: Peer): void {
    if (!this.#connectForEvidence || peer.standing === 'dead' || peer.standing === 'left') return;
    if (now - peer.lastConnectMs < this.#timing.connectIntervalMs) return;
    peer.lastConnectMs = now;
    this.#outputs.push({ type: 'connect', member: peer.id, address: peer.address });
  }

  #judgeSilences(now: number, connected: boolean): void {
    const { graceMs, probeIntervalMs } = this.#timing;
    const patienceMs = graceMs * (1 + this.#distrust / MAX_DISTRUST);
    let hearsSomeone = connected;
    for (const peer of this.#peers.values()) hearsSomeone ||= now - peer.lastHeardMs <= 3 * probeIntervalMs;
    if (!hearsSomeone) return;
    for (const peer of this.#peers.values()) {
      if (peer.standing !== 'suspect' || peer.silentSinceMs === undefined) continue;
      if (now - peer.silentSinceMs >= patienceMs) this.#change(peer, peer.incarnation, 'silent');
    }
  }

  #startRound(now: number, leading: boolean): void {
    if (this.#roundTargets.length > 0) {
      const answered = this.#roundTargets.some((key) => {
        const peer = this.#peers.get(key);
        return peer !== undefined && peer.lastHeardMs >= this.#roundStartMs;
      });
      this.#distrust = answered
        ? Math.max(0, this.#distrust - 1)
        : Math.min(MAX_DISTRUST, this.#distrust + 1);
    }
    this.#roundStartMs = now;
    const all = [...this.#peers.values()];
    const up = all.filter(isUp);
    const targets = leading ? up : up.slice(0, FANOUT);
    const others = all.filter((peer) => !targets.includes(peer));
    for (const peer of targets) this.#probe(now, peer);
    this.#roundTargets = targets.filter((peer) => peer.known).map((peer) => formatMember(peer.id));
    // Far members and dead ones are met in turn: one may have come back, or never have been away.
    if (others.length > 0) {
      this.#turn += 1;
      this.#probe(now, others[this.#turn % others.length]!);
    }
  }

  #probe(now: number, peer: Peer): void {
    this.#seq += 1;
    this.#probes.set(this.#seq, { target: formatMember(peer.id), sentMs: now, indirect: false });
    this.#send(peer.id, { kind: 'ping', seq: this.#seq });
  }

  #acknowledged(from: MemberId, seq: number): void {
    const relay = this.#relayed.get(seq);
    if (relay !== undefined) {
      this.#relayed.delete(seq);
      this.#send(relay.origin, { kind: 'vouch', seq: relay.originSeq, member: from });
    }
    if (this.#probes.get(seq)?.target === formatMember(from)) this.#probes.delete(seq);
  }

  #merge(now: number, claim: Claim): void {
    if (sameMember(claim.member, this.#self)) {
      this.#answerForSelf(claim);
      return;
    }
    const peer = this.#peers.get(formatMember(claim.member));
    if (peer === undefined) return;
    peer.known = true;
    const sinceHeardMs = now - peer.lastHeardMs;
    let { standing } = claim;
    if (standing === 'suspect' || standing === 'silent') {
      // Own ears are better evidence than another's silence.
      if (sinceHeardMs < 2 * this.#timing.probeIntervalMs) return;
      if (sinceHeardMs < this.#timing.graceMs) standing = 'suspect';
    }
    // It has refuted the silence that this node remembers: that must not count when the next one begins.
    if (standing === 'alive' && claim.incarnation > peer.incarnation) peer.silentSinceMs = undefined;
    if (outranks({ ...claim, standing }, peer)) this.#change(peer, claim.incarnation, standing);
  }

  #answerForSelf(claim: Claim): void {
    if (this.#left) return;
    if (claim.standing === 'alive') {
      this.#incarnation = Math.max(this.#incarnation, claim.incarnation);
    } else if (claim.incarnation >= this.#incarnation) {
      this.#incarnation = claim.incarnation + 1;
      this.#outputs.push({
        type: 'changed',
        member: this.#self,
        incarnation: this.#incarnation,
        standing: 'alive',
        before: claim.standing,
      });
    }
  }

  #change(peer: Peer, incarnation: number, standing: Standing): void {
    const before = peer.standing;
    peer.incarnation = incarnation;
    peer.standing = standing;
    peer.toldTimes = 0;
    if (standing !== before) {
      this.#outputs.push({ type: 'changed', member: peer.id, incarnation, standing, before });
    }
  }

  #send(to: MemberId, message: RingMessage): void {
    this.#outputs.push({ type: 'send', to, message });
  }

  #take(): DetectorOutput[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }
}

function newPeer({ slot, generation, address }: MemberId & { address: Address }): Peer {
  return {
    id: { slot, generation },
    address,
    incarnation: 0,
    standing: 'alive',
    known: false,
    lastHeardMs: Number.NEGATIVE_INFINITY,
    silentSinceMs: undefined,
    lastConnectMs: Number.NEGATIVE_INFINITY,
    toldTimes: 0,
  };
}

function notSilent(peer: Peer, now: number): void {
  peer.lastHeardMs = now;
  peer.silentSinceMs = undefined;
  peer.known = true;
}

function isUp(peer: Peer): boolean {
  return !isDead(peer.standing) && peer.standing !== 'left';
}
