/**
 * Ctrl-C and its kin as an AbortSignal. The first asks the command to end and clean up; a second one, a
 * moment later, asks it to hurry.
 */
import { constants } from 'node:os';

export type InterruptSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';

/** Why `signal` was aborted. */
export class Interrupted extends Error {
  readonly signalName: InterruptSignal;
  constructor(signalName: InterruptSignal) {
    super(`ended by ${signalName}`);
    this.name = 'Interrupted';
    this.signalName = signalName;
  }

  /** 130 for Ctrl-C, as shells have it. */
  get exitCode(): number {
    return 128 + constants.signals[this.signalName];
  }
}

export interface Interrupts {
  /** Aborted with Interrupted by the first signal. */
  readonly signal: AbortSignal;
  /** Aborted by the second one. */
  readonly hurry: AbortSignal;
  trigger(name: InterruptSignal): void;
  dispose(): void;
}

/** The part of `process` that is needed. */
export interface SignalSource {
  on(name: string, listener: () => void): unknown;
  off(name: string, listener: () => void): unknown;
}

/** A terminal, npm and the shim may each pass one key press on; within this time they are one. */
const onePressMs = 400;

export function listenForInterrupts(source: SignalSource, now: () => number): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  let firstAt = 0;
  const trigger = (name: InterruptSignal) => {
    if (!first.signal.aborted) {
      firstAt = now();
      first.abort(new Interrupted(name));
    } else if (now() - firstAt >= onePressMs) {
      second.abort(new Interrupted(name));
    }
  };
  const listeners = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map(
    (name) => [name, () => trigger(name)] as const,
  );
  for (const [name, listener] of listeners) source.on(name, listener);
  return {
    signal: first.signal,
    hurry: second.signal,
    trigger,
    dispose() {
      for (const [name, listener] of listeners) source.off(name, listener);
    },
  };
}
