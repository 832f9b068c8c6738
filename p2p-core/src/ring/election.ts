/**
 * Election among the configured voters: who tries for the lease. Raft's (Ongaro 2014, chapters 3, 4.2.3, 9.6)
 * without its log, as a pure machine.
 *
 * Each term has at most one node elected, because a voter votes once a term, and says so only after the vote
 * is on disk: everything said after a `persist` is held back until `persisted` is told. A pre-vote asks first
 * who would vote, so that a node cut off raises nobody's term. A voter sticks to its leader while it hears it
 * or while the lease it was shown, by the leader or by others that were, runs; proof of the leader's death ends both at
 * once. Only a node that has lately reached the control API stands, since without it an elected node could do nothing.
 * A leader that leaves names who is to stand at once.
 */
import type { Random } from '../host/index.ts';
import { Allegiance } from './allegiance.ts';
import { Ballot, type PersistOutput, type VoteRecord } from './ballot.ts';
import { findMember, type RingConfiguration, type RingMember } from './configuration.ts';
import { ElectionWaits } from './election-waits.ts';
import type { RingFact } from './events.ts';
import { isDead, type MemberId, type Standing, sameMember } from './member.ts';
import type { Envelope, LeaderShown, RingMessage } from './messages.ts';
import { Tally } from './tally.ts';
import type { RingTiming } from './timing.ts';

export type ElectionRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export type ElectionOutput =
  | PersistOutput
  | { readonly type: 'send'; readonly to: MemberId; readonly message: RingMessage }
  | { readonly type: 'elected'; readonly term: number }
  /** This node led, and does no more. */
  | { readonly type: 'deposed'; readonly term: number }
  | { readonly type: 'event'; readonly event: RingFact };

export interface ElectionOptions {
  readonly self: MemberId;
  readonly configuration: RingConfiguration;
  /** What disk holds of this generation's votes; `lost` makes it a non-voter for good. */
  readonly record: VoteRecord | undefined | 'lost';
  readonly timing: RingTiming;
}

export interface ElectionComponents {
  readonly random: Random;
  readonly standingOf: (member: MemberId) => Standing | undefined;
  /** By when a majority has usually answered; undefined while too few round trips are known. */
  readonly quorumMs: () => number | undefined;
}

const NO_VOTE: VoteRecord = { term: 0, votedFor: undefined };
const NOTHING: readonly ElectionOutput[] = [];

export class Election {
  readonly #standingOf: (member: MemberId) => Standing | undefined;
  readonly #waits: ElectionWaits;
  readonly #self: MemberId;
  readonly #timing: RingTiming;
  #configuration: RingConfiguration;
  #me: RingMember | undefined;
  readonly #ballot: Ballot<ElectionOutput>;
  readonly #recordLost: boolean;
  #role: ElectionRole = 'follower';
  readonly #allegiance = new Allegiance();
  #resigned = false;
  #authorityReachedMs = Number.NEGATIVE_INFINITY;
  /** When to stand, as a follower; when to give up, as a candidate. Set at the first tick. */
  #deadlineMs = Number.NaN;
  #resendMs = 0;
  readonly #tally = new Tally();
  /** Candidacies lost since the last leader; each makes the next wait longer. */
  #losses = 0;
  /** Stood back once already for another's pre-vote since the last leader. */
  #yielded = false;
  #outputs: ElectionOutput[] = [];

  constructor(components: ElectionComponents, options: ElectionOptions) {
    this.#standingOf = components.standingOf;
    this.#waits = new ElectionWaits(components, options.timing);
    this.#self = options.self;
    this.#timing = options.timing;
    this.#configuration = options.configuration;
    this.#me = findMember(options.configuration, options.self);
    this.#recordLost = options.record === 'lost';
    const record = options.record === 'lost' ? undefined : options.record;
    this.#ballot = new Ballot(record ?? NO_VOTE, this.#me?.admittedAtTerm ?? 0);
  }

  get term(): number {
    return this.#ballot.term;
  }

  get role(): ElectionRole {
    return this.#role;
  }

  get leader(): MemberId | undefined {
    return this.#allegiance.leader;
  }

  /** Whose place is open: what is known of it must go with every request for a vote. */
  get formerLeader(): MemberId | undefined {
    return this.#allegiance.former;
  }

  /** The leader this node follows, to be passed on while the lease it was shown runs. */
  leaderShown(now: number): LeaderShown | undefined {
    return this.#role === 'leader' ? undefined : this.#allegiance.toShow(now);
  }

