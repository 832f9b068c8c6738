import { describe, expect, it } from 'vitest';
import { Leadership } from './leadership.ts';
import { DEFAULT_TIMING } from './timing.ts';

const granted = (term: number, durationMs = 3_000) => ({ granted: true, term, durationMs }) as const;

/** Elected in term 5 at time 0, and granted the lease at time 40 for 3 s from time 0. */
function leading(): Leadership {
  const leadership = new Leadership(DEFAULT_TIMING);
  expect(leadership.elected(0, 5)).toEqual([{ type: 'lease', method: 'acquire', term: 5, request: 1 }]);
  expect(leadership.mayAct(0)).toBe(false);
  expect(leadership.answered(40, 1, granted(5))).toEqual([{ type: 'granted', term: 5, durationMs: 3_000 }]);
  return leadership;
}

describe('the lease', () => {
  it('is counted from before its request, and used to 80 %', () => {
    const leadership = leading();
    expect(leadership.mayAct(2_399)).toBe(true);
    expect(leadership.mayAct(2_400)).toBe(false);
    expect(leadership.remainingMs(2_400)).toBe(600);
  });

  it('is renewed at a third, again counted from before the request', () => {
    const leadership = leading();
    expect(leadership.wake(999)).toEqual([]);
    expect(leadership.wake(1_000)).toEqual([{ type: 'lease', method: 'renew', term: 5, request: 2 }]);
    expect(leadership.wake(1_100)).toEqual([]);
    expect(leadership.answered(1_500, 2, granted(5))).toEqual([]);
    expect(leadership.mayAct(3_399)).toBe(true);
    expect(leadership.mayAct(3_400)).toBe(false);
  });

  it('is kept while the authority is away, to its own end', () => {
    const leadership = leading();
    leadership.wake(1_000);
    expect(leadership.answered(1_010, 2, undefined)).toEqual([]);
    expect(leadership.wake(1_260)).toMatchObject([{ method: 'renew', request: 3 }]);
    expect(leadership.answered(1_300, 3, undefined)).toEqual([]);
    expect(leadership.wake(2_400)).toMatchObject([{ type: 'lost', term: 5 }]);
    expect(leadership.wake(2_500)).toEqual([]);
    expect(leadership.remainingMs(2_500)).toBe(0);
  });

  it('ends when it is refused', () => {
    const leadership = leading();
    leadership.wake(1_000);
    const refusal = { granted: false, term: 8 } as const;
    expect(leadership.answered(1_010, 2, refusal)).toEqual([{ type: 'refused', term: 5, currentTerm: 8 }]);
    expect(leadership.mayAct(1_011)).toBe(false);
  });

  it('cannot be had by an answer that comes too late', () => {
    const leadership = new Leadership(DEFAULT_TIMING);
    leadership.elected(0, 5);
    expect(leadership.answered(2_500, 1, granted(5))).toMatchObject([{ type: 'lost', term: 5 }]);
    expect(leadership.mayAct(2_500)).toBe(false);
  });

  it('may be ours although the answer was lost: then it is renewed', () => {
    const leadership = new Leadership(DEFAULT_TIMING);
    leadership.elected(0, 5);
    leadership.answered(10, 1, undefined);
    expect(leadership.wake(260)).toMatchObject([{ method: 'acquire', request: 2 }]);
    expect(leadership.answered(270, 2, { granted: false, term: 5 })).toMatchObject([
      { method: 'renew', request: 3 },
    ]);
    expect(leadership.answered(280, 3, granted(5))).toMatchObject([{ type: 'granted' }]);
  });

  it('of the same term, refused without an unknown outcome, is another node’s', () => {
    const leadership = new Leadership(DEFAULT_TIMING);
    leadership.elected(0, 5);
    expect(leadership.answered(10, 1, { granted: false, term: 5 })).toMatchObject([{ type: 'refused' }]);
  });

  it('is not taken from an answer to an earlier election', () => {
    const leadership = new Leadership(DEFAULT_TIMING);
    leadership.elected(0, 5);
    leadership.elected(10, 6);
    expect(leadership.answered(20, 1, granted(5))).toEqual([]);
    expect(leadership.mayAct(20)).toBe(false);
  });

  it('is given up if the authority stays away from the start', () => {
    const leadership = new Leadership(DEFAULT_TIMING);
    leadership.elected(0, 5);
    leadership.answered(4_900, 1, undefined);
    expect(leadership.wake(5_000)).toMatchObject([{ type: 'lost' }]);
  });
});
