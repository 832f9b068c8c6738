/** A Host for tests: a clock that moves when told, seeded chance, real hashing; no network and no disk. */
import { createHash, createHmac } from 'node:crypto';
import type { Clock, Host } from '@skep/p2p-core/host';

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export interface VirtualHost {
  readonly host: Host;
  /** Moves time on, running what comes due, with all that follows from it. */
  advance(durationMs: number): Promise<void>;
  /** Moves time on in small steps until `condition` holds; fails after a virtual minute. */
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
}

const wallOriginMs = 1_800_000_000_000;

export function createVirtualHost(seed = 1): VirtualHost {
  let nowMs = 0;
  let order = 0;
  const timers = new Set<Due>();
  const clock: Clock = {
    now: () => nowMs,
    wallTime: () => wallOriginMs + nowMs,
    setTimer(delayMs, callback) {
      order += 1;
      const due = { atMs: nowMs + Math.max(0, delayMs), order, callback };
      timers.add(due);
      return { cancel: () => timers.delete(due) };
    },
  };
  // mulberry32
  let state = seed;
  const float = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const host = {
    clock,
    random: {
      float,
      bytes: (length: number) => Uint8Array.from({ length }, () => Math.floor(float() * 256)),
    },
    compute: {
      parallelism: 1,
      hash: (algorithm: string, bytes: Uint8Array) =>
        new Uint8Array(createHash(algorithm).update(bytes).digest()),
      hmacSha256: (key: Uint8Array, bytes: Uint8Array) =>
        new Uint8Array(createHmac('sha256', key).update(bytes).digest()),
    },
  } as unknown as Host;

  async function advance(durationMs: number): Promise<void> {
    const endMs = nowMs + durationMs;
    for (;;) {
      await settle();
      const [next] = [...timers].sort((one, other) => one.atMs - other.atMs || one.order - other.order);
      if (next === undefined || next.atMs > endMs) break;
      timers.delete(next);
      nowMs = next.atMs;
      next.callback();
    }
    nowMs = endMs;
    await settle();
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let steps = 0; steps < 6_000; steps++) {
      await settle();
      if (await condition()) return;
      await advance(10);
    }
    throw new Error('it did not come about within a virtual minute');
  }

  return { host, advance, until };
}

/** Lets everything that needs no time happen. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
