/**
 * Follows the deaths of containers as long as it is wanted: an Engine's stream of events that breaks off is taken up
 * again from before it broke, and each time it begins whoever listens is told to look for himself.
 */
import type { Clock, Timer } from '@skep/p2p-core/host';
import type { ContainerEnding, DockerEngine } from './docker-engine.ts';
import type { Labels } from './docker-naming.ts';

export interface DeathWatchOptions {
  readonly having: Labels;
  readonly onDeath: (death: ContainerEnding) => void;
  /** A container was told to end, by us or by others. */
  readonly onTold?: (ending: ContainerEnding) => void;
  /** The stream has begun, perhaps again: what died meanwhile may have been missed. */
  readonly onBegun: () => void;
}

const firstRetryMs = 100;
const longestRetryMs = 5_000;
/** The stream begins a moment after it was asked for; deaths of that moment are told from before. */
const overlapMs = 2_000;

export class DeathWatch {
  readonly #clock: Clock;
  readonly #engine: DockerEngine;
  readonly #options: DeathWatchOptions;
  #following = false;
  #failures = 0;
  #end: (() => void) | undefined;
  #timer: Timer | undefined;

  constructor(components: { clock: Clock; engine: DockerEngine }, options: DeathWatchOptions) {
    this.#clock = components.clock;
    this.#engine = components.engine;
    this.#options = options;
  }

  /** Harmless if it follows already. */
  start(): void {
    if (this.#following) return;
    this.#following = true;
    void this.#follow();
  }

  close(): void {
    this.#following = false;
    this.#timer?.cancel();
    this.#end?.();
  }

  async #follow(): Promise<void> {
    const { having, onDeath, onTold, onBegun } = this.#options;
    try {
      const since = this.#clock.wallTime() - overlapMs;
      const onEnding = (ending: ContainerEnding) =>
        ending.what === 'died' ? onDeath(ending) : onTold?.(ending);
      const end = await this.#engine.endings(having, since, onEnding, () => this.#again());
      if (!this.#following) return end();
      this.#end = end;
      this.#failures = 0;
      onBegun();
    } catch {
      this.#again();
    }
  }

  #again(): void {
    if (!this.#following) return;
    const delayMs = Math.min(longestRetryMs, firstRetryMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = this.#clock.setTimer(delayMs, () => void this.#follow());
  }
}
