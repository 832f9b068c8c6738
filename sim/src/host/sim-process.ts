/**
 * One life of one process on a simulated machine, and the gate to its code: everything the world tells it
 * passes through here. A paused process (SIGSTOP) is told late, a dead one never again: its timers do
 * not fire, its promises never settle, what it still calls does nothing.
 */
import type { EventQueue } from './event-queue.ts';
import { SimEvent } from './event-queue.ts';

/** What a process needs of the world it lives in. */
export interface ProcessWorld {
  readonly queue: EventQueue;
  readonly nowMs: number;
}

/** Something due in a process's code. Once cancelled it never comes, though a pause had held it back. */
export class ProcessCall extends SimEvent {
  readonly #process: SimProcess;
  #callback: (() => void) | undefined;

  constructor(process: SimProcess, callback: () => void) {
    super();
    this.#process = process;
    this.#callback = callback;
  }

  fire(): void {
    const { state } = this.#process;
    if (state === 'paused') this.#process.enter(() => this.fire());
    else if (state === 'running') this.#run();
  }

  override prefetch(step: number): number {
    if (step > 1) return 0;
    return (this.#process.isDead ? 1 : 0) ^ (this.#callback === undefined ? 0 : this.#callback.length);
  }

  cancel(): void {
    this.#callback = undefined;
    this.#process.cancel(this);
  }

  #run(): void {
    const callback = this.#callback;
    if (callback === undefined) return;
    this.#callback = undefined;
    try {
      callback();
    } catch (error) {
      this.#process.report(error);
    }
  }
}

export class SimProcess {
  readonly #world: ProcessWorld;
  readonly #onUncaught: (error: unknown) => void;
  #state: 'running' | 'paused' | 'dead' = 'running';
  #held: (() => void)[] = [];

  constructor(world: ProcessWorld, onUncaught: (error: unknown) => void) {
    this.#world = world;
    this.#onUncaught = onUncaught;
  }

  get state(): 'running' | 'paused' | 'dead' {
    return this.#state;
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  /** Calls into the process's code now, or when it is resumed, or never. `onThrow` comes after the report. */
  enter(callback: () => void, onThrow?: () => void): void {
    if (this.#state === 'dead') return;
    if (this.#state === 'paused') {
      this.#held.push(() => this.enter(callback, onThrow));
      return;
    }
    try {
      callback();
    } catch (error) {
      this.report(error);
      onThrow?.();
    }
  }

  /** Schedules a call into the process. */
  later(delayMs: number, callback: () => void): ProcessCall {
    const call = new ProcessCall(this, callback);
    this.#world.queue.schedule(this.#world.nowMs + delayMs, call);
    return call;
  }

  /** Schedules what the machine does for the process: it goes on while that is paused, not once it is dead. */
  laterInKernel(delayMs: number, work: () => void): SimEvent {
    return this.#world.queue.add(this.#world.nowMs + delayMs, () => {
      if (this.#state !== 'dead') work();
    });
  }

  cancel(event: SimEvent): void {
    this.#world.queue.remove(event);
  }

  /** A promise the world settles: `start` is given functions that respect the gate. */
  promise<T>(start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'dead') return;
      start(
        (value) => this.enter(() => resolve(value)),
        (error) => this.enter(() => reject(error)),
      );
    });
  }

  report(error: unknown): void {
    this.#onUncaught(error);
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** What was held happens now, each as an event of its own, in the order it came. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    const held = this.#held;
    this.#held = [];
    for (const call of held) this.#world.queue.add(this.#world.nowMs, call);
  }

  die(): void {
    this.#state = 'dead';
    this.#held = [];
  }
}
