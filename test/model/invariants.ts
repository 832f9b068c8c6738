/** What must hold in every state of the model, and over every step. */
import type { RingConfiguration } from '@skep/contract';
import { isHeld } from '../../control-api/src/decisions/lease.ts';
import { machineKey } from '../../control-api/src/decisions/rows.ts';
import { refOf } from '../../control-api/src/decisions/spares.ts';
import { watchdogHolder } from '../../control-api/src/decisions/watchdog.ts';
import { bodyKey, identityOf, isLiving, longAgo, type ModelState, now } from './state.ts';
import type { Step } from './steps.ts';

export interface Finding {
  readonly invariant: string;
  readonly detail: string;
}

type Rule<A extends unknown[]> = readonly [invariant: string, check: (...about: A) => string | undefined];

const ofStates: readonly Rule<[ModelState, boolean]>[] = [
  [
    'a slot has at most one machine',
    ({ bodies }) => {
      const living = new Set<string>();
      for (const body of bodies.values()) {
        if (!isLiving(body)) continue;
        const { slot } = identityOf(body);
        if (living.has(slot)) return `${bodyKey(body)} is not the only one in ${slot}`;
        living.add(slot);
      }
      return undefined;
    },
  ],
  [
    'a token makes one machine',
    ({ bodies }) => {
      for (const body of bodies.values()) if (body.twins > 0) return `${bodyKey(body)} has a twin`;
      return undefined;
    },
  ],
  [
    'nothing launched is forgotten',
    ({ bodies, machines, effects }, ended) => {
      if (ended) return undefined;
      for (const body of bodies.values()) {
        if (!isLiving(body) && body.life !== 'asked') continue;
        const { slot, generation, attempt } = identityOf(body);
        const row = machines.get(machineKey(slot, generation));
        if (row?.attempt === attempt && !row.gone) continue;
        const known = [...effects.values()].some(
          (effect) => effect.slot === slot && effect.generation === generation && effect.attempt === attempt,
        );
        if (!known) return `no row knows of ${bodyKey(body)}, which is ${body.life}`;
      }
      return undefined;
    },
  ],
  [
    'nothing outlives its cluster',
    ({ bodies }, ended) => {
      if (!ended) return undefined;
      for (const body of bodies.values()) {
        if (isLiving(body) || body.life === 'asked') return `${bodyKey(body)} is ${body.life}`;
      }
      return undefined;
    },
  ],
  [
    'what is being deleted launches nothing',
    ({ about, effects }) => {
      if (about.state !== 'deleting') return undefined;
      for (const [key, { kind }] of effects) if (kind === 'launch' || kind === 'assign') return key;
      return undefined;
    },
  ],
  [
    'the ring is of the present generations',
    ({ ring, slots }) => {
      for (const { slot, generation } of ring.members) {
        const row = slots.get(slot);
        if (row?.generation !== generation)
          return `the ring has ${slot}@${generation}, the slot is in ${row?.generation}`;
      }
      return undefined;
    },
  ],
  [
    'only the dead are called dead',
    (state) => {
      for (const machine of state.machines.values()) {
        const body = state.bodies.get(bodyKey(refOf(state, machine)));
        if (machine.state === 'dead' && isLiving(body)) return bodyKey(machine);
      }
      return undefined;
    },
  ],
  [
    'gone is gone',
    (state) => {
      for (const machine of state.machines.values()) {
        const body = state.bodies.get(bodyKey(refOf(state, machine)));
        const life = body?.life;
        // A spare that lives on as another is gone as what it was.
        const isAnother = body !== undefined && identityOf(body).slot !== machine.slot;
        if (machine.gone && !isAnother && life !== 'off' && life !== 'exited') {
          return `${bodyKey(machine)} counts as gone and is ${life ?? 'not called off'}`;
        }
      }
      return undefined;
    },
  ],
  [
    'complete is what serves and has its predecessor gone',
    ({ redeployments, machines }) => {
      for (const { id, state, times, slot, fromGeneration } of redeployments.values()) {
        if (state !== 'complete') continue;
        const gone = machines.get(machineKey(slot, fromGeneration))?.gone ?? true;
        if (!gone || times.servingMs === undefined) return `${id} is complete`;
      }
      return undefined;
    },
  ],
  [
    'a slot that is held stays empty',
    ({ slots, effects }) => {
      for (const { slot, generation, held } of slots.values()) {
        if (!held) continue;
        for (const [key, effect] of effects) {
          if (effect.slot === slot && effect.generation === generation && effect.kind === 'launch')
            return key;
        }
      }
      return undefined;
    },
  ],
  [
    'a spare lives in one slot only',
    ({ machines }) => {
      const taken = new Set<string>();
      for (const { livesIn } of machines.values()) {
        if (livesIn === undefined) continue;
        if (taken.has(bodyKey(livesIn))) return bodyKey(livesIn);
        taken.add(bodyKey(livesIn));
      }
      return undefined;
    },
  ],
  [
    'one slot at a time is on its way',
    ({ ring }) => {
      const moving = ring.members.filter(({ voter }) => !voter);
      return moving.length > 1 ? moving.map(({ slot }) => slot).join() : undefined;
    },
  ],
  [
    'two rings that may elect share a voter',
    ({ bodies }) => {
      const rings = new Set<RingConfiguration>();
      for (const { ring } of bodies.values()) if (ring !== undefined) rings.add(ring);
      const electing = [...rings].filter((ring) => mayElect(ring, bodies));
      for (const one of electing) {
        for (const other of electing) {
          // Where generations went on, the lease alone decides.
          if (one === other || !sameGenerations(one, other) || shareAVoter(one, other)) continue;
          return `by versions ${one.version} and ${other.version}`;
        }
      }
      return undefined;
    },
  ],
  [
    'redeployments keep within their budget',
    ({ redeployments, about }) => {
      let recent = 0;
      for (const { times, askedBy } of redeployments.values()) {
        if (times.acceptedMs > longAgo && askedBy !== 'operator') recent += 1;
      }
      const { redeploymentsPerCluster } = about.spec;
      return recent > redeploymentsPerCluster ? `${recent} in a minute` : undefined;
    },
  ],
];

