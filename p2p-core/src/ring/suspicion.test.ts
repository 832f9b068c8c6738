import { describe, expect, it } from 'vitest';
import { Suspicion } from './suspicion.ts';

const options = { sinceMs: 1_000, minMs: 6_000, maxMs: 8_400, wanted: 3 };

describe('a suspicion', () => {
  it('waits the less the more say the same, by the logarithm, and never less than the grace', () => {
    const suspicion = new Suspicion(options);
    const waits = ['a', 'b', 'c', 'd', 'e'].map((accuser) => {
      suspicion.confirm(accuser);
      return Math.round(suspicion.timeoutMs);
    });
    expect(waits).toEqual([8_400, 7_200, 6_498, 6_000, 6_000]);
  });

  it('counts each accuser once, and no more than it needs', () => {
    const suspicion = new Suspicion(options);
    expect(['a', 'a', 'b', 'c', 'd', 'e'].map((accuser) => suspicion.confirm(accuser))).toEqual([
      true,
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(suspicion.confirmations).toBe(3);
    expect(suspicion.wantsMore).toBe(false);
  });

  it('waits the grace alone where nobody else could confirm', () => {
    expect(new Suspicion({ ...options, wanted: 0 }).timeoutMs).toBe(6_000);
    expect(new Suspicion({ ...options, wanted: -1 }).timeoutMs).toBe(6_000);
  });

  it('is moved to a later beginning, never to an earlier one', () => {
    const suspicion = new Suspicion(options);
    suspicion.startsLater(500);
    expect(suspicion.sinceMs).toBe(1_000);
    suspicion.startsLater(1_500);
    expect(suspicion.sinceMs).toBe(1_500);
  });
});
