import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SimEvent } from './event-queue.ts';
import { EventQueue } from './event-queue.ts';

interface Expected {
  readonly event: SimEvent;
  readonly timeMs: number;
  readonly order: number;
}

/** Times at every scale that the queue treats differently: one millisecond, one turn of its wheel, and beyond. */
const delay = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.double({ min: 0, max: 3, noNaN: true }),
  fc.integer({ min: 4_090, max: 4_100 }),
  fc.integer({ min: 0, max: 20_000 }),
  fc.integer({ min: 0, max: 2 ** 40 }),
);

test('events come in order of time, then of being added, whatever was removed in between', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ delayMs: delay }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat(200) }) },
    { weight: 3, arbitrary: fc.constant('pop' as const) },
    { weight: 1, arbitrary: fc.constant('look ahead' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const queue = new EventQueue();
      const all: Expected[] = [];
      let waiting: Expected[] = [];
      let nowMs = 0;
      const least = () => waiting.toSorted((a, b) => a.timeMs - b.timeMs || a.order - b.order).at(0);
      for (const next of steps) {
        if (next === 'pop') {
          const expected = least();
          expect(queue.pop()).toBe(expected?.event);
          waiting = waiting.filter((each) => each !== expected);
          nowMs = expected?.timeMs ?? nowMs;
        } else if (next === 'look ahead') {
          expect(queue.nextTimeMs()).toBe(least()?.timeMs ?? Number.POSITIVE_INFINITY);
        } else if ('remove' in next) {
          const victim = all[next.remove];
          if (victim !== undefined) queue.remove(victim.event);
          waiting = waiting.filter((each) => each !== victim);
        } else {
          const timeMs = nowMs + next.delayMs;
          const added = { event: queue.add(timeMs, () => {}), timeMs, order: all.length };
          all.push(added);
          waiting.push(added);
        }
        expect(queue.size).toBe(waiting.length);
      }
      for (let expected = least(); expected !== undefined; expected = least()) {
        expect(queue.pop()).toBe(expected.event);
        waiting = waiting.filter((each) => each !== expected);
      }
      expect(queue.pop()).toBeUndefined();
    }),
  );
});

test('an event may be scheduled again once it has fired', () => {
  const queue = new EventQueue();
  const fired: number[] = [];
  const event = queue.add(1, () => fired.push(fired.length));
  queue.pop()!.fire();
  queue.schedule(2, event);
  queue.pop()!.fire();
  expect([fired, queue.size]).toEqual([[0, 1], 0]);
});

test('what is due at infinity never comes', () => {
  const queue = new EventQueue();
  queue.remove(queue.add(Number.POSITIVE_INFINITY, () => {}));
  expect([queue.pop(), queue.nextTimeMs()]).toEqual([undefined, Number.POSITIVE_INFINITY]);
});
