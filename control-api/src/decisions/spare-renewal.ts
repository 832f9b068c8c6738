/**
 * Decides how the pool of spares is made up for those that die. No leader is asked, for nobody counts on a spare: it
 * is fenced, proven gone and launched anew as soon as its death is known, and none of it is a redeployment.
 */
import type { MachineId } from '@skep/contract';
import { type ClusterState, currentMachine, type Decided, pendingLaunches, put, remove } from './decision.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { type MachineRow, machineKey } from './rows.ts';
import { nextSpare } from './spares.ts';

/** One that dies sooner than this after it joined is not launched anew before that: it may be why it dies. */
const fewestLifeMs = 10_000;

/** There is evidence that a spare exited, which had joined. */
export function decideSpareDead(
  state: ClusterState,
  machine: MachineRow,
  evidence: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const { slot, generation, sinceMs } = machine;
  const launchAtMs = Math.max(now + backOffMs, sinceMs + fewestLifeMs);
  return {
    ...renewed(state, { ...machine, state: 'dead', reason: evidence }, launchAtMs, now),
    events: [{ kind: 'node-dead', slot, generation, data: { evidence } }],
  };
}

/** A spare has not been heard for longer than any pause must last, though it may live. */
export function decideSpareSilent(
  state: ClusterState,
  { slot, generation }: MachineId,
  now: number,
): Decided<undefined> {
  const row = state.slots.get(slot);
  if (state.about.state === 'deleting' || row?.role !== 'spare' || row.generation !== generation) {
    return { answer: undefined };
  }
  const machine = currentMachine(state, row);
  const lives = machine.state === 'joined' || machine.state === 'serving';
  if (!lives || row.held || row.leaving) return { answer: undefined };
  const reason = 'silent';
  return {
    ...renewed(state, { ...machine, state: 'stopping', reason }, now, now),
    events: [{ kind: 'spare-given-up', slot, generation, data: { reason } }],
  };
}

function renewed(state: ClusterState, machine: MachineRow, launchAtMs: number, now: number) {
  const { slot, generation, attempt } = machine;
  const redeployment = state.redeployments.get(machineKey(slot, generation));
  return {
    answer: undefined,
    changes: [
      put.machine(machine),
      ...nextSpare(state, state.slots.get(slot)!, now),
      ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
      put.effect({ kind: 'stop', slot, generation, attempt, notBeforeMs: now }),
      put.effect({
        kind: 'launch',
        slot,
        generation: generation + 1,
        attempt: 1,
        notBeforeMs: launchAtMs,
      }),
      ...(redeployment === undefined || isFinished(redeployment)
        ? []
        : [put.redeployment(cancelled(redeployment, now))]),
    ],
    guards: ['about'] as const,
  };
}
