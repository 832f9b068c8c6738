/** One process of `npm run soak -- sim`: runs the seeds that it is sent, one after the other, and tells the outcomes. */
import { type Planted, runSafety, type SafetyResult } from '@skep/sim';

export interface SeedAsk {
  readonly seed: number;
  readonly planted?: Planted | undefined;
}

export type SeedOutcome = Pick<SafetyResult, 'story' | 'violations' | 'hash' | 'virtualMs'>;

/** A run that throws has violated something too: no part may throw past its host. */
export async function outcomeOf({ seed, planted }: SeedAsk): Promise<SeedOutcome> {
  try {
    return await runSafety(seed, planted === undefined ? {} : { planted });
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return {
      story: [],
      violations: [{ invariant: 'nothing is thrown', atMs: 0, detail }],
      hash: '',
      virtualMs: 0,
    };
  }
}

if (import.meta.main) {
  process.on('message', (ask: SeedAsk) => {
    outcomeOf(ask).then(({ violations }) => process.send?.(violations));
  });
}
