/**
 * Decides what follows from what was seen of machines: launched, could not be launched, exited, proven gone.
 *
 * A machine that exits before it ever joined was a failed launch, and the reconciler tries the next attempt
 * by itself; one that had joined is dead, and only a leader (or the watchdog) has it replaced.
 */
import {
  type Change,
  type ClusterState,
  type Decided,
  type DecidedEvent,
  pendingLaunches,
  put,
  remove,
} from './decision.ts';
import { type Attempt, type EffectRow, effectKey, type MachineRow, machineKey } from './rows.ts';

const nothing: Decided<undefined> = { answer: undefined };

/** The launcher made the machine of a launch effect, or found that it had. */
export function decideLaunched(
  state: ClusterState,
  effect: EffectRow,
  name: string,
  now: number,
): Decided<undefined> {
  const key = effectKey(effect);
  if (!state.effects.has(key)) return nothing;
  const { slot, generation, attempt } = effect;
  const changes: Change[] = [remove('effects', key)];
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || machine.attempt !== attempt) return { answer: undefined, changes };
  const { reason: _, ...known } = machine;
  changes.push(
    put.machine(
      machine.state === 'failed'
        ? { ...known, state: 'launching', name, sinceMs: now }
        : { ...machine, name, sinceMs: now },
    ),
  );
  const redeployment = state.redeployments.get(machineKey(slot, generation));
  if (redeployment !== undefined) {
    changes.push(
      put.redeployment({
        ...redeployment,
        state: redeployment.state === 'launching' ? 'joining' : redeployment.state,
        launchedAtMs: redeployment.launchedAtMs ?? now,
      }),
    );
  }
  return {
    answer: undefined,
    changes,
    events: [{ kind: 'node-launched', slot, generation, data: { attempt, machine: name } }],
  };
}

/** A launch with an unknown outcome, or none: it will be tried again with the same token; told once. */
export function decideLaunchTrouble(
  state: ClusterState,
  effect: EffectRow,
  reason: string,
): Decided<undefined> {
  const { slot, generation, attempt } = effect;
  const machine = state.machines.get(machineKey(slot, generation));
  if (
    machine?.attempt !== attempt ||
    machine.state !== 'launching' ||
    !state.effects.has(effectKey(effect))
  ) {
    return nothing;
  }
  return {
    answer: undefined,
    changes: [put.machine({ ...machine, state: 'failed', reason })],
    events: [{ kind: 'node-launch-failed', slot, generation, data: { attempt, reason } }],
  };
}

/** There is evidence that a machine exited. `backOffMs`: how long to wait before its launch is tried anew. */
export function decideExit(
  state: ClusterState,
  exited: Attempt,
  evidence: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const { slot, generation, attempt } = exited;
  const machine = state.machines.get(machineKey(slot, generation));
  const current = state.slots.get(slot)?.generation === generation && state.about.state === 'active';
  if (machine === undefined || machine.attempt !== attempt || machine.state === 'dead' || !current)
    return nothing;
  if (machine.tokenSha256 === undefined) return decideNextAttempt(state, machine, evidence, backOffMs, now);
  return {
    answer: undefined,
    changes: [put.machine({ ...machine, state: 'dead', reason: evidence })],
    events: [{ kind: 'node-dead', slot, generation, data: { evidence } }],
  };
}

/** Gives up an attempt that never joined: proves it gone, then launches the next one. */
export function decideNextAttempt(
  state: ClusterState,
  machine: MachineRow,
  reason: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const { slot, generation, attempt } = machine;
  const redeployment = state.redeployments.get(machineKey(slot, generation));
  const { name: _, ...unnamed } = machine;
  return {
    answer: undefined,
    changes: [
      put.machine({ ...unnamed, attempt: attempt + 1, state: 'failed', reason, sinceMs: now }),
      ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
      put.effect({ kind: 'stop', slot, generation, attempt, notBeforeMs: now }),
      put.effect({ kind: 'launch', slot, generation, attempt: attempt + 1, notBeforeMs: now + backOffMs }),
      ...(redeployment === undefined
        ? []
        : [put.redeployment({ ...redeployment, attempts: redeployment.attempts + 1 })]),
    ],
    events: [{ kind: 'node-launch-failed', slot, generation, data: { attempt, reason } }],
  };
}

/** The launcher proved the machine of a stop effect gone. */
export function decideStopped(state: ClusterState, effect: EffectRow, now: number): Decided<undefined> {
  const key = effectKey(effect);
  if (!state.effects.has(key)) return nothing;
  const { slot, generation, attempt } = effect;
  const changes: Change[] = [remove('effects', key)];
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || machine.attempt !== attempt) return { answer: undefined, changes };
  changes.push(put.machine({ ...machine, state: 'stopped', gone: true }));
  const events: DecidedEvent[] = [
    { kind: state.about.state === 'deleting' ? 'node-stopped' : 'generation-gone', slot, generation },
  ];
  const redeployment = state.redeployments.get(machineKey(slot, generation + 1));
  if (redeployment !== undefined) {
    changes.push(
      put.redeployment({
        ...redeployment,
        state: redeployment.state === 'stopping' ? 'launching' : redeployment.state,
        goneAtMs: now,
      }),
    );
  }
  return { answer: undefined, changes, events };
}
