/** What is done to a machine's disk: its operations are held up, and fail or read wrong by chance. */
import type { DiskConditions } from '../conditions.ts';
import type { Clock, Random } from '../host.ts';
import { HostError } from '../host.ts';

export class DiskShape {
  readonly #clock: Clock;
  readonly #random: Random;
  #conditions: DiskConditions = {};
  /** Whether nothing is done to the disk. */
  isPlain = true;
  /** When the disk will have moved all it was asked to, at its rate. */
  #freeAtMs = 0;

  constructor(components: { clock: Clock; random: Random }) {
    this.#clock = components.clock;
    this.#random = components.random;
  }

  set(conditions: DiskConditions): void {
    this.#conditions = conditions;
    this.isPlain = Object.values(conditions).every((value) => !value);
  }

  get isFull(): boolean {
    return this.#conditions.full === true;
  }

  /** Calls `done`, at once if nothing holds it up, when `bytes` have been moved. */
  move(bytes: number, done: () => void): void {
    const { delayMs = 0, bytesPerSecond } = this.#conditions;
    const now = this.#clock.now();
    let untilMs = now + delayMs;
    if (bytesPerSecond !== undefined) {
      this.#freeAtMs = Math.max(this.#freeAtMs, now) + (bytes * 1_000) / bytesPerSecond;
      untilMs = this.#freeAtMs + delayMs;
    }
    if (untilMs > now) this.#clock.setTimer(untilMs - now, done);
    else done();
  }

  /** The time of an operation that moves `bytes`. */
  moved(bytes: number): Promise<void> {
    return new Promise((resolve) => this.move(bytes, resolve));
  }

  /** How a write fails, by chance or for want of space; drawn once for each. */
  drawWriteError(what: string): HostError | undefined {
    if (this.#conditions.full)
      return new HostError('disk-full', `${what}: no space left on the disk; free some and try again`);
    return this.#draw(this.#conditions.writeErrorRate) ? ioError('writing', what) : undefined;
  }

  drawReadError(what: string): HostError | undefined {
    return this.#draw(this.#conditions.readErrorRate) ? ioError('reading', what) : undefined;
  }

  /** Whether a read of payload comes back wrong. */
  drawCorruption(): boolean {
    return this.#draw(this.#conditions.corruptReadRate);
  }

  #draw(rate = 0): boolean {
    return rate > 0 && this.#random.float() < rate;
  }
}

function ioError(doing: string, what: string): HostError {
  return new HostError('io', `${doing} ${what}: the disk failed; try again, and replace it if it goes on`);
}
