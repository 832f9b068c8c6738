/** The worlds by which the detector's rules are judged: they find what is wrong, and find nothing at the usual times. */
import { describe, expect, it } from 'vitest';
import { falseVerdicts } from './long-run.ts';

const pauses = { everyMs: 10_000, forMs: 5_000 };

describe('a ring of the living', () => {
  it.each([
    { members: 5, loss: 0.3, pauses },
    { members: 20, loss: 0.1 },
    { members: 20, loss: 0.3, pauses },
    { members: 20, loss: 0.1, starved: 1 },
  ])('is called dead by nobody: %o', (world) => {
    const { verdicts, replacements, suspicions } = falseVerdicts({ ...world, seed: 2, nodeHours: 0.2 });
    expect({ verdicts, replacements }).toEqual({ verdicts: 0, replacements: 0 });
    if (world.loss >= 0.3) expect(suspicions).toBeGreaterThan(0);
  });

  it('would be, with a grace shorter than the pauses', () => {
    const timing = { graceMs: 3_000 };
    const { verdicts, replacements } = falseVerdicts({
      members: 5,
      pauses,
      timing,
      seed: 2,
      nodeHours: 0.1,
    });
    expect(verdicts).toBeGreaterThan(0);
    expect(replacements).toBeGreaterThan(0);
  });
});
