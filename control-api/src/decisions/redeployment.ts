/**
 * Decides whether a slot's dead generation g is replaced by g+1, and with what: in one commit the slot moves
 * on (which fences g everywhere), the ring swaps the member, and the effects stop(g), launch(g+1) are
 * written down, in this order because the two share an address.
 *
 * Changes of the ring are not queued behind one another. Each commit swaps exactly one member; two quick ones
 * can leave old and new configurations without a common majority, but leadership does not rest on that: the
 * lease is given once a term, and a new generation votes only above the term that admitted it. Queueing would
 * instead keep a ring with two dead of three from healing.
 */

import { type ClusterSpec, formatMachineId, type RingConfiguration } from '@skep/contract';
import { ringAddress } from './cluster-creation.ts';
import {
  type Change,
  type ClusterState,
  currentMachine,
  type Decided,
  type DecidedEvent,
  type Decision,
  pendingLaunches,
  put,
  type Refused,
  refuse,
  remove,
} from './decision.ts';
import { isHeld } from './lease.ts';
import { placementFor } from './placement.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { type Attempt, type MachineRow, machineKey, type RedeploymentRow, type SlotRow } from './rows.ts';
import { chooseSpare, taken } from './spares.ts';
import { watchdogHolder } from './watchdog.ts';

export interface RedeploymentAsk {
  readonly slot: string;
  readonly generation: number;
  readonly term: number;
  readonly reason: string;
  /** As the asker knows it; a death that the rows know of is evidence whatever it says. */
  readonly cause: RedeploymentRow['cause'];
  /** Of a silence that the ring heard: how long it had lasted when this was asked. */
  readonly silentMs?: number;
  /** Who asks: a slot@generation, `watchdog`, `operator`, or `fault ` and its id. */
  readonly by: string;
  /** It still reports, so it is told to stop and given `drainMs` before it is made to. */
  readonly heard: boolean;
  /** Since its last report; missing if there was none, or nobody knows. */
  readonly heardAgoMs?: number;
  readonly drainMs: number;
  /** Keys of the spares that have reported lately; only one of these can take the slot over. */
  readonly sparesHeard?: ReadonlySet<string>;
  /** Highest term that a bootstrap node has reported: the replaced generation may have voted in any up to it. */
  readonly reportedTerm: number;
}

/** Of whoever has a machine replaced on purpose: no storm, so no budget counts it. */
export const faultPrefix = 'fault ';
export const operator = 'operator';
const budgetWindowMs = 60_000;
/** Asked again within this it is the same need: a leader repeats itself every few seconds, a new one soon. */
const needLastsMs = 30_000;
/** A silence is known a probe or two after it began, and the last report may have been on its way for as long. */
const silenceBeginsMs = 1_000;
/** No agent can put its ring's terms out of reach by a single report. */
export const largestTermLead = 1_000_000;
/** How many finished redeployments are remembered, and how many old generations of a slot. */
const rememberedRedeployments = 200;
const rememberedGenerations = 8;
/** Many that finished together are forgotten with the next few, for a commit has room for so much. */
const mostForgotten = 8;

