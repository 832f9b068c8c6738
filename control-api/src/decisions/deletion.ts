/** Decides how a cluster ends: nothing more is launched, everything is stopped, and only then is it forgotten. */
import { type ClusterState, type Decided, mostChanges, put, remove } from './decision.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { effectKey } from './rows.ts';

/**
 * Has all that is left of a cluster end, as much at a time as a commit has room for: it is asked again until there is
 * nothing to change. Thus it also makes up for what came to be meanwhile: another process of the control API may have
 * decided something before it knew of the deletion.
 */
export function decideDelete(state: ClusterState, now: number): Decided<undefined> {
  const isBegun = state.about.state === 'deleting';
  const launches = [...state.effects].filter(([, { kind }]) => kind === 'launch' || kind === 'assign');
  const stops = [...state.machines.values()]
    .filter((machine) => !machine.gone)
    .map(({ slot, generation, attempt }) => ({
      kind: 'stop' as const,
      slot,
      generation,
      attempt,
      notBeforeMs: now,
    }))
    .filter((effect) => !state.effects.has(effectKey(effect)));
  const changes = [
    ...(isBegun ? [] : [put.about({ ...state.about, state: 'deleting' as const })]),
    ...launches.map(([key]) => remove('effects', key)),
    ...stops.map(put.effect),
    ...[...state.redeployments.values()]
      .filter((row) => !isFinished(row))
      .map((row) => put.redeployment(cancelled(row, now))),
  ];
  if (changes.length === 0) return { answer: undefined };
  return {
    answer: undefined,
    changes: changes.slice(0, mostChanges),
    events: isBegun ? [] : [{ kind: 'cluster-deleting' }],
  };
}

/** Whether every machine of a cluster being deleted is proven gone. */
export function isEnded(state: ClusterState): boolean {
  return (
    state.about.state === 'deleting' &&
    state.effects.size === 0 &&
    [...state.machines.values()].every((machine) => machine.gone)
  );
}
