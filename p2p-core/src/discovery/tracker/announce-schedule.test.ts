import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnnounceSchedule } from './announce-schedule.ts';

/** The middle of every range: jitter is none, and shuffling of pairs keeps their order. */
const random = { float: () => 0.5, bytes: (length: number) => new Uint8Array(length) };
const MINUTE = 60_000;

function scheduleOf(...tiers: string[][]): AnnounceSchedule {
  return new AnnounceSchedule({ random }, tiers, 0);
}

/** Takes the next announce, which must be due exactly at `now`, and settles it. */
function step(
  schedule: AnnounceSchedule,
  now: number,
  answer: 'fails' | { intervalMs?: number; minIntervalMs?: number },
) {
  expect(schedule.dueAt).toBe(now);
  if (now > 0) expect(schedule.next(now - 1)).toBeUndefined();
  const announce = schedule.next(now)!;
  expect(schedule.dueAt).toBe(Number.POSITIVE_INFINITY);
  expect(schedule.next(now)).toBeUndefined();
  if (answer === 'fails') schedule.failed(announce, now);
  else schedule.succeeded(announce, now, answer);
  return announce.event === undefined ? announce.url : `${announce.url} ${announce.event}`;
}

test('started, then at the interval, completed once, stopped', () => {
  const schedule = scheduleOf(['a']);
  expect(step(schedule, 0, { intervalMs: 10 * MINUTE })).toBe('a started');
  expect(step(schedule, 10 * MINUTE, {})).toBe('a');
  schedule.completed(12 * MINUTE);
  expect(step(schedule, 12 * MINUTE, {})).toBe('a completed');
  expect(step(schedule, 42 * MINUTE, {})).toBe('a');
  schedule.stop();
  expect(schedule.next(43 * MINUTE)).toEqual({ url: 'a', event: 'stopped' });
  expect(schedule.next(43 * MINUTE)).toBeUndefined();
});

test('failures walk the tiers; who answers moves to the front of its tier, and the walk begins anew', () => {
  const schedule = scheduleOf(['a', 'b'], ['c', 'd']);
  const first = step(schedule, 0, 'fails');
  const second = step(schedule, 0, 'fails');
  expect([first, second].sort()).toEqual(['a started', 'b started']);
  const third = step(schedule, 0, 'fails');
  const fourth = step(schedule, 0, { intervalMs: MINUTE });
  expect([third, fourth].sort()).toEqual(['c started', 'd started']);
  expect(step(schedule, MINUTE, 'fails')).toBe(first);
  expect(step(schedule, MINUTE, 'fails')).toBe(second);
  expect(step(schedule, MINUTE, { intervalMs: MINUTE })).toBe(fourth.split(' ')[0]);
  expect(step(schedule, 2 * MINUTE, 'fails')).toBe(first);
  expect(step(schedule, 2 * MINUTE, { intervalMs: MINUTE })).toBe(second);
  expect(step(schedule, 3 * MINUTE, { intervalMs: MINUTE })).toBe(second.split(' ')[0]);
});

test('when all fail the pause doubles up to its limit, and is short again after a success', () => {
  const schedule = scheduleOf(['a']);
  let now = 0;
  const pauses: number[] = [];
  for (let round = 0; round < 10; round++) {
    step(schedule, now, 'fails');
    pauses.push((schedule.dueAt - now) / 1000);
    now = schedule.dueAt;
  }
  expect(pauses).toEqual([15, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
  step(schedule, now, { intervalMs: MINUTE });
  step(schedule, now + MINUTE, 'fails');
  expect(schedule.dueAt).toBe(now + MINUTE + 15_000);
});

test('jitter spreads retries by a quarter either way', () => {
  for (const [float, pause] of [
    [0, 11_250],
    [0.999999, 18_750],
  ] as const) {
    const schedule = new AnnounceSchedule({ random: { ...random, float: () => float } }, [['a']], 0);
    schedule.failed(schedule.next(0)!, 0);
    expect(schedule.dueAt).toBeCloseTo(pause, -1);
  }
});

test('intervals are bounded, and wanting peers does not break the minimum', () => {
  const schedule = scheduleOf(['a']);
  step(schedule, 0, { intervalMs: 1 });
  expect(schedule.dueAt).toBe(30_000);
  step(schedule, 30_000, { intervalMs: 2 ** 40 });
  expect(schedule.dueAt).toBe(30_000 + 24 * 60 * MINUTE);
  schedule.wantPeers(31_000);
  expect(step(schedule, 60_000, { intervalMs: 20 * MINUTE, minIntervalMs: 5 * MINUTE })).toBe('a');
  schedule.wantPeers(61_000);
  expect(step(schedule, 60_000 + 5 * MINUTE, 'fails')).toBe('a');
  schedule.wantPeers(60_001 + 5 * MINUTE);
  expect(schedule.dueAt).toBe(75_000 + 5 * MINUTE);
});

test('completing while started is under way is told right after', () => {
  const schedule = scheduleOf(['a']);
  const started = schedule.next(0)!;
  schedule.completed(1);
  schedule.succeeded(started, 2);
  expect(step(schedule, 2, {})).toBe('a completed');
});

test('a seed from the start never says completed', () => {
  const schedule = scheduleOf(['a']);
  schedule.completed(0);
  expect(step(schedule, 0, { intervalMs: MINUTE })).toBe('a started');
  expect(step(schedule, MINUTE, {})).toBe('a');
});

test('stopping in the middle of the first announce still says goodbye, and late outcomes are ignored', () => {
  const schedule = scheduleOf(['a'], ['b']);
  const started = schedule.next(0)!;
  schedule.stop();
  schedule.succeeded(started, 1);
  expect(schedule.next(1)).toEqual({ url: 'a', event: 'stopped' });
  expect(schedule.dueAt).toBe(Number.POSITIVE_INFINITY);
});

test('without trackers, or never started, there is nothing to do', () => {
  expect(scheduleOf().dueAt).toBe(Number.POSITIVE_INFINITY);
  const schedule = scheduleOf(['a']);
  schedule.stop();
  expect(schedule.next(0)).toBeUndefined();
});

test('whatever happens: never two at once, started first, stopped only to who may know of us', () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant('outcome' as const),
      ok: fc.boolean(),
      intervalMs: fc.integer({ min: -5, max: 9e6 }),
    }),
    fc.constantFrom({ kind: 'completed' as const }, { kind: 'wantPeers' as const }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.nat(), (actions, seed) => {
      let state = seed;
      const float = () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
        return state / 0x80000000;
      };
      const schedule = new AnnounceSchedule({ random: { ...random, float } }, [['a', 'b', 'c'], ['d']], 0);
      const heard = new Set<string>();
      let now = 0;
      for (const act of actions) {
        if (act.kind !== 'outcome') {
          schedule[act.kind](now);
          continue;
        }
        expect(schedule.dueAt).toBeLessThan(now + 25 * 60 * MINUTE);
        now = Math.max(now, schedule.dueAt);
        const announce = schedule.next(now)!;
        expect(announce.event === 'started').toBe(!heard.has(announce.url));
        if (act.ok) {
          schedule.succeeded(announce, now, { intervalMs: act.intervalMs });
          heard.add(announce.url);
        } else schedule.failed(announce, now);
      }
      schedule.stop();
      const told: string[] = [];
      for (let last = schedule.next(now); last !== undefined; last = schedule.next(now)) {
        expect(last.event).toBe('stopped');
        told.push(last.url);
        schedule.failed(last, now);
      }
      expect(told.sort()).toEqual([...heard].sort());
    }),
  );
});
