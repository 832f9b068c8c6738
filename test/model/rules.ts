/**
 * What the model is made of that can be bent: the control API's own decisions, and the promises of what surrounds
 * them. Each entry of `removed` takes one safety rule away from outside, and what must then be found.
 */
import type { ClusterState, Decided } from '../../control-api/src/decisions/decision.ts';
import { put } from '../../control-api/src/decisions/decision.ts';
import { decideDelete, isEnded } from '../../control-api/src/decisions/deletion.ts';
import { decideJoin } from '../../control-api/src/decisions/join.ts';
import { decideLease } from '../../control-api/src/decisions/lease.ts';
import {
  decideAssigned,
  decideExit,
  decideGivenUp,
  decideLaunched,
  decideLaunchTrouble,
  decideStopped,
} from '../../control-api/src/decisions/machine-life.ts';
import { decideCancelRedeployment, decideRedeployNode } from '../../control-api/src/decisions/operator.ts';
import { decideRedeployment } from '../../control-api/src/decisions/redeployment.ts';
import { decideReport } from '../../control-api/src/decisions/report.ts';
import {
  decideAddNode,
  decideRemoveNode,
  decideRingStep,
} from '../../control-api/src/decisions/ring-change.ts';
import type { MachineRow } from '../../control-api/src/decisions/rows.ts';
import { machineKey } from '../../control-api/src/decisions/rows.ts';
import { decideSpareSilent } from '../../control-api/src/decisions/spare-renewal.ts';
import { decideWatchdog } from '../../control-api/src/decisions/watchdog.ts';

export const production = {
  decideLease,
  decideJoin,
  decideReport,
  decideRedeployment,
  decideWatchdog,
  decideLaunched,
  decideLaunchTrouble,
  decideGivenUp,
  decideExit,
  decideStopped,
  decideDelete,
  isEnded,
  decideCancelRedeployment,
  decideRedeployNode,
  decideAddNode,
  decideRemoveNode,
  decideRingStep,
  decideAssigned,
  decideSpareSilent,
};
export type Decisions = typeof production;

/** What decisions rely on. */
export interface Surroundings {
  /** A slot's effects are carried out one after the other, in the order of their keys. */
  readonly effectsInOrder: boolean;
  /** A launch tried again with the same token makes no other machine. */
  readonly tokensAreUnique: boolean;
  /** A token that was called off gets no machine any more. */
  readonly callOffLasts: boolean;
  /** A stop is over only when the machine is. */
  readonly stopsProve: boolean;
  /** Only machines that ended are said to have. */
  readonly exitsAreTrue: boolean;
  /** Of the ring a member reports what it has adopted. */
  readonly reportsAreTrue: boolean;
  /** Who lives in a spare is stopped by the spare's name, which is the launcher's. */
  readonly sparesAreStopped: boolean;
  /** A commit fails if a row has changed since it was decided that it writes; or also one that it relies on. */
  readonly commitsCompare: 'written-and-relied-on' | 'written' | 'nothing';
}

export const asPromised: Surroundings = {
  effectsInOrder: true,
  tokensAreUnique: true,
  callOffLasts: true,
  stopsProve: true,
  exitsAreTrue: true,
  reportsAreTrue: true,
  sparesAreStopped: true,
  commitsCompare: 'written-and-relied-on',
};

export interface Rules {
  readonly decisions: Decisions;
  readonly surroundings: Surroundings;
}

export const allRules: Rules = { decisions: production, surroundings: asPromised };

export interface Removal {
  readonly rules: Rules;
  /** The world that finds it. */
  readonly world: string;
  readonly finds: RegExp;
}

function deciding(decisions: Partial<Decisions>): Rules {
  return { decisions: { ...production, ...decisions }, surroundings: asPromised };
}

function surroundedBy(surroundings: Partial<Surroundings>): Rules {
  return { decisions: production, surroundings: { ...asPromised, ...surroundings } };
}

/** As if the slot were in the generation that is named. */
function inGeneration(state: ClusterState, slot: string, generation: number): ClusterState {
  const row = state.slots.get(slot);
  return row === undefined
    ? state
    : { ...state, slots: new Map(state.slots).set(slot, { ...row, generation }) };
}

