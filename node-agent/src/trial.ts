/** One thing that is tried within a time: what it waits for is known at every moment, so that it can be told if it never comes. */
import type { Clock } from '@skep/p2p-core/host';

/** It did not hold; `message` is a sentence that says what. */
export class TrialFailure extends Error {
  override readonly name = 'TrialFailure';
}

/** There is nothing to try; `message` is a sentence that says why. */
export class TrialSkipped extends Error {
  override readonly name = 'TrialSkipped';
}

export class Trial {
  /** Aborted when the time is over, or whoever wanted it wants it no more. */
  readonly signal: AbortSignal;
  #awaited = 'its end';

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  /** What is waited for from now on: `an answer of bootstrap-2@1`. */
  awaits(what: string): void {
    this.#awaited = what;
  }

  get awaited(): string {
    return this.#awaited;
  }

  /** As `promise`, but rejects as soon as the trial is over. */
  unlessOver<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      // Whatever becomes of it later is heard here too.
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }
}

/**
 * Tries `work` for no longer than `limitMs`, whether or not it heeds the signal. Rejects with what it rejects with; with
 * TrialFailure, which says what was waited for, when the time is over; with the reason of `outer` when that is aborted.
 */
export async function tryWithin<T>(
  clock: Clock,
  limitMs: number,
  outer: AbortSignal,
  work: (trial: Trial) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const trial = new Trial(own.signal);
  const onOuter = () => own.abort(outer.reason);
  if (outer.aborted) onOuter();
  outer.addEventListener('abort', onOuter);
  const timer = clock.setTimer(limitMs, () =>
    own.abort(new TrialFailure(`Waited ${limitMs / 1_000} s in vain for ${trial.awaited}.`)),
  );
  try {
    return await trial.unlessOver(work(trial));
  } finally {
    timer.cancel();
    outer.removeEventListener('abort', onOuter);
  }
}
