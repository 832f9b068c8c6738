/**
 * Waiting for something to change, by topic. Wakers are gathered for a moment, so that a burst of changes
 * costs those who wait one look.
 */
import type { Clock, Timer } from '@skep/p2p-core/host';

const gatherMs = 2;

export class Wakeups {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #woken = new Set<string>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when one of the topics is woken, the time is over, `signal` aborts, or all is closed. */
  wait(topics: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#closed || timeoutMs <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer?.cancel();
        signal?.removeEventListener('abort', done);
        for (const topic of topics) this.#leave(topic, done);
        resolve();
      };
      const timer = Number.isFinite(timeoutMs) ? this.#clock.setTimer(timeoutMs, done) : undefined;
      signal?.addEventListener('abort', done);
      for (const topic of topics) {
        const known = this.#waiting.get(topic);
        if (known === undefined) this.#waiting.set(topic, new Set([done]));
        else known.add(done);
      }
    });
  }

  /** Wakes those who wait for the topic, within milliseconds. */
  wake(topic: string): void {
    if (!this.#waiting.has(topic)) return;
    this.#woken.add(topic);
    this.#timer ??= this.#clock.setTimer(gatherMs, () => {
      this.#timer = undefined;
      const topics = [...this.#woken];
      this.#woken.clear();
      for (const woken of topics) for (const done of [...(this.#waiting.get(woken) ?? [])]) done();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Nobody waits any more, or ever again. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const waiting of [...this.#waiting.values()]) for (const done of [...waiting]) done();
  }

  #leave(topic: string, done: () => void): void {
    const waiting = this.#waiting.get(topic);
    waiting?.delete(done);
    if (waiting?.size === 0) this.#waiting.delete(topic);
  }
}

/** A cluster's rows changed. */
export const rowsTopic = (clusterUid: string): string => `rows/${clusterUid}`;
/** Other machines are silent than before. */
export const silenceTopic = (clusterUid: string): string => `silence/${clusterUid}`;
/** What is shown of a cluster changed: rows, or what its nodes report. */
export const viewTopic = (clusterUid: string): string => `view/${clusterUid}`;