const ofSteps: readonly Rule<[ModelState, Step]>[] = [
  [
    'terms only grow',
    ({ lease }, { after }) =>
      after.lease.term < lease.term ? `from ${lease.term} to ${after.lease.term}` : undefined,
  ],
  [
    'a term has one holder',
    ({ lease }, { after }) =>
      lease.term > 0 && after.lease.term === lease.term && after.lease.holder !== lease.holder
        ? `term ${lease.term} went from ${lease.holder} to ${after.lease.holder}`
        : undefined,
  ],
  [
    'an old generation is accepted by nobody',
    ({ slots, machines, lease }, { move, after }) => {
      const isPast = (slot: string, generation: number) => slots.get(slot)?.generation !== generation;
      if (after.lease.untilMs > longAgo && after.lease !== lease && after.lease.holder !== watchdogHolder) {
        const [slot = '', generation] = after.lease.holder.split('@');
        if (isPast(slot, Number(generation))) return `the lease was given to ${after.lease.holder}`;
      }
      if (move.kind === 'lease' && isPast(move.holder.slot, move.holder.generation)) {
        return `${move.holder.slot}@${move.holder.generation} asked for the lease and got it`;
      }
      if (move.kind === 'ask' && move.by !== watchdogHolder) {
        const [slot = '', generation] = move.by.split('@');
        if (isPast(slot, Number(generation))) return `${move.by} had a machine replaced`;
      }
      if (move.kind !== 'report') return undefined;
      const { slot, generation, state, gone } = machines.get(
        machineKey(move.machine.slot, move.machine.generation),
      )!;
      if (!isPast(slot, generation)) return undefined;
      if (state === 'stopping' && !gone) return undefined;
      return `a report of ${slot}@${generation}, ${state}, was accepted`;
    },
  ],
  [
    'only the holder of the lease acts',
    ({ lease }, { move }) => {
      if (move.kind !== 'ask') return undefined;
      const { by, term } = move;
      if (by === lease.holder && term === lease.term && isHeld(lease, now)) return undefined;
      return `${by} acted under term ${term}, and ${lease.holder} has term ${lease.term}`;
    },
  ],
  [
    'only the generation that was named is replaced',
    (_, { move }) => {
      if (move.kind !== 'ask') return undefined;
      const { slot, generation, fromGeneration, toGeneration } = move;
      // A launch under way is the answer to an impatient leader.
      if (generation === fromGeneration || generation === toGeneration) return undefined;
      return `${slot}@${generation} was named, ${fromGeneration} replaced`;
    },
  ],
  [
    'a slot moves on one generation at a time, when somebody may ask for it',
    ({ slots }, { move, after }) => {
      for (const { slot, generation, role } of after.slots.values()) {
        const before = slots.get(slot)?.generation ?? generation;
        if (generation === before) continue;
        if (generation !== before + 1) return `${slot} from ${before} to ${generation}`;
        // Nobody need ask for a spare.
        if (move.kind !== 'ask' && move.kind !== 'redeploy-node' && role !== 'spare')
          return `${slot} without being asked`;
      }
      return undefined;
    },
  ],
  [
    'the ring changes one member a version',
    ({ ring }, { after }) => {
      if (after.ring === ring) return undefined;
      if (after.ring.version !== ring.version + 1)
        return `from version ${ring.version} to ${after.ring.version}`;
      const same = after.ring.members.filter((member) =>
        ring.members.some(
          (before) =>
            before.slot === member.slot &&
            before.generation === member.generation &&
            before.voter === member.voter,
        ),
      );
      const changed = Math.max(ring.members.length, after.ring.members.length) - same.length;
      return changed > 1 ? `${changed} members at once` : undefined;
    },
  ],
  [
    'who may vote changes only when most voters have the ring as it is',
    ({ ring, bodies }, { after }) => {
      if (after.ring === ring || differing(ring, after.ring) === 0) return undefined;
      for (const { members } of [ring, after.ring]) {
        const voters = members.filter(({ voter }) => voter);
        const know = voters.filter((member) => (adoptedBy(member, bodies)?.version ?? 0) >= ring.version);
        if (know.length * 2 <= voters.length) return `${know.length} of ${voters.length} do`;
      }
      return undefined;
    },
  ],
  [
    'after a change of voters all vote above the terms before',
    ({ ring, lease }, { after }) => {
      if (after.ring === ring || differing(ring, after.ring) === 0) return undefined;
      const early = after.ring.members.find(({ admittedAtTerm }) => admittedAtTerm < lease.term);
      return early && `${early.slot} votes above ${early.admittedAtTerm}, in term ${lease.term}`;
    },
  ],
  [
    'a new generation is admitted above all terms before',
    ({ ring, lease }, { after }) => {
      if (after.ring === ring) return undefined;
      for (const { slot, generation, admittedAtTerm } of after.ring.members) {
        const before = ring.members.find((member) => member.slot === slot);
        if (before === undefined || before.generation === generation) continue;
        if (admittedAtTerm < lease.term || admittedAtTerm < before.admittedAtTerm) {
          return `${slot}@${generation} is admitted at ${admittedAtTerm} in term ${lease.term}`;
        }
      }
      return undefined;
    },
  ],
  [
    'a machine has one credential',
    ({ machines }, { move, after }) => {
      for (const { slot, generation, attempt, tokenSha256 } of after.machines.values()) {
        const before = machines.get(machineKey(slot, generation));
        if (before?.attempt !== attempt || before.tokenSha256 === undefined) continue;
        if (before.tokenSha256 !== tokenSha256) return `${slot}@${generation} has a second one`;
      }
      if (move.kind !== 'join') return undefined;
      const bound = after.machines.get(machineKey(move.body.slot, move.body.generation))?.tokenSha256;
      return bound === move.credential ? undefined : `${bodyKey(move.body)} joined with another`;
    },
  ],
  [
    'who joins has the secret',
    (_, { move }) => (move.kind === 'join' && !move.hasSecret ? bodyKey(move.body) : undefined),
  ],
  [
    'who joins is the present attempt',
    ({ slots, machines }, { move }) => {
      if (move.kind !== 'join') return undefined;
      const { slot, generation, attempt } = move.body;
      const machine = machines.get(machineKey(slot, generation));
      const present = slots.get(slot)?.generation === generation && machine?.attempt === attempt;
      return present && machine.state !== 'dead' ? undefined : bodyKey(move.body);
    },
  ],
];

