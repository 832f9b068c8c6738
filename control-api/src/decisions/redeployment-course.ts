/**
 * How a redeployment moves on. Its state is read off its times, and it is complete only when the new machine
 * serves and the old one is proven gone, whichever comes last.
 */
import type { RedeploymentState, RedeploymentTimes } from '@skep/contract';
import { type Change, type ClusterState, type DecidedEvent, put } from './decision.ts';
import { machineKey, type RedeploymentRow } from './rows.ts';

export interface Progress {
  readonly changes: readonly Change[];
  readonly events: readonly DecidedEvent[];
}

type Milestones = Partial<Omit<RedeploymentTimes, 'askedMs' | 'acceptedMs' | 'completeMs' | 'cancelledMs'>>;

const nothing: Progress = { changes: [], events: [] };

/** Whether there is nothing left to come. */
export function isFinished({ state }: RedeploymentRow): boolean {
  return state === 'complete' || state === 'cancelled';
}

/** Milestones of the redeployment, if any, that makes (or made) this generation; each counts the first time. */
export function reached(
  state: ClusterState,
  slot: string,
  generation: number,
  milestones: Milestones,
  now: number,
): Progress {
  const row = state.redeployments.get(machineKey(slot, generation));
  if (row === undefined) return nothing;
  const times: RedeploymentTimes = { ...milestones, ...row.times };
  const completes =
    !isFinished(row) && times.servingMs !== undefined && times.goneMs !== undefined
      ? { completeMs: now }
      : {};
  const after = withTimes(row, { ...times, ...completes });
  return {
    changes: [put.redeployment(after)],
    events:
      after.state === 'complete' && row.state !== 'complete'
        ? [
            {
              kind: 'redeployment-complete',
              slot,
              generation,
              data: { from: row.fromGeneration, tookMs: Math.round(now - row.times.acceptedMs) },
            },
          ]
        : [],
  };
}

/** An attempt failed: what it had reached counts no more. */
export function tryingAgain(row: RedeploymentRow): RedeploymentRow {
  const { launchingMs: _, launchedMs: _1, bootedMs: _2, joinedMs: _3, ...times } = row.times;
  return withTimes({ ...row, attempts: row.attempts + 1 }, times);
}

export function cancelled(row: RedeploymentRow, now: number): RedeploymentRow {
  return isFinished(row) ? row : withTimes(row, { ...row.times, cancelledMs: now });
}

function withTimes(row: RedeploymentRow, times: RedeploymentTimes): RedeploymentRow {
  return { ...row, state: stateAt(times), times };
}

function stateAt(times: RedeploymentTimes): RedeploymentState {
  if (times.cancelledMs !== undefined) return 'cancelled';
  if (times.completeMs !== undefined) return 'complete';
  if (times.servingMs !== undefined) return 'serving';
  if (times.joinedMs !== undefined) return 'joining';
  if (times.launchedMs !== undefined) return 'booting';
  return times.goneMs === undefined ? 'stopping' : 'launching';
}
