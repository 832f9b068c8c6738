import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SimEvent } from './event-queue.ts';
import { EventQueue } from './event-queue.ts';

test('events come in order of time, then of being added, whatever was removed in between', () => {
  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ remove: fc.nat(200) }),
    fc.constant({ pop: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new EventQueue();
      const all: SimEvent[] = [];
      let model: SimEvent[] = [];
      const least = () => model.toSorted((a, b) => a.timeMs - b.timeMs || a.sequence - b.sequence).at(0);
      for (const next of steps) {
        if ('add' in next) {
          const event = queue.add(next.add, () => {});
          all.push(event);
          model.push(event);
        } else if ('remove' in next) {
          const victim = all[next.remove];
          if (victim !== undefined) queue.remove(victim);
          model = model.filter((event) => event !== victim);
        } else {
          const expected = least();
          expect(queue.pop()).toBe(expected);
          model = model.filter((event) => event !== expected);
        }
        expect(queue.size).toBe(model.length);
        expect(queue.peek()).toBe(least());
      }
    }),
  );
});

test('what is due at infinity never comes', () => {
  const queue = new EventQueue();
  queue.remove(queue.add(Number.POSITIVE_INFINITY, () => {}));
  expect(queue.peek()).toBeUndefined();
});
