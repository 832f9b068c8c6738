/**
 * One node of the ring as a pure machine: detector, election, leadership and healer, wired together.
 *
 * It is told the time and one thing that happened (`step`), and returns what is to be done, in order. It
 * does no I/O and holds no promise, so tests run whole rings of it in virtual time. Death, as the detector
 * sees it, moves the election; winning that asks for the lease; holding the lease sets the healer to work;
 * and every loss on the way stops all that follows from it.
 */
import type { Address, Random } from '../host/index.ts';
import {
  checkConfiguration,
  findMember,
  type RingConfiguration,
  replacesConfiguration,
} from './configuration.ts';
import { Detector, type DetectorOutput } from './detector.ts';
import { Election, type ElectionOutput, type ElectionRole, type VoteRecord } from './election.ts';
import type { RingEvent, RingFact } from './events.ts';
import { Healer, type RedeploymentAnswer, type RedeploymentRequest, type SlotDeath } from './healer.ts';
import { LamportClock, ReplayWindow } from './lamport.ts';
import { Leadership, type LeadershipOutput, type LeaseAnswer } from './leadership.ts';
import {
  type DeathCause,
  formatMember,
  isDead,
  type MemberId,
  type MemberState,
  sameMember,
  stateOf,
} from './member.ts';
import type { DropReason, Envelope, RingMessage } from './messages.ts';
import type { RingTiming } from './timing.ts';

export type RingInput =
  /** To be told every `timing.tickMs`. */
  | { readonly type: 'tick' }
  /** An authentic datagram. */
  | { readonly type: 'received'; readonly envelope: Envelope }
  | { readonly type: 'persisted'; readonly seq: number }
  | { readonly type: 'persist-failed'; readonly seq: number; readonly detail: string }
  /** `answer` undefined: the authority could not be reached. */
  | { readonly type: 'lease-answered'; readonly request: number; readonly answer: LeaseAnswer | undefined }
  | {
      readonly type: 'redeployment-answered';
      readonly request: number;
      readonly answer: RedeploymentAnswer | undefined;
    }
  | { readonly type: 'connection-refused'; readonly member: MemberId; readonly startedMs: number }
  | { readonly type: 'death-observed'; readonly member: MemberId; readonly evidence: string }
  /** All slots outside the ring that are known dead now. */
  | { readonly type: 'slot-deaths'; readonly deaths: readonly SlotDeath[] }
  | { readonly type: 'authority-reachable'; readonly reachable: boolean }
  | { readonly type: 'configure'; readonly configuration: RingConfiguration }
  | { readonly type: 'leave' };

export type RingOutput =
  | { readonly type: 'send'; readonly address: Address; readonly envelope: Envelope }
  | { readonly type: 'connect'; readonly member: MemberId; readonly address: Address }
  | Extract<ElectionOutput, { type: 'persist' }>
  | Extract<LeadershipOutput, { type: 'lease' }>
  | { readonly type: 'redeploy'; readonly request: number; readonly redeployment: RedeploymentRequest }
  | { readonly type: 'event'; readonly event: RingEvent };

export interface RingMachineOptions {
  readonly self: MemberId;
  readonly configuration: RingConfiguration;
  /** What disk holds of this generation's votes. */
  readonly record: VoteRecord | undefined | 'lost';
  readonly timing: RingTiming;
  readonly connectForEvidence: boolean;
}

export interface RingMemberStatus {
  readonly member: MemberId;
  readonly state: MemberState;
  readonly incarnation: number;
}

export interface RingStatus {
  readonly self: MemberId;
  readonly term: number;
  readonly role: ElectionRole;
  readonly leader: MemberId | undefined;
  /** This node leads, and its lease lets it act now. */
  readonly leading: boolean;
  readonly configurationVersion: number;
  /** The others in ring order. */
  readonly members: readonly RingMemberStatus[];
  readonly lamport: number;
  /** Datagrams not acted on, by reason. */
  readonly dropped: Readonly<Record<DropCause, number>>;
}

export type DropCause = DropReason | 'unknown-member' | 'old-generation' | 'not-for-us' | 'replayed';

