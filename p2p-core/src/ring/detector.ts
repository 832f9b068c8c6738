/**
 * Failure detector of the ring: SWIM (Das, Gupta, Motivala 2002) with Lifeguard's refinements (Dadgar, Phillips,
 * Currey 2018), as a pure machine that is told the time and returns what to do.
 *
 * A member that does not answer this node, nor others in its place, is suspected, and the suspicion is told with its
 * age and its accuser. It is called dead only once nobody has heard it for the whole grace, this node itself has asked
 * in vain, and others say the same; alone, a node waits longer. A member that hears of its own suspicion refutes it
 * with a higher incarnation, and every message to it says that it is suspected. A connection is tried too, since a refusal proves
 * that its process is gone: such evidence counts at once, and is passed on at once.
 *
 * A node also doubts itself. If it was woken late, it was the one that was away: that time counts against nobody, and it
 * says that it lives before anyone asks. If none of its probes is answered, it waits longer; if it hears nobody at all
 * (and no lease proves it connected), it calls nobody dead. A member never heard of is still starting: its silence means nothing.
 */
import type { Address, Random } from '../host/index.ts';
import { AntiEntropy } from './anti-entropy.ts';
import { type RingConfiguration, successorsOf } from './configuration.ts';
import { Dissemination } from './dissemination.ts';
import { calledInVain, callLast, nextCallMs, silenceStartMs, verdictMs } from './last-call.ts';
import { type Claim, formatMember, type MemberId, outranks, type Standing, sameMember } from './member.ts';
import { claimBytes, GOSSIP_BYTES, type RingMessage } from './messages.ts';
import { isUp, newPeer, notSilent, notSuspected, type Peer, silentForLess } from './peer.ts';
import { Prober } from './prober.ts';
import type { RoundTrips } from './round-trips.ts';
import { newSuspicion } from './suspicion.ts';
import type { RingTiming } from './timing.ts';

export type DetectorOutput =
  /** `claims` are what it carries, instead of the news. */
  | {
      readonly type: 'send';
      readonly to: MemberId;
      readonly message: RingMessage;
      readonly claims?: readonly Claim[] | undefined;
    }
  | { readonly type: 'connect'; readonly member: MemberId; readonly address: Address }
  | StandingChange;

export interface StandingChange {
  readonly type: 'changed';
  readonly member: MemberId;
  readonly incarnation: number;
  readonly standing: Standing;
  /** Of a verdict by silence: how many others had said so, and how long it was. */
  readonly confirmations?: number;
  readonly silentMs?: number;
}

export interface DetectorOptions {
  readonly self: MemberId;
  readonly configuration: RingConfiguration;
  readonly timing: RingTiming;
  /** Whether to try connections for positive evidence of death. */
  readonly connectForEvidence: boolean;
}

/** A dead member, as the leader has it redeployed. */
export interface Death {
  readonly member: MemberId;
  readonly cause: 'evidence' | 'silence';
  /** Of a silence: how long it lasts by now. */
  readonly silentMs?: number;
}

/** Claims ride on this many messages, times the logarithm of the ring's size (memberlist's and SWIM's lambda). */
const TOLD_FACTOR = 3;
/** Who learns a death by evidence tells so many others at once; the rest hear it on what is sent anyway. */
const SPREAD = 3;
const NOTHING: readonly DetectorOutput[] = [];
const NO_DEATHS: readonly Death[] = [];
const NO_CLAIMS: readonly Claim[] = [];

export class Detector {
  readonly #self: MemberId;
  readonly #timing: RingTiming;
  readonly #connectForEvidence: boolean;
  readonly #prober: Prober;
  readonly #news: Dissemination;
  readonly #antiEntropy: AntiEntropy;
  /** By slot, of which the ring has one generation. */
  #peers = new Map<string, Peer>();
  /** Of them, those that are suspect or dead. */
  readonly #doubtful = new Set<Peer>();
  #incarnation = 0;
  #left = false;
  /** This node may act as the leader: its lease proves it connected, and it makes last calls. */
  #acting = false;
  #heardMs = Number.NEGATIVE_INFINITY;
  #judgedMs = Number.NEGATIVE_INFINITY;
  #spreads = false;
  #outputs: DetectorOutput[] = [];

