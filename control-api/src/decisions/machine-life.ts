/**
 * Decides what follows from what was seen of machines: launched, could not be launched, exited, proven gone.
 *
 * A machine that exits before it ever joined was a failed launch, and the reconciler tries the next attempt
 * by itself; one that had joined is dead, and only a leader (or the watchdog) has it replaced.
 */
import type { AssignedDirectories } from '../ports/launcher.ts';
import { type Change, type ClusterState, type Decided, pendingLaunches, put, remove } from './decision.ts';
import { describePlacement, placementFor } from './placement.ts';
import { reached, tryingAgain } from './redeployment-course.ts';
import { type Attempt, type EffectRow, effectKey, type MachineRow, machineKey } from './rows.ts';
import { decideSpareDead } from './spare-renewal.ts';
import { dwellerOf, livesInSpare, released } from './spares.ts';

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
  changes.push(...reached(state, slot, generation, { launchedMs: now }, now).changes);
  const data = { attempt, machine: name, ...placed(machine.placement) };
  return { answer: undefined, changes, events: [{ kind: 'node-launched', slot, generation, data }] };
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
    events: [
      {
        kind: 'node-launch-failed',
        slot,
        generation,
        data: { attempt, reason, ...placed(machine.placement) },
      },
    ],
  };
}

/** The launcher has readied everything for a spare to become the machine of an assign effect. */
export function decideAssigned(
  state: ClusterState,
  effect: EffectRow,
  directories: AssignedDirectories,
  now: number,
): Decided<undefined> {
  const key = effectKey(effect);
  if (!state.effects.has(key)) return nothing;
  const { slot, generation, attempt } = effect;
  const machine = state.machines.get(machineKey(slot, generation));
  const changes: Change[] = [remove('effects', key)];
  if (machine?.livesIn === undefined || machine.attempt !== attempt) return { answer: undefined, changes };
  const { reason: _, ...known } = machine;
  const spare = machineKey(machine.livesIn.slot, machine.livesIn.generation);
  const name = state.machines.get(spare)?.name ?? spare;
  changes.push(put.machine({ ...known, state: 'launching', name, directories, sinceMs: now }));
  changes.push(...reached(state, slot, generation, { launchedMs: now }, now).changes);
  const data = { attempt, machine: name, spare, ...placed(machine.placement) };
  return { answer: undefined, changes, events: [{ kind: 'node-launched', slot, generation, data }] };
}

/**
 * There is evidence that what the launcher knows by a name has exited. `backOffMs`: how long to wait before its launch
 * is tried anew.
 */
export function decideExit(
  state: ClusterState,
  exited: Attempt,
  evidence: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const { slot, generation, attempt } = dwellerOf(state, exited);
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || machine.attempt !== attempt || machine.state === 'dead') return nothing;
  if (!isWanted(state, machine)) return nothing;
  if (machine.tokenSha256 === undefined) return decideNextAttempt(state, machine, evidence, backOffMs, now);
  if (state.slots.get(slot)!.role === 'spare') {
    return decideSpareDead(state, machine, evidence, backOffMs, now);
  }
  return {
    answer: undefined,
    changes: [put.machine({ ...machine, state: 'dead', reason: evidence })],
    events: [{ kind: 'node-dead', slot, generation, data: { evidence } }],
  };
}

/** An attempt that did not join and will not, if that is still so. */
export function decideGivenUp(
  state: ClusterState,
  { slot, generation, attempt }: Attempt,
  reason: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine?.attempt !== attempt || machine.tokenSha256 !== undefined) return nothing;
  return isWanted(state, machine) ? decideNextAttempt(state, machine, reason, backOffMs, now) : nothing;
}

/** Whether its slot is to have a machine of this generation. */
function isWanted(state: ClusterState, { slot, generation }: MachineRow): boolean {
  const row = state.slots.get(slot);
  return row?.generation === generation && !row.held && !row.leaving && state.about.state === 'active';
}

/** Gives up an attempt that never joined: proves it gone, then launches the next one, elsewhere if it may. */
export function decideNextAttempt(
  state: ClusterState,
  machine: MachineRow,
  reason: string,
  backOffMs: number,
  now: number,
): Decided<undefined> {
  const { slot, generation, attempt } = machine;
  const redeployment = state.redeployments.get(machineKey(slot, generation));
  // What ended a spare says nothing against a launch: neither against its place nor its time.
  const launches = attempt - (machine.livesIn === undefined ? 0 : 1);
  const placement = placementFor(state.about.spec, state.slots.get(slot)!, launches + 1);
  const { name: _, placement: failed, directories: _1, ...kept } = machine;
  const launchAtMs = livesInSpare(machine) ? now : now + backOffMs;
  return {
    answer: undefined,
    changes: [
      put.machine({
        ...kept,
        attempt: attempt + 1,
        state: 'failed',
        reason,
        sinceMs: now,
        ...(placement === undefined ? {} : { placement }),
      }),
      ...pendingLaunches(state, machine).map((key) => remove('effects', key)),
      put.effect({ kind: 'stop', slot, generation, attempt, notBeforeMs: now }),
      put.effect({ kind: 'launch', slot, generation, attempt: attempt + 1, notBeforeMs: launchAtMs }),
      ...(redeployment === undefined ? [] : [put.redeployment(tryingAgain(redeployment))]),
    ],
    events: [
      {
        kind: 'node-launch-failed',
        slot,
        generation,
        data: {
          attempt,
          reason,
          ...placed(failed),
          ...(placement === undefined ? {} : { next: describePlacement(placement) }),
        },
      },
    ],
  };
}

function placed(placement: MachineRow['placement']): { placement?: string } {
  return placement === undefined ? {} : { placement: describePlacement(placement) };
}

/** The launcher proved the machine of a stop effect gone: it never stands in the way of a launch again. */
export function decideStopped(state: ClusterState, effect: EffectRow, now: number): Decided<undefined> {
  const key = effectKey(effect);
  if (!state.effects.has(key)) return nothing;
  const { slot, generation, attempt } = effect;
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || machine.attempt !== attempt) {
    const launchingMs = launchDueMs(state, slot, generation, now);
    const { changes } = reached(state, slot, generation, launchingMs, now);
    return {
      answer: undefined,
      changes: [remove('effects', key), ...changes, ...released(state, effect, now)],
    };
  }
  const milestones = { goneMs: now, ...launchDueMs(state, slot, generation + 1, now) };
  const { changes, events } = reached(state, slot, generation + 1, milestones, now);
  const kind = state.about.state === 'deleting' ? 'node-stopped' : 'generation-gone';
  return {
    answer: undefined,
    changes: [
      remove('effects', key),
      put.machine({ ...machine, state: 'stopped', gone: true }),
      ...changes,
      ...released(state, effect, now),
    ],
    events: [{ kind, slot, generation }, ...events],
  };
}

/** When the launch that waited for a machine's end can begin. */
function launchDueMs(
  state: ClusterState,
  slot: string,
  generation: number,
  now: number,
): { launchingMs?: number } {
  for (const { kind, notBeforeMs, ...launch } of state.effects.values()) {
    if (
      (kind === 'launch' || kind === 'assign') &&
      launch.slot === slot &&
      launch.generation === generation
    ) {
      return { launchingMs: Math.max(now, notBeforeMs) };
    }
  }
  return {};
}