  /** When `wake` is due, if nothing else happens. */
  nextDueMs(now: number): number {
    if (Number.isNaN(this.#deadlineMs)) return now;
    if (this.#role === 'leader') return Number.POSITIVE_INFINITY;
    if (this.#role !== 'follower') return Math.min(this.#deadlineMs, this.#resendMs);
    const dueMs = Math.max(this.#deadlineMs, this.#allegiance.leaseUntilMs);
    return this.#wouldStand(Math.max(now, dueMs)) ? dueMs : Number.POSITIVE_INFINITY;
  }

  configure(now: number, configuration: RingConfiguration): readonly ElectionOutput[] {
    this.#configuration = configuration;
    this.#me = findMember(configuration, this.#self);
    const admittedAtTerm = this.#me?.admittedAtTerm ?? 0;
    if (admittedAtTerm > this.term) this.#adoptTerm(now, admittedAtTerm);
    if (this.#role !== 'follower' && !this.#isVoter) this.#follow(now);
    if (this.leader !== undefined && findMember(configuration, this.leader) === undefined) this.#vacate(now);
    this.#tally.recount(configuration);
    this.#concludeRound(now);
    return this.#take();
  }

  /** The control API was reached now, or could not be. */
  setAuthorityReachable(now: number, reachable: boolean): void {
    this.#authorityReachedMs = reachable ? now : Number.NEGATIVE_INFINITY;
  }

  wake(now: number): readonly ElectionOutput[] {
    if (Number.isNaN(this.#deadlineMs)) this.#deadlineMs = now + this.#waits.timeoutMs();
    this.#noticeDeadLeader(now);
    switch (this.#role) {
      case 'follower':
        if (now >= this.#deadlineMs && now >= this.#allegiance.leaseUntilMs && this.#wouldStand(now))
          this.#stand(now);
        break;
      case 'pre-candidate':
      case 'candidate':
        if (now >= this.#deadlineMs || !this.#canStillWin()) this.#lose(now);
        else if (now >= this.#resendMs) this.#askForVotes(now);
        break;
    }
    return this.#take();
  }

  /** What every message of `from` shows: its term, and who leads as far as it knows. */
  hear(now: number, from: MemberId, shown: Pick<Envelope, 'term' | 'leader'>): readonly ElectionOutput[] {
    const { leader, term } = shown;
    const itself = sameMember(leader?.member, from);
    if (!itself && term >= this.term && sameMember(from, this.leader)) this.#vacate(now);
    if (leader === undefined || leader.term < this.term || this.#voter(leader.member) === undefined)
      return this.#take();
    // Word of a dead leader, its own too, was on its way when it died. One that lives refutes its death first.
    if (this.#isGone(leader.member)) return this.#take();
    const isOwn = sameMember(leader.member, this.#self);
    if (!itself && (isOwn || !this.#allegiance.isNews(leader, this.term))) return this.#take();
    if (leader.term > this.term) this.#adoptTerm(now, leader.term);
    // Two cannot be elected in one term; if a broken ring does it, the lease decides, not a heartbeat.
    if (this.#role !== 'leader') this.#followLeader(now, leader, itself);
    return this.#take();
  }

  receive(now: number, from: MemberId, message: RingMessage, sender: Pick<Envelope, 'term' | 'version'>) {
    this.#noticeDeadLeader(now);
    switch (message.kind) {
      case 'pre-vote': {
        this.#yieldTo(now, from, message.round);
        const granted =
          message.round > this.term && this.#wouldVote(now, from, message.round, sender.version);
        this.#answer(from, 'pre-vote-answer', message.round, granted);
        break;
      }
      case 'vote':
        this.#voteRequested(now, from, message.round, sender.version);
        break;
      case 'stand-now':
        this.#standNow(now, from, message.round);
        break;
      case 'pre-vote-answer':
      case 'vote-answer':
        this.#answerReceived(now, from, message, sender.term);
        break;
    }
    return this.#take();
  }

  persisted(now: number, seq: number): readonly ElectionOutput[] {
    const persisted = this.#ballot.persisted(seq);
    if (persisted === undefined) return NOTHING;
    for (const output of persisted.ready) this.#outputs.push(output);
    if (this.#role === 'candidate' && persisted.record.term === this.term) this.#count(now, this.#self);
    return this.#take();
  }

  persistFailed(now: number, seq: number, detail: string): readonly ElectionOutput[] {
    const record = this.#ballot.persistFailed(seq);
    if (record === undefined) return NOTHING;
    this.#outputs.push({ type: 'event', event: { type: 'vote-not-saved', term: record.term, detail } });
    if (this.#role === 'candidate') this.#follow(now);
    return this.#take();
  }

  /** Leads no more and stands for nothing; `term` is a higher one learnt from the authority, if any. */
  stepDown(now: number, term = 0): readonly ElectionOutput[] {
    if (term > this.term) this.#adoptTerm(now, term);
    else this.#follow(now);
    return this.#take();
  }

  /** Leads no more and never stands again, but votes on. */
  resign(now: number): readonly ElectionOutput[] {
    this.#resigned = true;
    return this.stepDown(now);
  }

  get #isVoter(): boolean {
    return this.#me?.voter === true && !this.#recordLost;
  }

  #voter(member: MemberId): RingMember | undefined {
    const found = findMember(this.#configuration, member);
    return found?.voter ? found : undefined;
  }

  /** Proof of death ends the leader's claim to be waited for. */
  #noticeDeadLeader(now: number): void {
    if (this.#role === 'leader' || this.leader === undefined) return;
    if (this.#isGone(this.leader)) this.#vacate(now);
  }

  /** Known for certain, and not by silence, to be here no more. */
  #isGone(member: MemberId): boolean {
    const standing = this.#standingOf(member);
    return standing === 'dead' || standing === 'left';
  }

  #followLeader(now: number, shown: LeaderShown, itself: boolean): void {
    this.#role = 'follower';
    this.#setLeader(shown.member);
    this.#allegiance.shown(now, shown, itself);
    this.#deadlineMs = now + this.#waits.timeoutMs();
    this.#startAfresh();
  }

  /** The leadership is known to be open: elect soon, with a small stagger against split votes. */
  #vacate(now: number): void {
    this.#allegiance.end(this.term);
    this.#setLeader(undefined);
    this.#startAfresh();
    if (this.#role === 'follower') this.#deadlineMs = now + this.#waits.staggerMs();
  }

  /** Whether this node is one to stand at all, when its time has come. */
  #wouldStand(now: number): boolean {
    if (!this.#isVoter || this.#resigned) return false;
    if (now - this.#authorityReachedMs > this.#timing.authorityFreshMs) return false;
    return this.leader === undefined || this.#standingOf(this.leader) !== 'alive';
  }

  /** The leader goes and has chosen this node: nobody else stands at this moment, so no pre-vote is needed. */
  #standNow(now: number, from: MemberId, round: number): void {
    if (!sameMember(from, this.leader) && !sameMember(from, this.formerLeader)) return;
    if (round <= this.term || this.#role === 'leader') return;
    if (this.leader !== undefined) this.#vacate(now);
    if (!this.#wouldStand(now)) return;
    if (round > this.term + 1) this.#adoptTerm(now, round - 1);
    this.#campaign(now);
  }

  #stand(now: number): void {
    this.#role = 'pre-candidate';
    this.#fact({ type: 'election-started', term: this.term + 1, phase: 'pre-vote' });
    this.#startRound(now);
    this.#count(now, this.#self);
  }

  #campaign(now: number): void {
    this.#ballot.enter(this.term + 1);
    this.#role = 'candidate';
    this.#setLeader(undefined);
    this.#outputs.push(this.#ballot.vote(this.#self));
    this.#fact({ type: 'election-started', term: this.term, phase: 'vote' });
    // Its own vote counts once it is durable, as the others' do.
    this.#startRound(now);
  }

  #startRound(now: number): void {
    this.#tally.begin(this.#self);
    this.#deadlineMs = now + this.#waits.candidacyMs();
    this.#askForVotes(now);
  }

  #askForVotes(now: number): void {
    this.#resendMs = now + this.#waits.resendMs();
    const message: RingMessage =
      this.#role === 'candidate'
        ? { kind: 'vote', round: this.term }
        : { kind: 'pre-vote', round: this.term + 1 };
    for (const member of this.#configuration.members) {
      if (!member.voter || this.#tally.hasAnswered(member)) continue;
      const standing = this.#standingOf(member);
      if (standing !== undefined && !isDead(standing))
        this.#send({ slot: member.slot, generation: member.generation }, message);
    }
  }

  /** The rules by which a vote is given, except for those of terms. */
  #wouldVote(now: number, candidate: MemberId, round: number, version: number): boolean {
    const me = this.#me;
    if (me === undefined || !this.#isVoter || round <= me.admittedAtTerm) return false;
    // A candidate with an older configuration may count voters that are no more.
    if (this.#voter(candidate) === undefined || version < this.#configuration.version) return false;
    return this.#role !== 'leader' && !this.#allegiance.holds(now, this.#timing.electionTimeoutMs[0]);
  }

  #voteRequested(now: number, candidate: MemberId, round: number, version: number): void {
    const unvoted = this.#ballot.votedFor === undefined && round === this.term;
    if ((round > this.term || unvoted) && this.#wouldVote(now, candidate, round, version)) {
      this.#adoptTerm(now, round);
      this.#deadlineMs = now + this.#waits.timeoutMs();
      this.#outputs.push(this.#ballot.vote(candidate));
      this.#fact({ type: 'vote-granted', term: round, candidate });
      this.#answer(candidate, 'vote-answer', round, true);
      return;
    }
    // The same question again, its answer having been lost: say again what disk says.
    const again =
      round === this.term && sameMember(candidate, this.#ballot.votedFor) && this.#role === 'follower';
    if (again && !this.#ballot.isSaved) this.#outputs.push(this.#ballot.persist());
    this.#answer(candidate, 'vote-answer', round, again);
  }

  #answerReceived(
    now: number,
    from: MemberId,
    answer: Extract<RingMessage, { granted: boolean }>,
    senderTerm: number,
  ): void {
    const preVote = answer.kind === 'pre-vote-answer';
    const expected: ElectionRole = preVote ? 'pre-candidate' : 'candidate';
    const round = preVote ? this.term + 1 : this.term;
    if (this.#role !== expected || answer.round !== round || this.#voter(from) === undefined) return;
    this.#tally.answered(from);
    if (answer.granted) this.#count(now, from);
    else if (senderTerm > this.term) this.#adoptTerm(now, senderTerm);
  }

  #canStillWin(): boolean {
    return this.#tally.canReachMajority(this.#configuration, (voter) => {
      // Its own vote, when not counted yet, is still being persisted.
      if (sameMember(voter, this.#self)) return true;
      return !this.#tally.hasAnswered(voter) && !isDead(this.#standingOf(voter) ?? 'dead');
    });
  }

  /**
   * Who promises a pre-vote does not stand at the same moment, and of two that ask for pre-votes in one round
   * the one later in the order of slots stands back; else both would go on to split the vote. Once only:
   * the other may be asking without being able to hear.
   */
  #yieldTo(now: number, other: MemberId, round: number): void {
    if (this.#yielded || round !== this.term + 1 || this.#voter(other) === undefined) return;
    const standsLater = this.#role === 'pre-candidate' && other.slot < this.#self.slot;
    if (!standsLater && this.#role !== 'follower') return;
    this.#yielded = true;
    const deadlineMs = this.#deadlineMs;
    this.#follow(now, this.#waits.retryMs());
    if (!standsLater) this.#deadlineMs = Math.max(deadlineMs, this.#deadlineMs);
  }

  /** A candidacy has failed: waits longer from time to time, so that a ring without a majority is quiet. */
  #lose(now: number): void {
    this.#losses += 1;
    this.#follow(now, this.#waits.retryMs(this.#losses - 1));
  }

  #startAfresh(): void {
    this.#losses = 0;
    this.#yielded = false;
  }

  #count(now: number, voter: MemberId): void {
    this.#tally.granted(voter);
    this.#concludeRound(now);
  }

  #concludeRound(now: number): void {
    if (!this.#tally.isMajority(this.#configuration)) return;
    if (this.#role === 'pre-candidate') this.#campaign(now);
    else if (this.#role === 'candidate') {
      this.#role = 'leader';
      this.#setLeader(this.#self);
      this.#fact({ type: 'elected', term: this.term });
      this.#outputs.push({ type: 'elected', term: this.term });
    }
  }

  #adoptTerm(now: number, term: number): void {
    this.#follow(now, this.#waits.retryMs());
    this.#ballot.enter(term);
  }

  #follow(now: number, waitMs = this.#waits.timeoutMs()): void {
    if (this.#role === 'leader') {
      this.#outputs.push({ type: 'deposed', term: this.term });
      this.#setLeader(undefined);
    }
    this.#role = 'follower';
    this.#deadlineMs = now + waitMs;
  }

  #setLeader(leader: MemberId | undefined): void {
    if (this.#allegiance.becomes(leader))
      this.#outputs.push({ type: 'event', event: { type: 'leader-changed', term: this.term, leader } });
  }

  #answer(to: MemberId, kind: 'pre-vote-answer' | 'vote-answer', round: number, granted: boolean): void {
    this.#send(to, { kind, round, granted });
  }

  #send(to: MemberId, message: RingMessage): void {
    this.#say({ type: 'send', to, message });
  }

  #fact(event: RingFact): void {
    this.#say({ type: 'event', event });
  }

  /** At once, or after what is being persisted. */
  #say(output: ElectionOutput): void {
    if (!this.#ballot.holds(output)) this.#outputs.push(output);
  }

  #take(): readonly ElectionOutput[] {
    const outputs = this.#outputs;
    if (outputs.length === 0) return NOTHING;
    this.#outputs = [];
    return outputs;
  }
}
