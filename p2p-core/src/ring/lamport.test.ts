import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LamportClock, ReplayWindow } from './lamport.ts';

it('a Lamport clock stamps a receipt after its sending', () => {
  const [a, b] = [new LamportClock(), new LamportClock()];
  for (let count = 0; count < 5; count += 1) a.tick();
  const sent = a.tick();
  expect(b.merge(sent)).toBe(7);
  expect(b.merge(3)).toBe(8);
  expect(b.time).toBe(8);
});

it('a replay window takes each stamp once, in any order within its size', () => {
  const window = new ReplayWindow();
  expect(window.accept(5)).toEqual({ fresh: true, newest: true });
  expect(window.accept(3)).toEqual({ fresh: true, newest: false });
  expect(window.accept(5)).toEqual({ fresh: false, newest: false });
  expect(window.accept(3)).toEqual({ fresh: false, newest: false });
  for (let stamp = 10; stamp < 10 + ReplayWindow.size; stamp += 1)
    expect(window.accept(stamp).fresh).toBe(true);
  expect(window.accept(4).fresh).toBe(false);
  expect(window.accept(0).fresh).toBe(false);
});

it('a replay window remembers the stamps that came last, whatever their order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 400 }), { minLength: 300, maxLength: 600 }), (stamps) => {
      const window = new ReplayWindow();
      const taken: number[] = [];
      for (const [index, drift] of stamps.entries()) {
        const stamp = index + drift;
        const forgotten = taken.slice(0, -ReplayWindow.size);
        const fresh = stamp > Math.max(0, ...forgotten) && !taken.includes(stamp);
        const newest = fresh && stamp > Math.max(0, ...taken);
        expect(window.accept(stamp)).toEqual({ fresh, newest });
        if (fresh) taken.push(stamp);
      }
    }),
  );
});
