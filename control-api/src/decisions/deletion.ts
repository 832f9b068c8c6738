/** Decides how a cluster ends: nothing more is launched, everything is stopped, and only then is it forgotten. */
import { type ClusterState, type Decided, put, remove } from './decision.ts';
import { cancelled, isFinished } from './redeployment-course.ts';
import { effectKey } from './rows.ts';

/** Deleting again is harmless. */
export function decideDelete(state: ClusterState, now: number): Decided<undefined> {
  if (state.about.state === 'deleting') return { answer: undefined };
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
  return {
    answer: undefined,
    changes: [
      put.about({ ...state.about, state: 'deleting' }),
      ...launches.map(([key]) => remove('effects', key)),
      ...stops.map(put.effect),
      ...[...state.redeployments.values()]
        .filter((row) => !isFinished(row))
        .map((row) => put.redeployment(cancelled(row, now))),
    ],
    events: [{ kind: 'cluster-deleting' }],
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