  constructor({ random }: { readonly random: Random }, options: DetectorOptions) {
    this.#self = options.self;
    this.#timing = options.timing;
    this.#connectForEvidence = options.connectForEvidence;
    this.#news = new Dissemination({
      copies: () => TOLD_FACTOR * Math.ceil(Math.log2(this.#peers.size + 2)),
    });
    const listener = {
      send: (to: MemberId, message: RingMessage) => this.#send(to, message),
      unanswered: (now: number, peer: Peer, sinceMs: number) => this.#unanswered(now, peer, sinceMs),
      failed: (now: number, peer: Peer) => this.#failed(now, peer),
    };
    this.#antiEntropy = new AntiEntropy(
      {
        random,
        claims: (now) => this.#allClaims(now),
        partner: () => this.#prober.draw(1)[0]?.id,
        send: (to, message, claims) => this.#send(to, message, claims),
      },
      options.timing,
    );
    this.#prober = new Prober({ random, listener }, options.timing);
    this.configure(options.configuration);
  }

  get roundTrips(): RoundTrips {
    return this.#prober.roundTrips;
  }

  /** Takes up the members of `configuration`; what was known of a generation that goes on is kept. */
  configure(configuration: RingConfiguration): void {
    const peers = new Map<string, Peer>();
    for (const member of successorsOf(configuration, this.#self)) {
      const held = this.#peer(member);
      if (held !== undefined) held.address = member.address;
      peers.set(member.slot, held ?? newPeer(member));
    }
    for (const [slot, peer] of this.#peers) {
      if (peers.get(slot) === peer) continue;
      this.#doubtful.delete(peer);
      this.#news.forget(peer.id);
    }
    this.#peers = peers;
    this.#prober.configure([...peers.values()]);
  }

  /** When `wake` is due; a later wake means that this node stood still. */
  nextDueMs(): number {
    if (this.#left) return Number.POSITIVE_INFINITY;
    let dueMs = Math.min(this.#prober.nextDueMs(), this.#antiEntropy.nextDueMs);
    for (const peer of this.#doubtful) {
      if (peer.standing === 'dead') continue;
      const judgeMs = verdictMs(peer, this.#prober.distrust);
      // One that was due before, and not passed, waits for something to be heard.
      if (peer.standing === 'suspect' && judgeMs > this.#judgedMs) dueMs = Math.min(dueMs, judgeMs);
      if (this.#acting) dueMs = Math.min(dueMs, nextCallMs(peer));
    }
    return dueMs;
  }

  /** `acting`: this node leads, and its lease is good. */
  wake(now: number, acting: boolean): readonly DetectorOutput[] {
    if (this.#left) return NOTHING;
    this.#acting = acting;
    this.#prober.wake(now);
    this.#judge(now);
    if (this.#acting) this.#callLast(now);
    this.#antiEntropy.wake(now);
    return this.#take();
  }

  /** This node stood still for `awayMs`: shifts every measure of others' silence, and tells that it is back. */
  wasAway(now: number, awayMs: number): readonly DetectorOutput[] {
    if (this.#left) return NOTHING;
    this.#prober.forgive(now, awayMs);
    for (const peer of this.#peers.values()) {
      silentForLess(peer, now, awayMs);
    }
    this.#incarnation += 1;
    this.#news.put(now, this.#ownClaim());
    this.#tell(this.#prober.draw(Math.ceil(Math.log2(this.#peers.size + 1)) + 2));
    return this.#take();
  }

  /** An authentic message of `from` has come, with `claims`. Call before its own content is looked at. */
  heard(now: number, from: MemberId, claims: readonly Claim[]): readonly DetectorOutput[] {
    const peer = this.#peer(from);
    if (peer !== undefined) {
      if (this.#heardMs === Number.NEGATIVE_INFINITY) this.#antiEntropy.begin(now, peer.id);
      this.#heardMs = now;
      notSilent(peer, now);
    }
    for (const claim of claims) this.#merge(now, claim);
    return this.#take();
  }

  receive(now: number, from: MemberId, message: RingMessage): readonly DetectorOutput[] {
    if (this.#left) return NOTHING;
    const peer = this.#peer(from);
    switch (message.kind) {
      case 'ping':
        this.#send(from, { kind: 'ack', seq: message.seq });
        break;
      case 'ack':
        if (peer === undefined) break;
        peer.lastAnswerMs = now;
        this.#prober.acknowledged(now, peer, message.seq);
        break;
      case 'ping-request': {
        const target = this.#peer(message.member);
        if (target !== undefined) this.#prober.relay(now, from, message.seq, target);
        break;
      }
      case 'vouch': {
        const target = this.#peer(message.member);
        if (target !== undefined && this.#prober.vouched(target, message.seq)) notSilent(target, now);
        break;
      }
      case 'sync':
      case 'sync-page':
        this.#antiEntropy.receive(now, from, message);
        break;
    }
    return this.#take();
  }

  /**
   * Positive evidence that `member` has died. `startedMs` is given for evidence that means nothing of a
   * member never heard, or heard since that time: a refused connection.
   */
  observeDeath(now: number, member: MemberId, startedMs?: number): readonly DetectorOutput[] {
    const peer = this.#peer(member);
    if (peer === undefined || peer.standing === 'dead' || peer.standing === 'left') return NOTHING;
    if (startedMs !== undefined && (!peer.known || peer.lastHeardMs >= startedMs)) return NOTHING;
    peer.known = true;
    this.#change(now, peer, peer.incarnation, 'dead');
    return this.#take();
  }

  /** Pings every other member, beside the probes; their answers show in `members`. */
  pingAll(): readonly DetectorOutput[] {
    if (this.#left) return NOTHING;
    for (const peer of this.#peers.values()) this.#prober.call(peer);
    return this.#take();
  }

  /** Tells all at once what would else ride on the next messages to them. */
  tell(): readonly DetectorOutput[] {
    // Who is leaving waits to hear that another leads.
    this.#tell([...this.#peers.values()].filter((peer) => isUp(peer) || peer.standing === 'left'));
    return this.#take();
  }

  /** This node goes, on purpose: it says so in whatever it still sends, and watches nobody. */
  leave(): void {
    this.#left = true;
  }

  /** What a message to `to` carries: what `to` must refute, what its sender says of itself, and news. */
  gossip(now: number, to: MemberId, about?: MemberId): readonly Claim[] {
    const recipient = this.#peer(to);
    if (recipient?.standing === 'alive' && !this.#left && about === undefined && this.#news.isEmpty)
      return NO_CLAIMS;
    const claims: Claim[] = [];
    if (recipient !== undefined && recipient.standing !== 'alive') claims.push(this.#claimOf(now, recipient));
    if (this.#left) claims.push(this.#ownClaim());
    const subject = about && this.#peer(about);
    if (subject !== undefined && subject !== recipient) claims.push(this.#claimOf(now, subject));
    if (this.#news.isEmpty) return claims;
    let room = GOSSIP_BYTES;
    for (const claim of claims) room -= claimBytes(claim);
    return [...claims, ...this.#news.take(now, to, room)];
  }

  /** Undefined for who is not a member; this node itself is alive until it leaves. */
  standingOf(member: MemberId): Standing | undefined {
    if (sameMember(member, this.#self)) return this.#left ? 'left' : 'alive';
    return this.#peer(member)?.standing;
  }

  /** Whether `member` was ever heard, by this node or another. */
  knows(member: MemberId): boolean {
    return this.#peer(member)?.known === true;
  }

  /** Every other member, as held now, in ring order. */
  members(): (Claim & Pick<Peer, 'lastAnswerMs'>)[] {
    return [...this.#peers.values()].map(({ id, incarnation, standing, lastAnswerMs }) => ({
      member: id,
      incarnation,
      standing,
      lastAnswerMs,
    }));
  }

  /** The members to be redeployed: dead by evidence, or by a silence in which this node's last call was in vain too. */
  deaths(now: number): readonly Death[] {
    if (this.#doubtful.size === 0) return NO_DEATHS;
    const deaths: Death[] = [];
    for (const peer of this.#doubtful) {
      if (peer.standing === 'dead') deaths.push({ member: peer.id, cause: 'evidence' });
      else if (peer.standing === 'silent' && calledInVain(now, peer)) {
        const silentMs = Math.round(now - silenceStartMs(peer));
        deaths.push({ member: peer.id, cause: 'silence', silentMs });
      }
    }
    return deaths;
  }

  #peer({ slot, generation }: MemberId): Peer | undefined {
    const peer = this.#peers.get(slot);
    return peer?.id.generation === generation ? peer : undefined;
  }

  // ---- probes

  #unanswered(now: number, peer: Peer, sinceMs: number): void {
    peer.silentSinceMs ??= sinceMs;
    if (!this.#connectForEvidence || now - peer.lastConnectMs < this.#timing.connectIntervalMs) return;
    peer.lastConnectMs = now;
    this.#outputs.push({ type: 'connect', member: peer.id, address: peer.address });
  }

  #failed(now: number, peer: Peer): void {
    if (!peer.known || peer.silentSinceMs === undefined) return;
    if (peer.standing === 'alive') this.#suspect(now, peer, peer.incarnation, peer.silentSinceMs);
    if (peer.standing === 'suspect') this.#accuse(now, peer, this.#self);
  }

  // ---- judgement

  #suspect(now: number, peer: Peer, incarnation: number, sinceMs: number): void {
    // Neither this node nor the suspect can confirm.
    peer.suspicion = newSuspicion(sinceMs, this.#timing.graceMs, this.#peers.size - 1);
    this.#change(now, peer, incarnation, 'suspect');
  }

  /** Accusations are told on while they matter. */
  #accuse(now: number, peer: Peer, accuser: MemberId): void {
    if (peer.suspicion?.confirm(formatMember(accuser)))
      this.#news.put(now, this.#claimOf(now, peer, accuser));
  }

  #judge(now: number): void {
    this.#judgedMs = now;
    const hearsSomeone = this.#acting || now - this.#heardMs <= 3 * this.#timing.probeIntervalMs;
    if (!hearsSomeone) return;
    for (const peer of this.#doubtful) {
      // Not by hearsay alone: this node must have asked in vain itself.
      if (peer.standing !== 'suspect' || peer.silentSinceMs === undefined) continue;
      if (now >= verdictMs(peer, this.#prober.distrust)) this.#change(now, peer, peer.incarnation, 'silent');
    }
  }

  #callLast(now: number): void {
    for (const peer of this.#doubtful)
      if (callLast(now, peer, this.roundTrips.timeoutMs(peer.id))) this.#prober.call(peer);
  }

  // ---- claims

  #merge(now: number, claim: Claim): void {
    if (sameMember(claim.member, this.#self)) {
      this.#answerForSelf(now, claim);
      return;
    }
    const peer = this.#peer(claim.member);
    if (peer === undefined) return;
    peer.known = true;
    if (claim.standing === 'suspect' || claim.standing === 'silent') this.#accused(now, peer, claim);
    else if (outranks(claim, peer)) this.#change(now, peer, claim.incarnation, claim.standing);
  }

  /** Another's word that `peer` is silent, be it long enough for a verdict, makes it suspect here and no more. */
  #accused(now: number, peer: Peer, claim: Claim): void {
    if (claim.incarnation < peer.incarnation || claim.accuser === undefined) return;
    // Own ears are better evidence than another's silence.
    if (now - peer.lastHeardMs < 2 * this.#timing.probeIntervalMs) return;
    const sinceMs = Math.max(now - (claim.silentMs ?? 0), peer.lastHeardMs);
    if (claim.incarnation > peer.incarnation || peer.standing === 'alive') {
      this.#suspect(now, peer, claim.incarnation, sinceMs);
    } else if (peer.standing === 'suspect') peer.suspicion?.startsLater(sinceMs);
    else return;
    this.#accuse(now, peer, claim.accuser);
  }

  #answerForSelf(now: number, claim: Claim): void {
    if (this.#left) return;
    if (claim.standing === 'alive') {
      this.#incarnation = Math.max(this.#incarnation, claim.incarnation);
    } else if (claim.incarnation >= this.#incarnation) {
      this.#incarnation = claim.incarnation + 1;
      this.#news.put(now, this.#ownClaim());
      const incarnation = this.#incarnation;
      this.#outputs.push({ type: 'changed', member: this.#self, incarnation, standing: 'alive' });
    }
  }

  #change(now: number, peer: Peer, incarnation: number, standing: Standing): void {
    const before = peer.standing;
    peer.incarnation = incarnation;
    peer.standing = standing;
    if (standing === 'alive' || standing === 'left') this.#doubtful.delete(peer);
    else this.#doubtful.add(peer);
    if (standing === 'alive') notSuspected(peer);
    if (standing === 'dead') this.#spreads = true;
    // Suspicions are told by their accusers' names.
    if (standing !== 'suspect') this.#news.put(now, this.#claimOf(now, peer));
    if (standing === before) return;
    const verdict =
      standing === 'silent'
        ? {
            confirmations: peer.suspicion?.confirmations ?? 0,
            silentMs: Math.round(now - silenceStartMs(peer)),
          }
        : {};
    this.#outputs.push({ type: 'changed', member: peer.id, incarnation, standing, ...verdict });
  }

  #claimOf(now: number, peer: Peer, accuser: MemberId = this.#self): Claim {
    const { id: member, incarnation, standing } = peer;
    if (standing !== 'suspect' && standing !== 'silent') return { member, incarnation, standing };
    const silentMs = Math.max(0, Math.floor(now - silenceStartMs(peer)));
    return { member, incarnation, standing, accuser, silentMs };
  }

  #ownClaim(): Claim {
    return {
      member: this.#self,
      incarnation: this.#incarnation,
      standing: this.#left ? 'left' : 'alive',
    };
  }

  *#allClaims(now: number): Iterable<Claim> {
    yield this.#ownClaim();
    for (const peer of this.#peers.values()) yield this.#claimOf(now, peer);
  }

  #send(to: MemberId, message: RingMessage, claims?: readonly Claim[]): void {
    this.#outputs.push({ type: 'send', to, message, claims });
  }

  #tell(listeners: readonly Peer[]): void {
    for (const peer of listeners) this.#send(peer.id, { kind: 'news' });
  }

  #take(): readonly DetectorOutput[] {
    if (this.#spreads) {
      this.#spreads = false;
      this.#tell(this.#prober.draw(SPREAD));
    }
    const outputs = this.#outputs;
    if (outputs.length === 0) return NOTHING;
    this.#outputs = [];
    return outputs;
  }
}