export function decideRedeployment(
  state: ClusterState,
  ask: RedeploymentAsk,
  now: number,
): Decision<RedeploymentRow> {
  const { about, lease } = state;
  const refused = (...args: Parameters<typeof refuse>) => ({
    ...refuse(...args),
    events: [
      {
        kind: 'redeployment-refused',
        slot: ask.slot,
        generation: ask.generation,
        data: { code: args[0], term: ask.term, by: ask.by },
      },
    ],
  });
  if (about.state === 'deleting') {
    return refused('cluster-deleting', `${about.name} is being deleted: nothing is redeployed any more`);
  }
  if (ask.term !== lease.term || ask.by !== lease.holder || !isHeld(lease, now)) {
    const detail = `${ask.by} does not hold the lease of term ${ask.term}; it stands at term ${lease.term}: acquire it first`;
    return refused('old-term', detail, lease.term);
  }
  if (!isPresent(state, ask.by)) {
    return refused('generation-over', `${ask.by} is over: its slot has another machine, which leads or will`);
  }
  const slot = state.slots.get(ask.slot);
  if (slot === undefined) return refused('node-not-found', `${about.name} has no slot ${ask.slot}`);
  const begun = state.redeployments.get(machineKey(ask.slot, ask.generation + 1));
  if (begun !== undefined && ask.generation < slot.generation) return { answer: begun };
  if (ask.generation !== slot.generation) {
    const detail = `${ask.slot} is in generation ${slot.generation}, not ${ask.generation}`;
    return refused('wrong-generation', detail, slot.generation);
  }
  if (!about.spec.heal.includes(slot.role)) {
    return refused(
      'not-healed',
      `nodes of role ${slot.role} are not redeployed in ${about.name}: see heal in its spec`,
    );
  }
  if (slot.leaving) return refuse('held', `${ask.slot} is being removed: it gets no other machine`);
  if (slot.held) {
    // Nothing is told: the leader asks again and again, for as long as the operator likes.
    const detail = `the redeployment of ${ask.slot} was cancelled: it stays empty until an operator has it redeployed`;
    return refuse('held', detail);
  }
  const machine = currentMachine(state, slot);
  if (machine.tokenSha256 === undefined) {
    // Never heard yet, so silence proves nothing; the reconciler tries the launch again by itself.
    const under = state.redeployments.get(machineKey(ask.slot, ask.generation));
    if (under !== undefined) return { answer: under };
    return refused(
      'not-healed',
      `${ask.slot}@${ask.generation} is still being launched: wait for it to join`,
    );
  }
  const delayed = (refusal: Refused): Refused => ({
    ...refusal,
    changes: [put.machine({ ...machine, asked: { sinceMs: askedSinceMs(machine, now), lastMs: now } })],
  });
  if (isStillHeard(ask, machine, about.spec)) {
    const detail = `${ask.slot}@${ask.generation} reported ${Math.round(ask.heardAgoMs!)} ms ago, later than the ring says it fell silent: ask again if it lasts`;
    return delayed(refused('still-heard', detail));
  }
  const recent = [...state.redeployments.values()].filter(
    ({ askedBy, times }) =>
      times.acceptedMs > now - budgetWindowMs && askedBy !== operator && !askedBy.startsWith(faultPrefix),
  );
  const ofSlot = recent.filter((row) => row.slot === ask.slot).length;
  if (ofSlot >= about.spec.redeploymentsPerSlot || recent.length >= about.spec.redeploymentsPerCluster) {
    return delayed(
      refused(
        'budget-exhausted',
        `in the last minute ${ask.slot} was redeployed ${ofSlot} times, and the whole cluster ${recent.length} times: ask again later`,
      ),
    );
  }
  // The asker must not have been fenced in between, which changes the ring.
  return { ...replace(state, slot, machine, ask, now), guards: ['about', 'lease', 'ring'] };
}

/** Whether a holder of the lease has not been replaced since it was given. */
function isPresent({ machines, slots }: ClusterState, holder: string): boolean {
  if (holder === watchdogHolder) return true;
  const machine = machines.get(holder);
  return machine !== undefined && slots.get(machine.slot)?.generation === machine.generation;
}

/**
 * Whether the control API heard the machine well after it fell silent in the ring. That only delays, by one more
 * grace: a machine that can report but not speak to the ring is of no use to it in the end.
 */
function isStillHeard(
  { cause, silentMs, heardAgoMs }: RedeploymentAsk,
  machine: MachineRow,
  { graceMs, reportIntervalMs }: ClusterSpec,
): boolean {
  if (cause !== 'silence' || machine.state === 'dead') return false;
  if (silentMs === undefined || heardAgoMs === undefined) return false;
  return silentMs < 2 * graceMs && heardAgoMs < silentMs - silenceBeginsMs - reportIntervalMs;
}

/** Since when this replacement has been wanted. */
function askedSinceMs({ asked }: MachineRow, now: number): number {
  return asked !== undefined && now - asked.lastMs <= needLastsMs ? asked.sinceMs : now;
}

/** What follows once it is decided that a slot's machine is replaced, whoever wants it. */
export type Replacement = Omit<RedeploymentAsk, 'slot' | 'generation'> & {
  /** The next machine does not find what this one's disk held. */
  readonly emptyDisk?: true;
};

/**
 * The changes of a replacement. `ring`: as it stands if others of the same commit have changed it already.
 */