type Bodies = ModelState['bodies'];
type Member = RingConfiguration['members'][number];

/** By the first attempt that has any: of one generation one attempt lives. */
function adoptedBy({ slot, generation }: Member, bodies: Bodies): RingConfiguration | undefined {
  for (const body of bodies.values()) {
    if (body.slot === slot && body.generation === generation && body.ring !== undefined) return body.ring;
  }
  return undefined;
}

/** Whether somebody has it whom most of its voters would still vote for: those that have no newer one. */
function mayElect(ring: RingConfiguration, bodies: Bodies): boolean {
  const voters = ring.members.filter(({ voter }) => voter);
  const willing = voters.filter((member) => {
    const adopted = adoptedBy(member, bodies);
    return adopted !== undefined && adopted.version <= ring.version;
  });
  return willing.length * 2 > voters.length;
}

const votersOf = ({ members }: RingConfiguration): ReadonlySet<string> =>
  new Set(members.filter(({ voter }) => voter).map(({ slot }) => slot));

/** Whether any two majorities, one of each, do. */
function shareAVoter(one: RingConfiguration, other: RingConfiguration): boolean {
  const [here, there] = [votersOf(one), votersOf(other)];
  const both = [...here].filter((slot) => there.has(slot)).length;
  /** Of the shared voters, how many a majority needs at least. */
  const needed = (voters: ReadonlySet<string>) =>
    Math.max(0, Math.floor(voters.size / 2) + 1 - (voters.size - both));
  return needed(here) + needed(there) > both;
}

/** How many slots vote by one ring and not by the other. */
function differing(one: RingConfiguration, other: RingConfiguration): number {
  const [here, there] = [votersOf(one), votersOf(other)];
  return (
    [...here].filter((slot) => !there.has(slot)).length + [...there].filter((slot) => !here.has(slot)).length
  );
}

function sameGenerations(one: RingConfiguration, other: RingConfiguration): boolean {
  return one.members.every(({ slot, generation }) =>
    other.members.every((member) => member.slot !== slot || member.generation === generation),
  );
}

export function findingIn(state: ModelState, ended: boolean): Finding | undefined {
  for (const [invariant, check] of ofStates) {
    const detail = check(state, ended);
    if (detail !== undefined) return { invariant, detail };
  }
  return undefined;
}

export function findingOver(before: ModelState, step: Step): Finding | undefined {
  for (const [invariant, check] of ofSteps) {
    const detail = check(before, step);
    if (detail !== undefined) return { invariant, detail };
  }
  return undefined;
}
