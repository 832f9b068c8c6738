import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateLimit, RateMeter, TokenBucket } from './rate.ts';

describe('RateMeter', () => {
  test('tells a steady rate, soon after it began and ever after', () => {
    const meter = new RateMeter(0);
    for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
      meter.add(1_000, nowMs);
      if (nowMs >= 600) expect(meter.bytesPerSecond(nowMs)).toBeCloseTo(100_000, -4);
    }
    expect(meter.total).toBe(6_000_000);
  });

  test('falls to nothing when nothing comes', () => {
    const meter = new RateMeter(0);
    for (let nowMs = 0; nowMs < 5_000; nowMs += 10) meter.add(1_000, nowMs);
    expect(meter.bytesPerSecond(15_000)).toBeLessThan(20_000);
    expect(meter.bytesPerSecond(120_000)).toBe(0);
  });
});

describe('TokenBucket', () => {
  test('keeps to its rate in the long run, whatever is spent at once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1_000, max: 10_000_000 }),
        fc.integer({ min: 1, max: 131_072 }),
        (rate, size) => {
          const bucket = new TokenBucket(rate, 0);
          let nowMs = 0;
          let spent = 0;
          for (let i = 0; i < 300; i++) {
            nowMs += bucket.waitMs(nowMs);
            bucket.spend(size);
            spent += size;
          }
          // The burst at the start and the overdraft of the last are all that exceeds it.
          expect(spent).toBeLessThanOrEqual((rate * nowMs) / 1_000 + rate / 10 + size + 1);
          expect(spent).toBeGreaterThanOrEqual((rate * nowMs) / 1_000 - rate / 500 - 301);
        },
      ),
    );
  });

  test('infinite never waits', () => {
    const bucket = new TokenBucket(Infinity, 0);
    bucket.spend(1e15);
    expect(bucket.waitMs(0)).toBe(0);
  });

  test('follows a change of its rate', () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.setRate(10, 0);
    bucket.spend(11);
    expect(bucket.waitMs(0)).toBe(1_100);
    bucket.setRate(Infinity, 0);
    expect(bucket.waitMs(0)).toBe(0);
  });
});

test('of limits that hold at once the slowest tells the wait, and all are spent', () => {
  const [node, torrent] = [new TokenBucket(1_000, 0), new TokenBucket(100, 0)];
  const limit = new RateLimit(node, torrent);
  limit.spend(1_000);
  expect(node.waitMs(0)).toBe(901);
  expect(limit.waitMs(0)).toBe(9_910);
  expect(limit.isUnlimited).toBe(false);
});