export class RingMachine {
  readonly #self: MemberId;
  readonly #detector: Detector;
  readonly #election: Election;
  readonly #leadership: Leadership;
  readonly #healer: Healer;
  readonly #lamport: LamportClock;
  readonly #windows = new Map<string, ReplayWindow>();
  readonly #evidence = new Map<string, string>();
  readonly #dropped: Record<DropCause, number> = {
    'too-long': 0,
    'wrong-key': 0,
    malformed: 0,
    'wrong-cluster': 0,
    'unknown-member': 0,
    'old-generation': 0,
    'not-for-us': 0,
    replayed: 0,
  };
  #configuration: RingConfiguration;
  #slotDeaths: readonly SlotDeath[] = [];
  #left = false;
  #over = false;
  #recordLossTold: boolean;
  #outputs: RingOutput[] = [];

  constructor(components: { random: Random; lamport?: LamportClock }, options: RingMachineOptions) {
    checkConfiguration(options.configuration);
    this.#lamport = components.lamport ?? new LamportClock();
    this.#self = options.self;
    this.#configuration = options.configuration;
    this.#recordLossTold = options.record !== 'lost';
    this.#detector = new Detector(options);
    this.#leadership = new Leadership(options.timing);
    this.#healer = new Healer(options.timing);
    const standingOf = (member: MemberId) => this.#detector.standingOf(member);
    this.#election = new Election({ random: components.random, standingOf }, options);
  }

  /** What is to be done, in order, after `input` happened at `now`. Throws RingError for a `configure` only. */
  step(now: number, input: RingInput): RingOutput[] {
    this.#noticeEnd(now);
    if (input.type === 'configure') this.#configure(now, input.configuration);
    else if (!this.#left && findMember(this.#configuration, this.#self) !== undefined)
      this.#handle(now, input);
    const outputs = this.#outputs;
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
      members: this.#detector.claims().map(({ member, incarnation, standing }) => ({
        member,
        state: stateOf(standing),
        incarnation,
      })),
      lamport: this.#lamport.time,
      dropped: { ...this.#dropped },
    };
  }

  countDrop(reason: DropCause): void {
    this.#dropped[reason] += 1;
  }

  #handle(now: number, input: Exclude<RingInput, { type: 'configure' }>): void {
    switch (input.type) {
      case 'tick':
        this.#tick(now);
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
        this.#slotDeaths = input.deaths;
        break;
      case 'authority-reachable':
        this.#election.setAuthorityReachable(now, input.reachable);
        break;
      case 'leave':
        this.#doElection(now, this.#election.stepDown(now));
        this.#doDetector(now, this.#detector.leave(now));
        this.#left = true;
        break;
    }
  }

  #tick(now: number): void {
    if (!this.#recordLossTold) {
      this.#recordLossTold = true;
      this.#emit(now, {
        type: 'vote-record-lost',
        detail:
          'Its record is missing or damaged although it has voted; it votes again once its slot is redeployed.',
      });
    }
    this.#doLeadership(now, this.#leadership.tick(now));
    const leading = this.#election.role === 'leader';
    const connected = this.#leadership.mayAct(now);
    this.#doDetector(now, this.#detector.tick(now, { leading, connected }));
    this.#doElection(now, this.#election.tick(now));
    if (!this.#leadership.mayAct(now)) return;
    for (const output of this.#healer.tick(now, this.#deaths())) {
      const { slot, generation, term, reason } = output.redeployment;
      this.#emit(now, { type: 'redeployment-asked', slot, generation, term, reason });
      this.#outputs.push(output);
    }
  }

  /** Everything that wants a new machine: dead members of the ring, and dead slots reported from outside. */
  *#deaths(): Iterable<SlotDeath> {
    const slots = new Set(this.#configuration.members.map((member) => member.slot));
    for (const { member, standing } of this.#detector.claims()) {
      if (isDead(standing)) yield { ...member, reason: this.#reasonOf(member, standing === 'dead') };
    }
    for (const death of this.#slotDeaths) if (!slots.has(death.slot)) yield death;
  }

  #reasonOf(member: MemberId, byEvidence: boolean): string {
    if (!byEvidence) return 'it was silent for longer than the grace';
    return this.#evidence.get(formatMember(member)) ?? 'another member of the ring has evidence of its death';
  }

  /** `startedMs`: when the attempt began that gave the evidence; a member heard since then is not dead. */
  #deathProven(now: number, member: MemberId, evidence: string, startedMs?: number): void {
    const outputs = this.#detector.observeDeath(now, member, startedMs);
    if (outputs.length === 0) return;
    this.#evidence.set(formatMember(member), evidence);
    this.#doDetector(now, outputs);
  }

  #received(now: number, envelope: Envelope): void {
    const { from, message } = envelope;
    const drop = this.#screen(envelope);
    if (drop !== undefined) {
      this.countDrop(drop);
      return;
    }
    const window = this.#windowOf(from);
    const { fresh, newest } = window.accept(envelope.lamport);
    if (!fresh) {
      this.countDrop('replayed');
      return;
    }
    this.#lamport.merge(envelope.lamport);
    this.#doDetector(now, this.#detector.heard(now, from, envelope.gossip));
    // What an overtaken message shows of the leader is out of date.
    if (newest) this.#doElection(now, this.#election.hear(now, from, envelope));
    this.#doDetector(now, this.#detector.receive(now, from, message));
    this.#doElection(now, this.#election.receive(now, from, message, envelope));
  }

  #screen({ from, to }: Envelope): DropCause | undefined {
    if (!sameMember(to, this.#self)) return 'not-for-us';
    const inSlot = this.#configuration.members.find((member) => member.slot === from.slot);
    if (inSlot === undefined || from.slot === this.#self.slot) return 'unknown-member';
    if (from.generation < inSlot.generation) return 'old-generation';
    return from.generation > inSlot.generation ? 'unknown-member' : undefined;
  }

  #windowOf(member: MemberId): ReplayWindow {
    const key = formatMember(member);
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = new ReplayWindow();
      this.#windows.set(key, window);
    }
    return window;
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
    const kept = new Set(next.members.map(formatMember));
    for (const key of this.#windows.keys()) if (!kept.has(key)) this.#windows.delete(key);
    for (const key of this.#evidence.keys()) if (!kept.has(key)) this.#evidence.delete(key);
    this.#emit(now, { type: 'configuration-adopted', version: next.version });
    this.#detector.configure(next);
    this.#doElection(now, this.#election.configure(now, next));
    if (findMember(next, this.#self) === undefined) this.#doElection(now, this.#election.stepDown(now));
    this.#noticeEnd(now);
  }

  /** A newer machine in its own slot ends this one's time, whether that is learnt at the start or later. */
  #noticeEnd(now: number): void {
    const own = this.#configuration.members.find((member) => member.slot === this.#self.slot);
    if (this.#over || own === undefined || own.generation <= this.#self.generation) return;
    this.#over = true;
    this.#emit(now, { type: 'generation-over', member: this.#self, newGeneration: own.generation });
  }

  #doDetector(now: number, outputs: readonly DetectorOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'send') this.#send(now, output.to, output.message);
      else if (output.type === 'connect') this.#outputs.push(output);
      else this.#standingChanged(now, output);
    }
  }

  #standingChanged(now: number, change: Extract<DetectorOutput, { type: 'changed' }>): void {
    const { member, incarnation, standing } = change;
    if (standing === 'suspect') this.#emit(now, { type: 'member-suspected', member });
    else if (standing === 'alive') {
      this.#evidence.delete(formatMember(member));
      this.#emit(now, { type: 'member-refuted', member, incarnation });
    } else if (standing === 'left') this.#emit(now, { type: 'member-left', member });
    else {
      const cause: DeathCause = standing === 'dead' ? 'evidence' : 'silence';
      const detail = standing === 'dead' ? this.#evidence.get(formatMember(member)) : undefined;
      this.#emit(now, { type: 'member-dead', member, cause, ...(detail === undefined ? {} : { detail }) });
    }
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
          this.#doDetector(now, this.#detector.announce(now));
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
    this.#doDetector(now, this.#detector.announce(now));
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
          this.#doDetector(now, this.#detector.announce(now));
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

  #send(now: number, to: MemberId, message: RingMessage): void {
    const member = findMember(this.#configuration, to);
    if (member === undefined) return;
    this.#outputs.push({ type: 'send', address: member.address, envelope: this.#envelope(now, to, message) });
  }

  #envelope(now: number, to: MemberId, message: RingMessage): Envelope {
    return {
      from: this.#self,
      to: { slot: to.slot, generation: to.generation },
      lamport: this.#lamport.tick(),
      version: this.#configuration.version,
      term: this.#election.term,
      leading: this.#election.role === 'leader',
      leaseMs: this.#leadership.remainingMs(now),
      gossip: this.#detector.gossip(to),
      message,
    };
  }

  #emit(now: number, fact: RingFact): void {
    this.#outputs.push({ type: 'event', event: { ...fact, lamport: this.#lamport.tick(), atMs: now } });
  }
}
