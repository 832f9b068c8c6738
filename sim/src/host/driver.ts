/**
 * Runs a world's events one after another. After each event every microtask and next tick it caused is
 * drained, before the next event and before time moves, just as Node does between two callbacks: async
 * code under simulation sees the order it would see in life, and the same one each time.
 */
import type { EventQueue } from './event-queue.ts';
import { setRealWorldTrap } from './real-world-trap.ts';

export interface RunOptions {
  /** Stop once all events up to this virtual time have run; the clock then stands exactly there. */
  readonly untilMs?: number;
  /** Stop as soon as this holds; asked between events. Must not draw chance or change the world. */
  readonly until?: () => boolean;
  readonly maxEvents?: number;
}

export interface RunResult {
  /** `idle`: nothing is left that could happen. */
  readonly reason: 'time' | 'condition' | 'events' | 'idle';
  readonly events: number;
}

/** What the driver needs of a world. */
export interface Driven {
  readonly queue: EventQueue;
  /** Whether the real clock, timers and chance are trapped meanwhile. */
  readonly guard: boolean;
  /** Things that went wrong and were not yet told: uncaught throws, reaches past the seam. */
  readonly failures: unknown[];
  advanceTo(timeMs: number): void;
}

const realSetImmediate = setImmediate;
/** Real macrotasks (a test's timeout) get a turn after this many events. */
const EVENTS_PER_TURN = 20_000;

/**
 * The function that Node itself calls between two callbacks (it runs next ticks and microtasks), some
 * 60 ns when there are none. Where it is missing, the driver takes a macrotask turn an event instead.
 */
const drainNow = (process as { _tickCallback?: () => void })._tickCallback?.bind(process);

let running = false;

/** Resolves with why it stopped; rejects with the first failure. One world runs at a time in a thread. */
export function drive(world: Driven, options: RunOptions): Promise<RunResult> {
  if (running) {
    return Promise.reject(new Error('A world is running already in this thread; await its run first.'));
  }
  running = true;
  const { until, untilMs = Number.POSITIVE_INFINITY, maxEvents = Number.POSITIVE_INFINITY } = options;
  let events = 0;

  /** One event, unless the run is over: then the reason. */
  const step = (): RunResult['reason'] | undefined => {
    if (until?.() === true) return 'condition';
    if (events >= maxEvents) return 'events';
    const timeMs = world.queue.nextTimeMs();
    if (timeMs > untilMs || timeMs === Number.POSITIVE_INFINITY) {
      if (untilMs === Number.POSITIVE_INFINITY) return 'idle';
      world.advanceTo(untilMs);
      return 'time';
    }
    world.advanceTo(timeMs);
    events++;
    world.queue.pop()!.fire();
    return undefined;
  };

  const runTurn = (): RunResult['reason'] | undefined => {
    const budget = drainNow === undefined ? 1 : EVENTS_PER_TURN;
    for (let i = 0; i < budget; i++) {
      const reason = step();
      if (reason !== undefined) return reason;
      drainNow?.();
      if (world.failures.length > 0) return undefined;
    }
    return undefined;
  };

  return new Promise((resolve, reject) => {
    const turn = (): void => {
      const restore = world.guard
        ? setRealWorldTrap((access) => world.failures.push(access))
        : () => undefined;
      let reason: RunResult['reason'] | undefined;
      try {
        // What the caller left behind, and what ran between two turns, comes before the next event.
        drainNow?.();
        if (world.failures.length === 0) reason = runTurn();
      } catch (error) {
        world.failures.push(error);
      } finally {
        restore();
      }
      if (world.failures.length === 0 && reason === undefined) {
        realSetImmediate(turn);
        return;
      }
      running = false;
      const failures = world.failures.splice(0);
      if (failures.length > 0) reject(failures[0]);
      else resolve({ reason: reason!, events });
    };
    realSetImmediate(turn);
  });
}
