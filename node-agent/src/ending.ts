/** How a machine comes to its end. */
import type { Log } from './log.ts';

/**
 * `stopped` by a signal, `over` as replaced or removed, `orphaned` as unheard for too long, `refused` as never
 * admitted; `assigned`: a spare that has been given a slot, and ended as a spare.
 */
export type AgentEnd = 'stopped' | 'drained' | 'over' | 'orphaned' | 'refused' | 'assigned';

/** Has a machine end by `shutDown`, which is told whether others still count on it. Never rejects. */
export async function endAs(
  end: AgentEnd,
  why: string,
  log: Log,
  shutDown: (missed: boolean) => Promise<void>,
): Promise<AgentEnd> {
  log.info('ending', { reason: end, why });
  try {
    await shutDown(end === 'stopped' || end === 'drained');
  } catch (error) {
    log.warn('did not end cleanly', { error: String(error) });
  }
  return end;
}
