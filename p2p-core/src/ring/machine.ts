/**
 * One node of the ring as a pure machine: detector, election, leadership and healer, wired together.
 *
 * It is told the time and one thing that happened (`step`), and returns what is to be done, in order. It
 * does no I/O and holds no promise, so tests run whole rings of it in virtual time. Death, as the detector
 * sees it, moves the election; winning that asks for the lease; holding the lease sets the healer to work;
 * and every loss on the way stops all that follows from it.
 */
import type { Random } from '../host/index.ts';
import type { VoteRecord } from './ballot.ts';
import {
  checkConfiguration,
  findMember,
  majorityOf,
  memberInSlot,
  type RingConfiguration,
  replacesConfiguration,
} from './configuration.ts';
import { Correspondents } from './correspondents.ts';
import { Deaths } from './deaths.ts';
import { Detector, type DetectorOutput, type StandingChange } from './detector.ts';
import { Election, type ElectionOutput } from './election.ts';
import { factOf, type RingFact } from './events.ts';
import { Healer, type RedeploymentAnswer } from './healer.ts';
import { LamportClock } from './lamport.ts';
import { Leadership, type LeadershipOutput } from './leadership.ts';
import { type Claim, type MemberId, sameMember, stateOf } from './member.ts';
import type { Envelope, LeaderShown, RingMessage } from './messages.ts';
import type { DropCause, RingInput, RingOutput, RingStatus } from './step.ts';
import type { RingTiming } from './timing.ts';
import { chooseSuccessor, Transfer } from './transfer.ts';

export interface RingMachineOptions {
  readonly self: MemberId;
  readonly configuration: RingConfiguration;
  /** What disk holds of this generation's votes. */
  readonly record: VoteRecord | undefined | 'lost';
  readonly timing: RingTiming;
  readonly connectForEvidence: boolean;
}

/** Of the probe interval: who is woken later than this was away. */
const AWAY_SHARE = 1 / 2;
const LEAST_SLEEP_MS = 1;
const NOTHING: readonly RingOutput[] = [];

export class RingMachine {
  readonly #self: MemberId;
  readonly #detector: Detector;
  readonly #election: Election;
  readonly #leadership: Leadership;
  readonly #healer: Healer;
  readonly #lamport: LamportClock;
  readonly #timing: RingTiming;
  readonly #correspondents: Correspondents;
  readonly #deaths: Deaths;
  #configuration: RingConfiguration;
  #transfer: Transfer | undefined;
  #left = false;
  #dueMs = Number.POSITIVE_INFINITY;
  /** What comes right after this node stood still may have waited for it all that time. */
  #backlog = { waitedMs: 0, untilMs: Number.NEGATIVE_INFINITY };
  /** Of its own slot, until told of; and whether it is one of the members itself. */
  #successorGeneration: number | undefined;
  #isMember = false;
  #over = false;
  #recordLossTold: boolean;
  #outputs: RingOutput[] = [];

  constructor(components: { random: Random; lamport?: LamportClock }, options: RingMachineOptions) {
    checkConfiguration(options.configuration);
    this.#lamport = components.lamport ?? new LamportClock();
    this.#self = options.self;
    this.#configuration = options.configuration;
    this.#findOwnPlace();
    this.#correspondents = new Correspondents(options.self, options.configuration);
    this.#deaths = new Deaths(options.configuration);
    this.#timing = options.timing;
    this.#recordLossTold = options.record !== 'lost';
    this.#detector = new Detector(components, options);
    this.#leadership = new Leadership(options.timing);
    this.#healer = new Healer(options.timing);
    const standingOf = (member: MemberId) => this.#detector.standingOf(member);
    const quorumMs = () => this.#quorumMs();
    this.#election = new Election({ random: components.random, standingOf, quorumMs }, options);
  }

  /** When to wake it, if nothing happens before; it notices if that is late. Far off once it has left. */
  get nextDueMs(): number {
    return this.#dueMs;
  }

