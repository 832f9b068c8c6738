import { describe, expect, it } from 'vitest';
import { RateLimiter } from './rate-limiter.ts';
import { seededRandom } from './testing/world.ts';

const limits = { queriesPerSecond: 10, hostFactor: 5, burstSeconds: 2 };
const make = (): RateLimiter => new RateLimiter({ random: seededRandom(4) }, limits);

function allowed(
  limiter: RateLimiter,
  nowMs: number,
  source: (index: number) => { host: string; port: number },
): number {
  let count = 0;
  for (let index = 0; index < 1_000; index++) if (limiter.allow(source(index), nowMs)) count++;
  return count;
}

describe('the rate limiter', () => {
  it('allows a burst and then the rate', () => {
    const limiter = make();
    const source = (): { host: string; port: number } => ({ host: '10.0.0.1', port: 1 });
    expect(allowed(limiter, 5_000, source)).toBe(20);
    expect(allowed(limiter, 5_000, source)).toBe(0);
    expect(allowed(limiter, 6_000, source)).toBe(10);
    expect(allowed(limiter, 60_000, source)).toBe(20);
  });

  it('bounds an address with all its ports', () => {
    const limiter = make();
    const count = allowed(limiter, 5_000, (index) => ({ host: '10.0.0.1', port: index + 1 }));
    // The address may share its cell with a port or two.
    expect(count).toBeGreaterThanOrEqual(90);
    expect(count).toBeLessThanOrEqual(100);
  });

  it('lets many sources each have their share, but for chance collisions', () => {
    const limiter = make();
    const flooder = { host: '9.9.9.9', port: 9 };
    allowed(limiter, 5_000, () => flooder);
    let refused = 0;
    for (let index = 0; index < 100; index++)
      if (!limiter.allow({ host: `10.0.1.${index}`, port: 7 }, 5_000)) refused++;
    expect(refused).toBeLessThan(5);
  });
});
