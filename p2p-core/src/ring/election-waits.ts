/**
 * How long an election waits for what, each time drawn anew, so that two seldom stand together. Measured round trips scale
 * the usual waits, since what counts is that whoever stands first has won before the next one stands.
 */
import type { Random } from '../host/index.ts';
import type { RingTiming } from './timing.ts';

type Range = readonly [number, number];

/** The wait after a lost candidacy doubles at most this often. */
const MAX_DOUBLINGS = 3;
/** In round trips to a majority. */
const STAGGER_TRIPS = [1, 3] as const;
const CANDIDACY_TRIPS = [10, 20] as const;
const RETRY_TRIPS = [2, 8] as const;
const RESEND_TRIPS = 1.5;
/** How far measured round trips move a wait from its usual length. */
const LEAST_SCALE = 0.5;
const MOST_SCALE = 8;

export class ElectionWaits {
  readonly #random: Random;
  readonly #quorumMs: () => number | undefined;
  readonly #timing: RingTiming;

  /** `quorumMs`: by when a majority has usually answered; undefined while too few round trips are known. */
  constructor(components: { random: Random; quorumMs: () => number | undefined }, timing: RingTiming) {
    this.#random = components.random;
    this.#quorumMs = components.quorumMs;
    this.#timing = timing;
  }

  /** For a leader to be heard. */
  timeoutMs(): number {
    return this.#between(this.#timing.electionTimeoutMs);
  }

  /** Before standing where the place is known to be open. */
  staggerMs(): number {
    return this.#between(this.#scaled(this.#timing.staggerMs, STAGGER_TRIPS));
  }

  /** For a majority of votes. */
  candidacyMs(): number {
    return this.#between(this.#scaled(this.#timing.candidacyMs, CANDIDACY_TRIPS));
  }

  /** Before standing again, after so many candidacies lost in a row before this one. */
  retryMs(losses = 0): number {
    const [least, most] = this.#scaled(this.#timing.retryMs, RETRY_TRIPS);
    const factor = 2 ** Math.min(losses, MAX_DOUBLINGS);
    return this.#between([least * factor, most * factor]);
  }

  /** For an answer, before asking again. */
  resendMs(): number {
    const { resendMs } = this.#timing;
    return this.#scaled([resendMs, resendMs], [RESEND_TRIPS, RESEND_TRIPS])[0];
  }

  /** So many round trips to a majority, or the usual wait while these are not known. */
  #scaled(usual: Range, trips: Range): Range {
    const tripMs = this.#quorumMs();
    if (tripMs === undefined) return usual;
    const scale = (usualMs: number, count: number) =>
      Math.min(MOST_SCALE * usualMs, Math.max(LEAST_SCALE * usualMs, count * tripMs));
    return [scale(usual[0], trips[0]), scale(usual[1], trips[1])];
  }

  #between([least, most]: Range): number {
    return least + this.#random.float() * (most - least);
  }
}
