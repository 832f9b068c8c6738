import { describe, expect, it } from 'vitest';
import { RoundTrips } from './round-trips.ts';

const a = { slot: 'a', generation: 1 };
const b = { slot: 'b', generation: 1 };
const c = { slot: 'c', generation: 1 };

function measured(...samples: number[]): RoundTrips {
  const trips = new RoundTrips(200);
  for (const sample of samples) trips.sample(a, sample);
  return trips;
}

describe('round trips', () => {
  it('follow RFC 6298', () => {
    // SRTT 100, RTTVAR 50; then RTTVAR 50 + (|100 - 60| - 50) / 4 and SRTT 100 + (60 - 100) / 8.
    expect(measured(100).timeoutMs(a)).toBe(300);
    expect(measured(100, 60).timeoutMs(a)).toBe(95 + 4 * 47.5);
    expect(measured(100, 60).averageMs(a)).toBe(95);
  });

  it('leave a margin where they never vary, and stay within 50 and 450 ms', () => {
    expect(measured(...Array(100).fill(80)).timeoutMs(a)).toBeCloseTo(100);
    expect(measured(...Array(100).fill(1)).timeoutMs(a)).toBe(50);
    expect(measured(400).timeoutMs(a)).toBe(450);
  });

  it('are each member’s own, and unknown before the first', () => {
    const trips = measured(100);
    expect(trips.timeoutMs(b)).toBe(200);
    expect(trips.averageMs(b)).toBe(undefined);
    trips.sample(b, Number.NaN);
    trips.sample(b, -1);
    expect(trips.averageMs(b)).toBe(undefined);
    trips.keep(new Set(['b@1']));
    expect(trips.averageMs(a)).toBe(undefined);
  });

  it('begin anew with the slot’s next generation', () => {
    const trips = measured(100);
    const next = { slot: 'a', generation: 2 };
    expect(trips.averageMs(next)).toBe(undefined);
    trips.sample(next, 60);
    expect(trips.averageMs(next)).toBe(60);
    trips.keep(new Set(['a@1']));
    expect(trips.averageMs(next)).toBe(undefined);
  });

  it('tell by when so many have answered', () => {
    const trips = measured(...Array(100).fill(10));
    for (let count = 0; count < 100; count += 1) {
      trips.sample(b, 300);
      trips.sample(c, 50);
    }
    expect(trips.quorumMs([a, b, c], 2)).toBeCloseTo(50);
    expect(trips.quorumMs([a, b, c], 3)).toBeCloseTo(300);
    expect(trips.quorumMs([a, { slot: 'd', generation: 1 }], 2)).toBe(undefined);
  });
});
