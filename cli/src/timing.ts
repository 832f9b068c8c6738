/** Waiting for something with a time limit, by a Host's clock; an AbortSignal ends it early. */
import { type Clock, sleep } from '@skep/p2p-core/host';
import { exitCodes } from './exit-codes.ts';
import { CliError } from './failure.ts';

export interface Awaiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Completes the sentence "Waited N s for …". */
  readonly awaited: () => string;
}

/** Runs `work` under a signal of its own that ends it when time is up; rejects then with a sentence. */
export async function within<T>(
  { clock, signal, timeoutMs, awaited }: Awaiting,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = clock.setTimer(timeoutMs, () => {
    const seconds = Math.round(timeoutMs / 1000);
    limit.abort(
      new CliError('timeout', exitCodes.timeout, `Waited ${seconds} s for ${awaited()}: it did not come.`),
    );
  });
  const both = AbortSignal.any([signal, limit.signal]);
  try {
    return await Promise.race([work(both), rejectionOf(both)]);
  } finally {
    timer.cancel();
  }
}

/** Asks `look` every `everyMs` until it gives something. */
export async function until<T>(
  awaiting: Awaiting & { readonly everyMs: number },
  look: (signal: AbortSignal) => Promise<T | undefined>,
): Promise<T> {
  return within(awaiting, async (signal) => {
    for (;;) {
      signal.throwIfAborted();
      const found = await look(signal);
      if (found !== undefined) return found;
      await sleep(awaiting.clock, awaiting.everyMs, signal);
    }
  });
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return aborted(signal).then(() => {
    throw signal.reason;
  });
}