  /** What is to be done, in order, after `input` happened at `now`. Throws RingError for a `configure` only. */
  step(now: number, input: RingInput): readonly RingOutput[] {
    if (this.#successorGeneration !== undefined) this.#noticeEnd(now);
    const awayMs = now - this.#dueMs;
    if (input.type === 'configure') this.#configure(now, input.configuration);
    if (this.#takesPart) {
      if (awayMs >= AWAY_SHARE * this.#timing.probeIntervalMs) {
        this.#backlog = { waitedMs: awayMs, untilMs: now + AWAY_SHARE * this.#timing.probeIntervalMs };
        this.#doDetector(now, this.#detector.wasAway(now, awayMs));
      }
      if (input.type !== 'configure') this.#handle(now, input);
      if (this.#takesPart) this.#wake(now);
    }
    this.#dueMs = this.#takesPart ? this.#nextDueMs(now) : Number.POSITIVE_INFINITY;
    const outputs = this.#outputs;
    if (outputs.length === 0) return NOTHING;
    this.#outputs = [];
    return outputs;
  }

  status(now: number): RingStatus {
    return {
      self: this.#self,
      term: this.#election.term,
      role: this.#election.role,
      leader: this.#election.leader,
      leading: this.#leadership.mayAct(now),
      configurationVersion: this.#configuration.version,
      members: this.#detector.members().map(({ member, incarnation, standing, lastAnswerMs }) => ({
        member,
        state: stateOf(standing),
        incarnation,
        lastAnswerMs,
      })),
      lamport: this.#lamport.time,
      dropped: this.#correspondents.dropped,
    };
  }

  countDrop(reason: DropCause): void {
    this.#correspondents.countDrop(reason);
  }

  #handle(now: number, input: Exclude<RingInput, { type: 'configure' }>): void {
    switch (input.type) {
      case 'wake':
        break;
      case 'received':
        this.#received(now, input.envelope);
        break;
      case 'persisted':
        this.#doElection(now, this.#election.persisted(now, input.seq));
        break;
      case 'persist-failed':
        this.#doElection(now, this.#election.persistFailed(now, input.seq, input.detail));
        break;
      case 'lease-answered':
        this.#election.setAuthorityReachable(now, input.answer !== undefined);
        this.#doLeadership(now, this.#leadership.answered(now, input.request, input.answer));
        break;
      case 'redeployment-answered':
        this.#redeploymentAnswered(now, input.request, input.answer);
        break;
      case 'connection-refused':
        this.#deathProven(now, input.member, 'its agent refused a connection', input.startedMs);
        break;
      case 'death-observed':
        this.#deathProven(now, input.member, input.evidence);
        break;
      case 'slot-deaths':
        this.#deaths.reported(now, input.deaths);
        break;
      case 'authority-reachable':
        this.#election.setAuthorityReachable(now, input.reachable);
        break;
      case 'ping-all':
        this.#doDetector(now, this.#detector.pingAll());
        break;
      case 'leave':
        this.#leave(now);
        break;
    }
  }

  get #takesPart(): boolean {
    return !this.#left && this.#isMember;
  }

  #nextDueMs(now: number): number {
    let dueMs = Math.min(
      this.#detector.nextDueMs(),
      this.#election.nextDueMs(now),
      this.#leadership.nextDueMs(),
    );
    if (this.#leadership.mayAct(now)) dueMs = Math.min(dueMs, this.#healer.nextDueMs());
    if (this.#transfer !== undefined) dueMs = Math.min(dueMs, this.#transfer.nextDueMs);
    // All that was due has been done: what rounding makes due at this very instant again has time.
    return Math.max(dueMs, now + LEAST_SLEEP_MS);
  }

  /** Everything whose time has come: after each input, since each may have brought it nearer. */
  #wake(now: number): void {
    if (!this.#recordLossTold) {
      this.#recordLossTold = true;
      this.#emit(now, {
        type: 'vote-record-lost',
        detail:
          'Its record is missing or damaged although it has voted; it votes again once its slot is redeployed.',
      });
    }
    this.#doLeadership(now, this.#leadership.wake(now));
    this.#doDetector(now, this.#detector.wake(now, this.#leadership.mayAct(now)));
    this.#doElection(now, this.#election.wake(now));
    if (this.#transfer !== undefined) this.#awaitSuccessor(now, this.#transfer);
    if (!this.#leadership.mayAct(now)) return;
    for (const output of this.#healer.wake(now, this.#deaths.all(now, this.#detector.deaths(now)))) {
      const { slot, generation, term, reason, cause, silentMs } = output.redeployment;
      const silence = silentMs === undefined ? {} : { silentMs };
      this.#emit(now, { type: 'redeployment-asked', slot, generation, term, reason, cause, ...silence });
      this.#outputs.push(output);
    }
  }

  /** A leader goes on purpose: asks the best placed to stand, and stays to vote until that one leads. */
  #leave(now: number): void {
    if (this.#transfer !== undefined) return;
    const leads = this.#election.role === 'leader';
    const to = leads ? this.#successor() : undefined;
    const round = this.#election.term + 1;
    this.#detector.leave();
    // A leader's end is told to all anyway.
    this.#doElection(now, this.#election.resign(now));
    if (!leads) this.#doDetector(now, this.#detector.tell());
    if (to === undefined) {
      this.#finishLeaving();
      return;
    }
    this.#emit(now, { type: 'leader-transfer', term: round, to });
    this.#transfer = new Transfer(now, { to, round, patienceMs: this.#timing.transferMs });
  }

  #awaitSuccessor(now: number, transfer: Transfer): void {
    const { to, round } = transfer;
    if (transfer.isVain(now) || this.#election.leader !== undefined) this.#finishLeaving();
    else if (transfer.asksNow(now, this.#detector.roundTrips.timeoutMs(to)) && this.#election.term < round)
      this.#send(now, to, { kind: 'stand-now', round });
  }

  #finishLeaving(): void {
    this.#transfer = undefined;
    this.#left = true;
    this.#outputs.push({ type: 'gone' });
  }

  #successor(): MemberId | undefined {
    const detector = this.#detector;
    return chooseSuccessor(
      this.#configuration.members.filter((member) => {
        const canLead = member.voter && !sameMember(member, this.#self);
        return canLead && detector.knows(member) && detector.standingOf(member) === 'alive';
      }),
      (member) => this.#correspondents.versionOf(member.slot),
      (member) => detector.roundTrips.averageMs(member),
    );
  }

  /** By when a majority has usually answered this node. */
  #quorumMs(): number | undefined {
    const others = majorityOf(this.#configuration) - 1;
    if (others === 0) return undefined;
    const voters = this.#configuration.members.filter(
      (member) => member.voter && !sameMember(member, this.#self),
    );
    return this.#detector.roundTrips.quorumMs(voters, others);
  }

  /** `startedMs`: when the attempt began that gave the evidence; a member heard since then is not dead. */
  #deathProven(now: number, member: MemberId, evidence: string, startedMs?: number): void {
    const outputs = this.#detector.observeDeath(now, member, startedMs);
    if (outputs.length === 0) return;
    this.#deaths.proven(member, evidence);
    this.#doDetector(now, outputs);
  }

  #received(now: number, envelope: Envelope): void {
    const { from, message } = envelope;
    const accepted = this.#correspondents.accept(envelope);
    if (accepted === undefined) return;
    this.#lamport.merge(envelope.lamport);
    this.#doDetector(now, this.#detector.heard(now, from, envelope.gossip));
    // What an overtaken message shows of the leader is out of date.
    if (accepted.newest) this.#doElection(now, this.#election.hear(now, from, this.#dated(now, envelope)));
    this.#doDetector(now, this.#detector.receive(now, from, message));
    this.#doElection(now, this.#election.receive(now, from, message, envelope));
  }

  /** What an envelope shows of a lease, less the time that it may have waited for this node. */
  #dated(now: number, { term, leader }: Envelope): Pick<Envelope, 'term' | 'leader'> {
    const { waitedMs, untilMs } = this.#backlog;
    if (leader === undefined || now > untilMs) return { term, leader };
    return { term, leader: { ...leader, leaseMs: Math.max(0, leader.leaseMs - waitedMs) } };
  }

  #redeploymentAnswered(now: number, request: number, answer: RedeploymentAnswer | undefined): void {
    const death = this.#healer.answered(now, request, answer);
    this.#election.setAuthorityReachable(now, answer !== undefined);
    if (death === undefined) return;
    const outcome = answer === undefined ? 'unreachable' : answer.accepted ? 'accepted' : 'refused';
    const code = answer?.code === undefined ? {} : { code: answer.code };
    const { slot, generation } = death;
    this.#emit(now, { type: 'redeployment-answered', slot, generation, outcome, ...code });
    if (answer?.accepted === false && (answer.term ?? 0) > this.#election.term) {
      this.#doElection(now, this.#election.stepDown(now, answer.term));
    }
  }

  #configure(now: number, next: RingConfiguration): void {
    if (!replacesConfiguration(this.#configuration, next)) return;
    this.#configuration = next;
    this.#correspondents.configure(next);
    this.#deaths.configure(next);
    this.#emit(now, { type: 'configuration-adopted', version: next.version });
    this.#detector.configure(next);
    this.#doElection(now, this.#election.configure(now, next));
    this.#findOwnPlace();
    if (!this.#isMember) this.#doElection(now, this.#election.stepDown(now));
    this.#noticeEnd(now);
  }

  #findOwnPlace(): void {
    const generation = memberInSlot(this.#configuration, this.#self.slot)?.generation ?? 0;
    this.#isMember = generation === this.#self.generation;
    if (generation > this.#self.generation && !this.#over) this.#successorGeneration = generation;
  }

  /** A newer machine in its own slot ends this one's time, whether that is learnt at the start or later. */
  #noticeEnd(now: number): void {
    const newGeneration = this.#successorGeneration;
    if (newGeneration === undefined) return;
    this.#successorGeneration = undefined;
    this.#over = true;
    this.#emit(now, { type: 'generation-over', member: this.#self, newGeneration });
  }

  #doDetector(now: number, outputs: readonly DetectorOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'send') this.#send(now, output.to, output.message, output.claims);
      else if (output.type === 'connect') this.#outputs.push(output);
      else this.#standingChanged(now, output);
    }
  }

  #standingChanged(now: number, change: StandingChange): void {
    const evidence = this.#deaths.evidenceOf(change.member);
    if (change.standing === 'alive') this.#deaths.refuted(change.member);
    this.#emit(now, factOf(change, evidence));
  }

  #doElection(now: number, outputs: readonly ElectionOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'send':
          this.#send(now, output.to, output.message);
          break;
        case 'persist':
          this.#outputs.push(output);
          break;
        case 'event':
          this.#emit(now, output.event);
          break;
        case 'elected':
          this.#doLeadership(now, this.#leadership.elected(now, output.term));
          this.#doDetector(now, this.#detector.tell());
          break;
        case 'deposed':
          this.#deposed(now, output.term);
          break;
      }
    }
  }

  /** Everything that follows from leading ends with it; the others learn at once that the place is free. */
  #deposed(now: number, term: number): void {
    if (this.#leadership.mayAct(now)) {
      const { term: higher } = this.#election;
      const reason = higher > term ? `a leader of term ${higher} is known` : 'this node gave it up';
      this.#emit(now, { type: 'lease-lost', term, reason });
    }
    this.#leadership.stop();
    this.#healer.stop();
    this.#doDetector(now, this.#detector.tell());
  }

  #doLeadership(now: number, outputs: readonly LeadershipOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'lease':
          this.#outputs.push(output);
          break;
        case 'granted':
          this.#emit(now, { type: 'lease-granted', term: output.term, durationMs: output.durationMs });
          this.#healer.lead(output.term);
          this.#doDetector(now, this.#detector.tell());
          break;
        case 'refused':
          this.#emit(now, { type: 'lease-refused', term: output.term, currentTerm: output.currentTerm });
          this.#doElection(now, this.#election.stepDown(now, output.currentTerm));
          break;
        case 'lost':
          this.#emit(now, { type: 'lease-lost', term: output.term, reason: output.reason });
          this.#election.setAuthorityReachable(now, false);
          this.#doElection(now, this.#election.stepDown(now));
          break;
      }
    }
  }

  #send(now: number, to: MemberId, message: RingMessage, claims?: readonly Claim[]): void {
    const member = findMember(this.#configuration, to);
    if (member === undefined) return;
    // Who is asked for a vote must know, as the candidate does, why the place is open.
    const asks = message.kind === 'pre-vote' || message.kind === 'vote';
    const about = asks ? this.#election.formerLeader : undefined;
    const envelope: Envelope = {
      from: this.#self,
      to,
      lamport: this.#lamport.tick(),
      version: this.#configuration.version,
      term: this.#election.term,
      leader: this.#leaderShown(now),
      gossip: claims ?? this.#detector.gossip(now, to, about),
      message,
    };
    this.#outputs.push({ type: 'send', address: member.address, envelope });
  }

  #leaderShown(now: number): LeaderShown | undefined {
    if (this.#election.role !== 'leader') return this.#election.leaderShown(now);
    const { grants } = this.#leadership;
    const leaseMs = this.#leadership.remainingMs(now);
    return { member: this.#self, term: this.#election.term, grant: grants, leaseMs };
  }

  #emit(now: number, fact: RingFact): void {
    this.#outputs.push({ type: 'event', event: { ...fact, lamport: this.#lamport.tick(), atMs: now } });
  }
}
