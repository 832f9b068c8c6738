/**
 * Whatever order chance gives to votes, reports and changes of the ring's size: at most one is elected a term. The
 * voters here are the ring's without what merely makes elections rare (pre-vote, stickiness, leases); they vote once
 * a term, above their admission, for voters whose configuration is no older than theirs.
 */
import type { RingConfiguration } from '@skep/contract';
import { expect, it } from 'vitest';
import type { ClusterRecord } from '../cluster-record.ts';
import { apply, serving, t0 } from '../testing/serving-cluster.ts';
import { currentMachine } from './decision.ts';
import { decideStopped } from './machine-life.ts';
import { decideAddNode, decideRemoveNode, decideRingStep, type RingReports } from './ring-change.ts';

/** What is taken away, to see that it is missed. */
type Planted = 'adoption is not waited for' | 'old terms are voted in';

interface Voter {
  readonly name: string;
  ring: RingConfiguration;
  term: number;
  readonly votes: Map<number, string>;
}

const mostTerm = 6;

class Course {
  readonly #planted: Planted | undefined;
  readonly #state: ClusterRecord = serving();
  readonly #voters = new Map<string, Voter>();
  readonly #reports = new Map<string, { configurationVersion: number; term: number }>();
  readonly #elected = new Map<number, string>();
  #seed: number;
  #ordinal = 0;
  sizes = new Set<number>();
  /** Says which two were elected in one term. */
  violation: string | undefined;

  constructor(seed: number, planted: Planted | undefined) {
    this.#seed = seed * 2 + 1;
    this.#planted = planted;
  }

  run(steps: number): this {
    for (let taken = 0; taken < steps && this.violation === undefined; taken++) this.#step();
    return this;
  }

  #step(): void {
    const state = this.#state;
    for (const { slot } of state.ring.members) if (!this.#voters.has(slot)) this.#appear(slot);
    const voter = this.#one([...this.#voters.values()]);
    const chance = this.#random();
    if (chance < 0.3) voter.ring = this.#ringAsTold();
    else if (chance < 0.5) {
      this.#reports.set(voter.name, { configurationVersion: voter.ring.version, term: voter.term });
    } else if (chance < 0.75) this.#stand(voter);
    else if (chance < 0.95) this.#control(() => decideRingStep(state, this.#asReported, 0, t0));
    else if (this.#random() < (state.ring.members.length > 4 ? 0.3 : 0.6)) {
      this.#ordinal += 1;
      const host = `127.88.0.${this.#ordinal}`;
      const addresses = { listen: { host, port: 100 }, ringPort: 101, healthPort: 102 };
      this.#control(() => decideAddNode(state, { role: 'bootstrap' }, addresses, t0));
    } else {
      const { slot } = this.#one(state.ring.members);
      this.#control(() => decideRemoveNode(state, slot, this.#asReported, 0, t0));
    }
    this.sizes.add(state.ring.members.filter((member) => member.voter).length);
  }

  readonly #asReported: RingReports = ({ slot }) => {
    const report = this.#reports.get(slot);
    if (this.#planted !== 'adoption is not waited for') return report;
    return { configurationVersion: this.#state.ring.version, term: report?.term ?? 0 };
  };

  #control(decide: () => Parameters<typeof apply>[1]): void {
    const decision = decide();
    if (!('refusal' in decision)) apply(this.#state, decision);
    for (const effect of [...this.#state.effects.values()]) {
      if (effect.kind === 'stop') apply(this.#state, decideStopped(this.#state, effect, t0));
    }
  }

  #appear(slot: string): void {
    const ring = this.#ringAsTold();
    this.#voters.set(slot, { name: slot, ring, term: 0, votes: new Map() });
    const machine = currentMachine(this.#state, this.#state.slots.get(slot)!);
    const serves = { ...machine, state: 'serving' as const, tokenSha256: slot };
    this.#state.apply({ table: 'machines', id: `${slot}@1`, value: serves });
  }

  /** The ring as it is now, as a node is told it. */
  #ringAsTold(): RingConfiguration {
    const { ring } = this.#state;
    if (this.#planted !== 'old terms are voted in') return ring;
    return { ...ring, members: ring.members.map((member) => ({ ...member, admittedAtTerm: 0 })) };
  }

  #stand(candidate: Voter): void {
    const term = candidate.term + 1;
    if (term > mostTerm || !mayVote(candidate, candidate, term)) return;
    const voters = candidate.ring.members.filter((member) => member.voter);
    let votes = 0;
    for (const { slot } of voters) {
      const voter = this.#voters.get(slot);
      const isReached = slot === candidate.name || this.#random() < 0.6;
      if (voter === undefined || !isReached || !mayVote(voter, candidate, term)) continue;
      voter.term = term;
      voter.votes.set(term, candidate.name);
      votes += 1;
    }
    if (votes * 2 <= voters.length) return;
    const other = this.#elected.get(term);
    this.#elected.set(term, candidate.name);
    if (other !== undefined && other !== candidate.name) {
      this.violation = `${other} and ${candidate.name} were both elected in term ${term}`;
    }
  }

  #one<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }

  /** mulberry32 */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

function mayVote(voter: Voter, candidate: Voter, term: number): boolean {
  const own = voter.ring.members.find((member) => member.slot === voter.name);
  const other = voter.ring.members.find((member) => member.slot === candidate.name);
  if (own?.voter !== true || other?.voter !== true) return false;
  if (candidate.ring.version < voter.ring.version) return false;
  if (term <= own.admittedAtTerm || term < voter.term) return false;
  return (voter.votes.get(term) ?? candidate.name) === candidate.name;
}

const steps = 150;

it('elects at most one a term while the ring grows and shrinks', () => {
  const sizes = new Set<number>();
  for (let seed = 1; seed <= 3_000; seed++) {
    const course = new Course(seed, undefined).run(steps);
    expect(course.violation, `seed ${seed}`).toBeUndefined();
    for (const size of course.sizes) sizes.add(size);
  }
  // A search in which nothing changes proves nothing.
  expect([...sizes]).toEqual(expect.arrayContaining([1, 2, 3, 4, 5, 6]));
}, 60_000);

it.each(['adoption is not waited for', 'old terms are voted in'] as const)(
  'would not if %s',
  (planted) => {
    const seeds = Array.from({ length: 20_000 }, (_, index) => index + 1);
    expect(seeds.find((seed) => new Course(seed, planted).run(steps).violation !== undefined)).toBeDefined();
  },
  60_000,
);
