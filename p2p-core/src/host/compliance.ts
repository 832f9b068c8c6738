/**
 * The compliance suite that every Host passes: what `host.ts` promises, as tests.
 *
 * The suite knows no clock of its own and touches nothing but the Host, so it runs the same on real sockets
 * and under virtual time: a world drives time through `run`.
 */
import { describe, expect, test } from 'vitest';
import { describeClock } from './compliance/clock.ts';
import { describeFiles } from './compliance/files.ts';
import { describeHttp } from './compliance/http.ts';
import { describeNetwork } from './compliance/network.ts';
import { describePayload } from './compliance/payload.ts';
import type { Host } from './host.ts';

/** One machine of a world: a Host, the IP literal it listens at and is reached at, and an empty directory. */
export interface Machine {
  readonly host: Host;
  readonly address: string;
  readonly scratch: string;
}

/** Two or more machines that reach each other without loss. */
export interface HostWorld {
  readonly machines: readonly [Machine, Machine, ...Machine[]];
  /** What the machines' `onUncaught` were told, oldest first. A test that expects some takes them out. */
  readonly uncaught: unknown[];
  /** Runs `body` to its end, moving time along as it needs, and gives its result. */
  run<T>(body: () => Promise<T>): Promise<T>;
  /** Ends the machines; nothing of them stays alive or on disk. */
  close(): Promise<void>;
}

/** Declares a test that runs `body` inside a fresh world and fails if anything was thrown unseen. */
export type WorldTest = (title: string, body: (world: HostWorld) => Promise<void>) => void;

/** Declares the whole suite under `name`; `makeWorld` is called once a test. */
export function describeHost(name: string, makeWorld: () => Promise<HostWorld>): void {
  const worldTest: WorldTest = (title, body) => {
    test(title, async () => {
      const world = await makeWorld();
      try {
        await world.run(() => body(world));
        expect(world.uncaught).toEqual([]);
      } finally {
        await world.close();
      }
    });
  };
  describe(`${name} keeps the promises of Host`, () => {
    describeClock(worldTest);
    describeNetwork(worldTest);
    describeHttp(worldTest);
    describeFiles(worldTest);
    describePayload(worldTest);
  });
}
