/** Distributions have the medians, means and bounds that they are named by. */
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../host/index.ts';
import { type Distribution, drawMs } from './distribution.ts';

const draws = 20_000;

function sample(distribution: Distribution): number[] {
  const random = new RandomStream(1, 'sample');
  return Array.from({ length: draws }, () => drawMs(random, distribution)).sort((a, b) => a - b);
}

describe('drawMs', () => {
  it('uniform stays within its pair, and is spread evenly', () => {
    const drawn = sample([100, 300]);
    expect(drawn[0]).toBeGreaterThanOrEqual(100);
    expect(drawn.at(-1)).toBeLessThan(300);
    expect(drawn[draws / 4]).toBeCloseTo(150, -1);
    expect(drawn[(draws * 3) / 4]).toBeCloseTo(250, -1);
    expect(drawMs(new RandomStream(1, 'one'), [7, 7])).toBe(7);
  });

  it('log-normal has its median, and nine of ten within the factor that sigma says', () => {
    const drawn = sample({ kind: 'log-normal', medianMs: 1_000, sigma: 0.5 });
    expect(drawn[draws / 2]! / 1_000).toBeCloseTo(1, 1);
    const within = drawn.filter((ms) => ms > 1_000 / 2.276 && ms < 1_000 * 2.276).length;
    expect(within / draws).toBeCloseTo(0.9, 1);
    expect(sample({ kind: 'log-normal', medianMs: 1_000, sigma: 2, mostMs: 4_000 }).at(-1)).toBe(4_000);
  });

  it('exponential has its mean above its least, and a tail that is cut where asked', () => {
    const drawn = sample({ kind: 'exponential', meanMs: 200, leastMs: 50 });
    expect(drawn[0]).toBeGreaterThanOrEqual(50);
    expect(drawn.reduce((sum, ms) => sum + ms, 0) / draws / 250).toBeCloseTo(1, 1);
    expect(sample({ kind: 'exponential', meanMs: 200, mostMs: 300 }).at(-1)).toBe(300);
  });
});
