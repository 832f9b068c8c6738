/** Faults end by the machine's own clock, whatever it is told and not told. */
import { type Conditions as ContractConditions, type Endure, Conditions as schema } from '@skep/contract';
import type { Clock, Conditions } from '@skep/p2p-core/host';
import { expect, expectTypeOf, test } from 'vitest';
import { Endurance } from './endurance.ts';

/** A clock moved by hand, and what was set when. */
function world() {
  let nowMs = 1_000;
  let timers: { atMs: number; callback: () => void }[] = [];
  const clock: Clock = {
    now: () => nowMs,
    wallTime: () => 0,
    setTimer: (delayMs, callback) => {
      const timer = { atMs: nowMs + delayMs, callback };
      timers.push(timer);
      return {
        cancel: () => {
          timers = timers.filter((other) => other !== timer);
        },
      };
    },
  };
  const advanceTo = (ms: number): void => {
    for (;;) {
      const [next] = timers.filter(({ atMs }) => atMs <= ms).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      timers = timers.filter((other) => other !== next);
      nowMs = next.atMs;
      next.callback();
    }
    nowMs = ms;
  };
  const set: [number, Conditions][] = [];
  const endurance = new Endurance({
    clock,
    endurer: { setConditions: (conditions) => void set.push([nowMs, conditions]) },
  });
  return { endurance, advanceTo, set, current: () => set.at(-1)?.[1], timers: () => timers.length };
}

const cut: Conditions = { paths: [{ with: 'any', cut: 'both' }] };
const slow: Conditions = { link: { upBytesPerSecond: 1_000 } };
const fault = (id: string, conditions: Conditions, forMs: number, ageMs = 0) => ({
  id,
  conditions,
  forMs,
  ageMs,
});
const endure = (faults: Endure['faults'], base: Conditions = {}): Endure => ({
  kind: 'endure',
  base,
  faults,
});

test('a fault ends at its time though nobody says so; the base goes on', () => {
  const { endurance, advanceTo, set } = world();
  endurance.obey(endure([fault('1', cut, 500), fault('2', { clock: { skewMs: 5 } }, 200)], slow));
  advanceTo(5_000);
  expect(set).toEqual([
    [1_000, { ...slow, ...cut, clock: { skewMs: 5 } }],
    [1_200, { ...slow, ...cut }],
    [1_500, slow],
  ]);
});

test('a fault that had lasted before the machine was there ends when it would have', () => {
  const { endurance, advanceTo, set } = world();
  endurance.obey(endure([fault('1', cut, 500, 400)]));
  advanceTo(5_000);
  expect(set.at(-1)).toEqual([1_100, {}]);
});

test('told again it ends no later, and one that is over does not come back', () => {
  const { endurance, advanceTo, set, current } = world();
  endurance.obey(endure([fault('1', cut, 500)]));
  advanceTo(1_400);
  endurance.obey(endure([fault('1', cut, 500)]));
  advanceTo(1_500);
  expect(set.at(-1)).toEqual([1_500, {}]);
  endurance.obey(endure([fault('1', cut, 500), fault('2', slow, 100)]));
  expect(current()).toEqual(slow);
});

test('what is no longer in the list is undone at once, and nothing is left running', () => {
  const { endurance, current, timers } = world();
  endurance.obey(endure([fault('1', cut, 500)], slow));
  endurance.obey(endure([], slow));
  expect([current(), timers()]).toEqual([slow, 0]);
  endurance.obey(endure([fault('2', cut, 500)], slow));
  endurance.obey(undefined);
  expect([current(), timers()]).toEqual([{}, 0]);
  endurance.obey(endure([fault('3', cut, 500)]));
  endurance.close();
  expect(timers()).toBe(0);
});

test('the two spellings of conditions, the seam’s and the contract’s, say the same', () => {
  expectTypeOf<Conditions>().toExtend<ContractConditions>();
  expectTypeOf<ContractConditions>().toExtend<Conditions>();
  const everything: Required<Conditions> = {
    link: { upBytesPerSecond: 1, downBytesPerSecond: 1 },
    paths: [
      {
        with: ['10.0.0.1'],
        delayMs: 1,
        jitterMs: 1,
        lossRate: 0.1,
        duplicateRate: 0.1,
        reorderRate: 0.1,
        cut: 'in',
      },
    ],
    clock: { skewMs: -1 },
    disk: {
      full: true,
      delayMs: 1,
      bytesPerSecond: 1,
      readErrorRate: 0.1,
      writeErrorRate: 0.1,
      corruptReadRate: 0.1,
    },
  };
  expect(schema.parse(everything)).toEqual(everything);
});
