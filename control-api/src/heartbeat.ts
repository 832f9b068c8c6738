/** Says in the store, again and again, that the control API lives, for a watchdog that sees nothing else of it. */
import { tableKeys } from '@skep/contract';
import type { Clock, Timer } from '@skep/p2p-core/host';
import type { Store } from './ports/store.ts';

export interface HeartbeatComponents {
  readonly clock: Clock;
  readonly store: Store;
}

export interface HeartbeatOptions {
  readonly version: string;
  /** Called after a silence so long that somebody may have stood in for this control API. What it rejects is told. */
  readonly onReturn: () => Promise<void>;
  readonly onTrouble: (message: string) => void;
}

const everyMs = 10_000;
/** Well before a watchdog takes the control API for dead, which it does after a minute. */
const longSilenceMs = 40_000;

export class Heartbeat {
  readonly #components: HeartbeatComponents;
  readonly #options: HeartbeatOptions;
  #timer: Timer | undefined;
  #stopped = false;
  #inTrouble = false;
  #beatAtMs: number | undefined;

  constructor(components: HeartbeatComponents, options: HeartbeatOptions) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    void this.#beat();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #beat(): Promise<void> {
    const { clock, store } = this.#components;
    const key = tableKeys.heartbeat;
    try {
      const expectedVersion = (await store.get(key))?.version ?? 0;
      const put = { atMs: clock.wallTime(), version: this.#options.version };
      // False if another control API said so at this very moment, which is as good.
      await store.commit([{ key, expectedVersion, put }]);
      const silentMs = clock.now() - (this.#beatAtMs ?? clock.now());
      if (silentMs > longSilenceMs) await this.#options.onReturn();
      this.#beatAtMs = clock.now();
      this.#inTrouble = false;
    } catch (error) {
      if (!this.#inTrouble) this.#options.onTrouble(`the heartbeat is not written: ${String(error)}`);
      this.#inTrouble = true;
    }
    if (!this.#stopped) this.#timer = clock.setTimer(everyMs, () => void this.#beat());
  }
}
