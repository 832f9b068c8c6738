/** Clock, Random and Compute: the parts of a Host that need no peer. */
import { describe, expect } from 'vitest';
import type { WorldTest } from '../compliance.ts';
import { pause } from './probe.ts';

const text = new TextEncoder();
const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export function describeClock(test: WorldTest): void {
  describe('Clock', () => {
    test('a timer runs later, once, and not before its time', async (world) => {
      const { clock } = world.machines[0].host;
      for (const delayMs of [0, 1, 7.5, 20]) {
        const setAt = clock.now();
        let runs = 0;
        const ran = new Promise<number>((resolve) => {
          clock.setTimer(delayMs, () => {
            runs++;
            resolve(clock.now());
          });
        });
        expect(runs).toBe(0);
        expect((await ran) - setAt).toBeGreaterThanOrEqual(delayMs);
        await pause(world, delayMs + 2);
        expect(runs).toBe(1);
      }
    });

    test('timers due at one instant run in the order set, earlier ones first', async (world) => {
      const { clock } = world.machines[0].host;
      const order: string[] = [];
      clock.setTimer(30, () => order.push('late'));
      for (const name of ['a', 'b', 'c', 'd']) clock.setTimer(5, () => order.push(name));
      await pause(world, 40);
      expect(order).toEqual(['a', 'b', 'c', 'd', 'late']);
    });

    test('a cancelled timer never runs; cancelling twice or too late is harmless', async (world) => {
      const { clock } = world.machines[0].host;
      let runs = 0;
      const cancelled = clock.setTimer(1, () => runs++);
      cancelled.cancel();
      cancelled.cancel();
      const ran = clock.setTimer(1, () => runs++);
      const killer = clock.setTimer(2, () => victim.cancel());
      const victim = clock.setTimer(2, () => runs++);
      await pause(world, 10);
      ran.cancel();
      killer.cancel();
      expect(runs).toBe(1);
    });

    test('a timer of more than 2^31 ms does not run early', async (world) => {
      const { clock } = world.machines[0].host;
      let runs = 0;
      const timers = [2 ** 31, 2 ** 32 + 5, 2 ** 52].map((delayMs) => clock.setTimer(delayMs, () => runs++));
      await pause(world, 10);
      expect(runs).toBe(0);
      for (const timer of timers) timer.cancel();
    });

    test('a throw in a timer is reported and stops nothing else', async (world) => {
      const { clock } = world.machines[0].host;
      let runs = 0;
      clock.setTimer(1, () => {
        throw new Error('from a timer');
      });
      clock.setTimer(1, () => runs++);
      await pause(world, 10);
      expect(runs).toBe(1);
      expect(world.uncaught.splice(0)).toMatchObject([{ message: 'from a timer' }]);
    });

    test('now never goes back and wallTime is an instant after 2020', async (world) => {
      const { clock } = world.machines[0].host;
      let last = clock.now();
      for (let round = 0; round < 100; round++) {
        const now = clock.now();
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
      }
      expect(clock.wallTime()).toBeGreaterThan(1_577_836_800_000);
    });
  });

  describe('Random', () => {
    test('bytes are as many as asked for and not the same twice', async (world) => {
      const { random } = world.machines[0].host;
      expect(random.bytes(0)).toHaveLength(0);
      const first = random.bytes(32);
      expect(first).toHaveLength(32);
      expect(random.bytes(32)).not.toEqual(first);
    });

    test('float stays in [0, 1) and spreads over it', async (world) => {
      const { random } = world.machines[0].host;
      const floats = Array.from({ length: 1000 }, () => random.float());
      expect(floats.every((value) => value >= 0 && value < 1)).toBe(true);
      // Of a thousand uniform draws, fewer than 30 in a tenth has a chance below 1e-18.
      for (let tenth = 0; tenth < 10; tenth++)
        expect(floats.filter((value) => Math.floor(value * 10) === tenth).length).toBeGreaterThan(30);
    });
  });

  describe('Compute', () => {
    test('digests are those of FIPS 180 and RFC 4231', async (world) => {
      const { compute } = world.machines[0].host;
      expect(hex(compute.hash('sha1', text.encode('abc')))).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
      expect(hex(compute.hash('sha256', text.encode('abc')))).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      );
      expect(hex(compute.hmacSha256(text.encode('Jefe'), text.encode('what do ya want for nothing?')))).toBe(
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      );
      expect(compute.parallelism).toBeGreaterThanOrEqual(1);
    });
  });
}
