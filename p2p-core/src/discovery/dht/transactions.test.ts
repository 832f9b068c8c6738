import { describe, expect, it } from 'vitest';
import { seededRandom } from './testing/world.ts';
import { ANSWER_TIMEOUT_MS, MAX_OUTSTANDING, Transactions } from './transactions.ts';

const address = { host: '10.0.0.1', port: 6881 };
const make = (): Transactions<string> => new Transactions({ random: seededRandom(1) });

describe('transactions', () => {
  it('match by id and by the address that was asked, once', () => {
    const transactions = make();
    const id = transactions.begin(address, 'a', 0)!.slice();
    expect(transactions.match(id, { host: '10.0.0.2', port: 6881 }, 1)).toBeUndefined();
    expect(transactions.match(id, { host: '10.0.0.1', port: 6882 }, 1)).toBeUndefined();
    expect(transactions.match(id.subarray(1), address, 1)).toBeUndefined();
    expect(transactions.match(id, address, 1)?.context).toBe('a');
    expect(transactions.match(id, address, 1)).toBeUndefined();
  });

  it('become slow first and fail later, and are told once of each', () => {
    const transactions = make();
    transactions.begin(address, 'a', 0);
    const slowAtMs = transactions.nextDeadlineMs()!;
    expect(transactions.expire(slowAtMs - 1)).toEqual({ slow: [], failed: [] });
    expect(transactions.expire(slowAtMs).slow.map(({ context }) => context)).toEqual(['a']);
    expect(transactions.expire(slowAtMs).slow).toEqual([]);
    expect(transactions.nextDeadlineMs()).toBe(ANSWER_TIMEOUT_MS);
    expect(transactions.expire(ANSWER_TIMEOUT_MS).failed.map(({ context }) => context)).toEqual(['a']);
    expect(transactions.outstanding).toBe(0);
    expect(transactions.nextDeadlineMs()).toBeUndefined();
  });

  it('learn how long answers take', () => {
    const transactions = make();
    const roundTrip = (ms: number): void => {
      for (let count = 0; count < 40; count++)
        transactions.match(transactions.begin(address, 'a', 0)!, address, ms);
    };
    roundTrip(1);
    expect(transactions.slowAfterMs).toBe(50);
    roundTrip(300);
    expect(transactions.slowAfterMs).toBeGreaterThan(300);
    expect(transactions.slowAfterMs).toBeLessThan(600);
    roundTrip(3_900);
    expect(transactions.slowAfterMs).toBe(2_000);
  });

  it('are bounded', () => {
    const transactions = make();
    for (let count = 0; count < MAX_OUTSTANDING; count++)
      expect(transactions.begin(address, 'a', 0)).toBeDefined();
    expect(transactions.begin(address, 'a', 0)).toBeUndefined();
    transactions.expire(ANSWER_TIMEOUT_MS);
    expect(transactions.begin(address, 'a', 0)).toBeDefined();
  });
});
