/** Time, chance and small digests of a real machine. */
import { createHmac, hash, randomFillSync } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Clock, Compute, Random, Timer } from '../host.ts';

/** The longest delay a Node timer takes; a longer one would run at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Calls a callback that belongs to someone else; what it throws is reported, not passed on. */
export type Guard = (callback: () => void) => void;

export class NodeClock implements Clock {
  readonly #guard: Guard;
  constructor(guard: Guard) {
    this.#guard = guard;
  }

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    // Node counts whole milliseconds and may be early by a part of one; a timer of ours never is.
    let leftMs = delayMs > 0 ? Math.ceil(delayMs) + 1 : 0;
    let timeout: NodeJS.Timeout;
    const arm = (): void => {
      const stepMs = Math.min(leftMs, LONGEST_DELAY_MS);
      leftMs -= stepMs;
      timeout = setTimeout(() => (leftMs > 0 ? arm() : this.#guard(callback)), stepMs);
    };
    arm();
    return { cancel: () => clearTimeout(timeout) };
  }
}

export const nodeRandom: Random = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
  float: Math.random,
};

export const nodeCompute: Compute = {
  hash: (algorithm, bytes) => new Uint8Array(hash(algorithm, bytes, 'buffer')),
  hmacSha256: (key, bytes) => new Uint8Array(createHmac('sha256', key).update(bytes).digest()),
  parallelism: Math.max(1, availableParallelism()),
};
