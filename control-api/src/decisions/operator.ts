/** Decides what an operator wants of redeployments: that one be given up, or that a slot have a new machine. */
import {
  type Change,
  type ClusterState,
  currentMachine,
  type Decision,
  pendingLaunches,
  put,
  refuse,
  remove,
} from './decision.ts';
import { operator, type RedeploymentAsk, replace } from './redeployment.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { type MachineRow, machineKey, type RedeploymentRow, type SlotRow } from './rows.ts';

/**
 * Gives up a redeployment that is not complete. The fence stays: the old generation is over. What was launched, or
 * may have been, is stopped, and the slot is held empty, or the leader would ask at once again.
 */
export function decideCancelRedeployment(
  state: ClusterState,
  id: string,
  now: number,
): Decision<RedeploymentRow> {
  const row = state.redeployments.get(id);
  if (row === undefined) return refuse('not-found', `${state.about.name} has no redeployment ${id}`);
  if (isFinished(row)) return { answer: row };
  const over = cancelled(row, now);
  const slot = state.slots.get(row.slot);
  return {
    answer: over,
    changes: [
      put.redeployment(over),
      ...(slot === undefined ? [] : emptied(state, slot, currentMachine(state, slot), now)),
    ],
    guards: ['about'],
    events: [
      {
        kind: 'redeployment-cancelled',
        slot: row.slot,
        generation: row.toGeneration,
        data: { by: operator },
      },
    ],
  };
}

/** The stop proves the machine gone also where a launch is under way or its outcome unknown. */
function emptied(state: ClusterState, slot: SlotRow, machine: MachineRow, now: number): Change[] {
  const { slot: name, generation, attempt } = machine;
  return [
    put.slot({ ...slot, held: true }),
    put.machine({ ...machine, state: 'stopping', reason: 'its redeployment was cancelled' }),
    ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
    put.effect({ kind: 'stop', slot: name, generation, attempt, notBeforeMs: now }),
  ];
}

export type RedeployNodeAsk = Pick<
  RedeploymentAsk,
  'slot' | 'heard' | 'drainMs' | 'reportedTerm' | 'sparesHeard'
>;

/** Replaces whatever is in a slot: no budget counts it, and no death need be proven. */
export function decideRedeployNode(
  state: ClusterState,
  ask: RedeployNodeAsk,
  now: number,
): Decision<RedeploymentRow> {
  const { about, lease } = state;
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: nothing is redeployed any more`);
  }
  const slot = state.slots.get(ask.slot);
  if (slot === undefined) return refuse('node-not-found', `${about.name} has no slot ${ask.slot}`);
  if (slot.leaving) return refuse('held', `${ask.slot} is being removed: it gets no other machine`);
  const machine = currentMachine(state, slot);
  if (machine.tokenSha256 === undefined && !slot.held) {
    const underWay = state.redeployments.get(machineKey(slot.slot, slot.generation));
    if (underWay !== undefined) return { answer: underWay };
    return refuse(
      'not-healed',
      `${slot.slot}@${slot.generation} is still being launched, which is tried until it succeeds`,
    );
  }
  const by = { by: operator, cause: 'operator', reason: 'an operator wants it', term: lease.term } as const;
  return replace(state, slot, machine, { ...ask, ...by }, now);
}