function withoutChanges<D extends Pick<Decided<unknown>, 'changes'> | object>(
  decision: D,
  dropped: (change: NonNullable<Decided<unknown>['changes']>[number]) => boolean,
): D {
  if (!('changes' in decision) || decision.changes === undefined) return decision;
  return { ...decision, changes: decision.changes.filter((change) => !dropped(change)) };
}

const isEffect =
  (kind: 'stop' | 'launch') =>
  ({ table, value }: NonNullable<Decided<unknown>['changes']>[number]): boolean =>
    table === 'effects' && value?.kind === kind;

export const removed: Readonly<Record<string, Removal>> = {
  'the lease is given once a term': {
    world: 'leaders',
    finds: /^a term has one holder$/,
    rules: deciding({
      decideLease: (state, request, now) =>
        decideLease({ ...state, lease: { ...state.lease, term: state.lease.term - 1 } }, request, now),
    }),
  },
  'a higher term ends a lease for good': {
    world: 'leaders',
    finds: /^(terms only grow|a term has one holder)$/,
    rules: deciding({
      decideLease: (state, request, now) =>
        decideLease({ ...state, lease: { ...state.lease, term: 0 } }, request, now),
    }),
  },
  'only the present generation gets the lease': {
    world: 'leaders',
    finds: /^an old generation is accepted by nobody$/,
    rules: deciding({
      decideLease: (state, request, now) =>
        decideLease(inGeneration(state, request.holder.slot, request.holder.generation), request, now),
    }),
  },
  'only the holder of the lease has machines replaced': {
    world: 'leaders',
    finds: /^only the holder of the lease acts$/,
    rules: deciding({
      decideRedeployment: (state, ask, now) =>
        decideRedeployment(state, { ...ask, by: state.lease.holder, term: state.lease.term }, now),
    }),
  },
  'who was fenced has nothing replaced, though its lease still runs': {
    world: 'budget',
    finds: /^an old generation is accepted by nobody$/,
    rules: deciding({
      decideRedeployment: (state, ask, now) => {
        const [slot = '', generation] = ask.by.split('@');
        if (slot === ask.slot) return decideRedeployment(state, ask, now);
        return decideRedeployment(inGeneration(state, slot, Number(generation)), ask, now);
      },
    }),
  },
  'only the generation that was named is replaced': {
    world: 'leaders',
    finds: /^only the generation that was named is replaced$/,
    rules: deciding({
      decideRedeployment: (state, ask, now) =>
        decideRedeployment(
          state,
          { ...ask, generation: state.slots.get(ask.slot)?.generation ?? ask.generation },
          now,
        ),
    }),
  },
  'the watchdog takes the lease by the same rule': {
    world: 'leaders',
    finds: /^a term has one holder$/,
    rules: deciding({
      decideWatchdog: (state, ...rest) => {
        const decision = decideWatchdog(state, ...rest);
        const changes = (decision.changes ?? []).map((change) =>
          change.table === 'lease' && change.value !== undefined
            ? put.lease({ ...change.value, term: Math.max(1, state.lease.term) })
            : change,
        );
        return { ...decision, changes };
      },
    }),
  },
  'the ring swaps the member with the slot': {
    world: 'leaders',
    finds: /^the ring is of the present generations$/,
    rules: deciding({
      decideRedeployment: (...args) =>
        withoutChanges(decideRedeployment(...args), ({ table }) => table === 'ring'),
    }),
  },
  'a new generation votes only above the term that admitted it': {
    world: 'leaders',
    finds: /^a new generation is admitted above all terms before$/,
    rules: deciding({
      decideRedeployment: (state, ask, now) => {
        const decision = decideRedeployment(state, ask, now);
        if (!('answer' in decision)) return decision;
        const changes = (decision.changes ?? []).map((change) =>
          change.table === 'ring' && change.value !== undefined
            ? put.ring({
                ...change.value,
                members: change.value.members.map((member) => ({ ...member, admittedAtTerm: 0 })),
              })
            : change,
        );
        return { ...decision, changes };
      },
    }),
  },
  'redeployments have a budget': {
    world: 'budget',
    finds: /^redeployments keep within their budget$/,
    rules: deciding({
      decideRedeployment: (state, ask, now) =>
        decideRedeployment({ ...state, redeployments: new Map() }, ask, now),
    }),
  },
  'a report of an old generation is refused': {
    world: 'launches',
    finds: /^(an old generation is accepted by nobody)$/,
    rules: deciding({
      decideReport: (state, report, now) => {
        const { slot, generation } = report.machine;
        const machine = state.machines.get(machineKey(slot, generation));
        if (machine === undefined) return decideReport(state, report, now);
        const seen: MachineRow = { ...machine, state: 'joined', gone: false };
        const machines = new Map(state.machines).set(machineKey(slot, generation), seen);
        return decideReport({ ...inGeneration(state, slot, generation), machines }, report, now);
      },
    }),
  },
  'a machine has one credential': {
    world: 'launches',
    finds: /^a machine has one credential$/,
    rules: deciding({
      decideJoin: (state, request, ...rest) => {
        const { slot, generation } = request.machine;
        const machine = state.machines.get(machineKey(slot, generation));
        if (machine === undefined) return decideJoin(state, request, ...rest);
        const { tokenSha256: _, ...unjoined } = machine;
        const machines = new Map(state.machines).set(machineKey(slot, generation), unjoined);
        return decideJoin({ ...state, machines }, request, ...rest);
      },
    }),
  },
  'a join needs the secret of its attempt': {
    world: 'launches',
    finds: /^who joins has the secret$/,
    rules: deciding({ decideJoin: (state, request, _, now) => decideJoin(state, request, true, now) }),
  },
  'an attempt that is over does not join': {
    world: 'launches',
    finds: /^(who joins is the present attempt|a machine has one credential)$/,
    rules: deciding({
      decideJoin: (state, request, ...rest) => {
        const { slot, generation } = request.machine;
        const machine = state.machines.get(machineKey(slot, generation));
        if (machine === undefined) return decideJoin(state, request, ...rest);
        return decideJoin(state, { ...request, attempt: machine.attempt }, ...rest);
      },
    }),
  },
  'the old machine is stopped in the same commit': {
    world: 'launches',
    finds: /^(nothing launched is forgotten|a slot has at most one machine)$/,
    rules: deciding({
      decideRedeployment: (...args) => withoutChanges(decideRedeployment(...args), isEffect('stop')),
    }),
  },
  'the launch is written down in the same commit': {
    world: 'launches',
    finds: /^it heals if nothing more goes wrong$/,
    rules: deciding({
      decideRedeployment: (...args) => withoutChanges(decideRedeployment(...args), isEffect('launch')),
    }),
  },
  'a failed attempt is stopped before the next one': {
    world: 'launches',
    finds: /^(nothing launched is forgotten|a slot has at most one machine)$/,
    rules: deciding({
      decideExit: (...args) => withoutChanges(decideExit(...args), isEffect('stop')),
      decideGivenUp: (...args) => withoutChanges(decideGivenUp(...args), isEffect('stop')),
    }),
  },
  'launches that are not wanted any more are called back': {
    world: 'operators',
    finds:
      /^(a slot that is held stays empty|nothing launched is forgotten|a slot has at most one machine|it heals if nothing more goes wrong)$/,
    rules: deciding({
      decideCancelRedeployment: (...args) =>
        withoutChanges(
          decideCancelRedeployment(...args),
          ({ table, value }) => table === 'effects' && value === undefined,
        ),
    }),
  },
  'what is being deleted launches nothing': {
    world: 'deletion',
    finds:
      /^(nothing outlives its cluster|what is being deleted launches nothing|it heals if nothing more goes wrong)$/,
    rules: deciding({
      decideDelete: (...args) =>
        withoutChanges(
          decideDelete(...args),
          ({ table, value }) => table === 'effects' && value === undefined,
        ),
    }),
  },
  'a cluster ends when all of its machines are proven gone': {
    world: 'deletion',
    finds: /^nothing outlives its cluster$/,
    rules: deciding({ isEnded: (state) => state.about.state === 'deleting' }),
  },
  'effects of a slot happen in their order': {
    world: 'launches',
    finds: /^a slot has at most one machine$/,
    rules: surroundedBy({ effectsInOrder: false }),
  },
  'a token makes one machine': {
    world: 'launches',
    finds: /^a token makes one machine$/,
    rules: surroundedBy({ tokensAreUnique: false }),
  },
  'what was called off stays so': {
    world: 'launches',
    finds: /^(a slot has at most one machine|nothing launched is forgotten|gone is gone)$/,
    rules: surroundedBy({ callOffLasts: false }),
  },
  'a stop is over only when the machine is': {
    world: 'launches',
    finds: /^(gone is gone|nothing launched is forgotten)$/,
    rules: surroundedBy({ stopsProve: false }),
  },
  'evidence of death is of the dead': {
    world: 'launches',
    finds: /^only the dead are called dead$/,
    rules: surroundedBy({ exitsAreTrue: false }),
  },
  'a commit fails if a row that it writes has changed': {
    world: 'races',
    finds: /./,
    rules: surroundedBy({ commitsCompare: 'nothing' }),
  },
  'a commit fails if a row that it relies on has changed': {
    world: 'races',
    finds: /./,
    rules: surroundedBy({ commitsCompare: 'written' }),
  },
  'who may vote changes only when most voters have the ring as it is': {
    world: 'sizes',
    finds:
      /^(who may vote changes only when most voters have the ring as it is|two rings that may elect share a voter)$/,
    rules: surroundedBy({ reportsAreTrue: false }),
  },
  'the ring changes one slot at a time': {
    world: 'sizes',
    finds: /^one slot at a time is on its way$/,
    rules: deciding({
      decideAddNode: (state, ...rest) => {
        const moving = state.ring.members.filter(({ voter }) => !voter);
        const members = state.ring.members.filter(({ voter }) => voter);
        const decision = decideAddNode({ ...state, ring: { ...state.ring, members } }, ...rest);
        if (!('answer' in decision)) return decision;
        const changes = (decision.changes ?? []).map((change) =>
          change.table === 'ring' && change.value !== undefined
            ? put.ring({ ...change.value, members: [...change.value.members, ...moving] })
            : change,
        );
        return { ...decision, changes };
      },
    }),
  },
  'after a change of voters all vote above the terms before': {
    world: 'sizes',
    finds: /^after a change of voters all vote above the terms before$/,
    rules: deciding({
      decideRingStep: (state, ...rest) => admitting(decideRingStep(state, ...rest), 0),
      decideRemoveNode: (state, ...rest) => {
        const decision = decideRemoveNode(state, ...rest);
        return 'answer' in decision ? admitting(decision, 0) : decision;
      },
    }),
  },
  'the machine of a slot that is removed is stopped': {
    world: 'sizes',
    finds: /^(it heals if nothing more goes wrong|nothing launched is forgotten)$/,
    rules: deciding({
      decideRingStep: (...args) => withoutChanges(decideRingStep(...args), isEffect('stop')),
      decideRemoveNode: (...args) => withoutChanges(decideRemoveNode(...args), isEffect('stop')),
    }),
  },
  'a spare lives in one slot only': {
    world: 'spares',
    finds: /^a spare lives in one slot only$/,
    rules: deciding({
      decideRedeployment: (...args) =>
        withoutChanges(decideRedeployment(...args), ({ id }) => id.startsWith('spare-')),
    }),
  },
  'a pool makes up for a spare that was assigned': {
    world: 'takeovers',
    finds: /^it heals if nothing more goes wrong$/,
    rules: deciding({
      decideJoin: (...args) => withoutChanges(decideJoin(...args), isEffect('launch')),
      decideStopped: (...args) => withoutChanges(decideStopped(...args), isEffect('launch')),
    }),
  },
  'who lives in a spare is stopped by the name that its launcher knows': {
    world: 'takeovers',
    finds: /^(gone is gone|nothing launched is forgotten|a slot has at most one machine)$/,
    rules: surroundedBy({ sparesAreStopped: false }),
  },
};

function admitting<D extends Pick<Decided<unknown>, 'changes'> | object>(decision: D, term: number): D {
  if (!('changes' in decision) || decision.changes === undefined) return decision;
  const changes = decision.changes.map((change) =>
    change.table === 'ring' && change.value !== undefined
      ? put.ring({
          ...change.value,
          members: change.value.members.map((member) => ({ ...member, admittedAtTerm: term })),
        })
      : change,
  );
  return { ...decision, changes };
}
