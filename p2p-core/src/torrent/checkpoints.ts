/** When to save a torrent's resume state: soon after it changed, but never so often that saving is what the disk does. */
import type { Clock } from '../host/host.ts';

const INTERVAL_MS = 2_000;
/** Saving takes at most this part of the time: where it is slow, it comes seldom. */
const SHARE = 10;

export class Checkpoints {
  readonly #clock: Clock;
  readonly #save: () => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #isDirty = false;
  #nextMs = 0;
  #running: Promise<void> | undefined;

  constructor(components: { clock: Clock; save: () => Promise<void>; onError: (error: unknown) => void }) {
    this.#clock = components.clock;
    this.#save = components.save;
    this.#onError = components.onError;
  }

  changed(): void {
    this.#isDirty = true;
  }

  /** To be called every second or so. */
  tick(nowMs: number): void {
    if (this.#isDirty && nowMs >= this.#nextMs) this.#running ??= this.#run();
  }

  /** Saves now, after what is being saved. A failure goes where all do. */
  async saveNow(): Promise<void> {
    await this.#running;
    this.#running = this.#run();
    await this.#running;
  }

  async #run(): Promise<void> {
    const startedMs = this.#clock.now();
    this.#isDirty = false;
    try {
      await this.#save();
    } catch (error) {
      this.#isDirty = true;
      this.#onError(error);
    }
    const nowMs = this.#clock.now();
    this.#nextMs = nowMs + Math.max(INTERVAL_MS, (nowMs - startedMs) * SHARE);
    this.#running = undefined;
  }
}