export function replace(
  state: ClusterState,
  slot: SlotRow,
  machine: MachineRow,
  ask: Replacement,
  now: number,
  ring = state.ring,
): Decided<RedeploymentRow> & {
  readonly changes: readonly Change[];
  readonly events: readonly DecidedEvent[];
} {
  const { slot: name, generation, attempt } = machine;
  const next = { slot: name, generation: generation + 1, attempt: 1 };
  const dead = machine.state === 'dead';
  // What is restarted comes up again as itself.
  const spare =
    ask.cause === 'fault' ? undefined : chooseSpare(state, slot, ask.sparesHeard ?? new Set<string>());
  const redeployment: RedeploymentRow = {
    id: machineKey(name, next.generation),
    slot: name,
    fromGeneration: generation,
    toGeneration: next.generation,
    term: ask.term,
    askedBy: ask.by,
    cause: dead && ask.cause === 'silence' ? 'evidence' : ask.cause,
    reason: ask.reason,
    state: 'stopping',
    ...(spare === undefined ? {} : { spare: spare.slot }),
    attempts: 1,
    times: { askedMs: askedSinceMs(machine, now), acceptedMs: now },
  };
  const placement =
    spare === undefined ? placementFor(state.about.spec, slot, next.attempt) : spare.placement;
  const { held: _, ...filled } = slot;
  const drainUntilMs = !dead && ask.heard ? now + ask.drainMs : now;
  return {
    answer: redeployment,
    changes: [
      put.slot({ ...filled, generation: next.generation }),
      put.machine({ ...machine, state: dead ? 'dead' : 'stopping' }),
      put.machine({
        ...next,
        state: 'launching',
        sinceMs: now,
        eventsTaken: 0,
        gone: false,
        ...(ask.emptyDisk ? { emptyDisk: true } : {}),
        ...(placement === undefined ? {} : { placement }),
        ...(spare === undefined ? {} : { livesIn: attemptOf(spare) }),
      }),
      ...(spare === undefined ? [] : taken(state, spare, now)),
      ...(slot.role === 'bootstrap' ? [swapMember(ring, slot, next.generation, ask)] : []),
      put.redeployment(redeployment),
      ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
      put.effect({ kind: 'stop', slot: name, generation, attempt, notBeforeMs: drainUntilMs }),
      put.effect({ kind: spare === undefined ? 'launch' : 'assign', ...next, notBeforeMs: now }),
      ...overtaken(state, name, generation, now),
      ...forgotten(state, name, next.generation, now),
    ],
    guards: ['about', 'lease'],
    events: [
      {
        kind: 'redeployment-accepted',
        slot: name,
        generation: next.generation,
        data: {
          from: generation,
          term: ask.term,
          by: ask.by,
          cause: redeployment.cause,
          reason: ask.reason,
          heard: ask.heard,
        },
      },
      ...(spare === undefined
        ? []
        : [
            {
              kind: 'spare-assigned',
              slot: spare.slot,
              generation: spare.generation,
              data: { to: formatMachineId(next) },
            },
          ]),
    ],
  };
}

function attemptOf({ slot, generation, attempt }: MachineRow): Attempt {
  return { slot, generation, attempt };
}

/** What its predecessors voted the new generation cannot know: it votes only above every term of theirs. */
function swapMember(
  { version, members }: RingConfiguration,
  slot: SlotRow,
  generation: number,
  ask: Replacement,
): Change {
  const term = Math.max(ask.term, Math.min(ask.reportedTerm, ask.term + largestTermLead));
  return put.ring({
    version: version + 1,
    members: members.map((member) =>
      member.slot === slot.slot
        ? {
            ...member,
            generation,
            address: ringAddress(slot.addresses),
            admittedAtTerm: Math.max(term, member.admittedAtTerm),
          }
        : member,
    ),
  });
}

/** The redeployment that made the machine replaced now, if it never came to serve. */
function overtaken(state: ClusterState, slot: string, generation: number, now: number): Change[] {
  const before = state.redeployments.get(machineKey(slot, generation));
  return before === undefined || isFinished(before) ? [] : [put.redeployment(cancelled(before, now))];
}

function forgotten(state: ClusterState, slot: string, generation: number, now: number): Change[] {
  const machine = state.machines.get(machineKey(slot, generation - rememberedGenerations));
  const finished = [...state.redeployments.values()]
    .filter((row) => isFinished(row) && row.times.acceptedMs < now - budgetWindowMs)
    .sort((one, other) => other.times.acceptedMs - one.times.acceptedMs)
    .slice(rememberedRedeployments)
    .slice(0, mostForgotten);
  return [
    ...(machine?.gone ? [remove('machines', machineKey(machine.slot, machine.generation))] : []),
    ...finished.map(({ id }) => remove('redeployments', id)),
  ];
}
