/**
 * When to announce what to which tracker (BEP 3 and 12), as a state machine that is told the time.
 *
 * Trackers stand in tiers, shuffled within each. One announce at a time walks them in order until one answers;
 * that one moves to the front of its tier, and the next announce, an interval later, starts at the front again.
 * When all have failed there is a pause that doubles from round to round, with jitter so that a swarm does not
 * return to a recovering tracker in step. Each tracker hears `started` first, `completed` once if the download
 * completes meanwhile, and `stopped` at the end if it ever heard `started`.
 */
import type { Random } from '../../host/host.ts';
import { shuffle } from '../../host/random.ts';
import type { AnnounceEvent } from './http-tracker.ts';

/** One announce to be made; handed back with its outcome. */
export interface Announce {
  readonly url: string;
  readonly event: AnnounceEvent | undefined;
}

export interface AnnounceScheduleOptions {
  /** Used when a tracker gives no interval; default 30 minutes. */
  readonly defaultIntervalMs?: number;
  /** Trackers that ask for more frequent announces are not obeyed; default 30 s. */
  readonly shortestIntervalMs?: number;
  /** Pause after the first round in which every tracker failed; default 15 s. */
  readonly firstRetryMs?: number;
  /** The pause does not grow beyond this; default 30 minutes. */
  readonly longestRetryMs?: number;
}

interface Tracker {
  readonly url: string;
  /** Heard `started`, or may have. */
  started: boolean;
  /** Is to hear `completed`. */
  owedCompleted: boolean;
}

const LONGEST_INTERVAL_MS = 24 * 3_600_000;

export class AnnounceSchedule {
  readonly #tiers: readonly Tracker[][];
  readonly #random: Random;
  readonly #options: Required<AnnounceScheduleOptions>;
  /** Place in the walk over all tiers. */
  #cursor = 0;
  #failedRounds = 0;
  #dueAt: number;
  /** Earliest time for an announce that only wants more peers. */
  #notBefore: number;
  #underWay: { readonly announce: Announce; readonly tracker: Tracker } | undefined;
  #toStop: Tracker[] | undefined;

  /** Starts due at `now`. Draws from `random` for the order within tiers and for jitter. */
  constructor(
    components: { readonly random: Random },
    tiers: readonly (readonly string[])[],
    now: number,
    options: AnnounceScheduleOptions = {},
  ) {
    this.#random = components.random;
    this.#tiers = tiers.map((tier) => {
      const trackers = tier.map((url) => ({ url, started: false, owedCompleted: false }));
      return shuffle(this.#random, trackers);
    });
    this.#options = {
      defaultIntervalMs: options.defaultIntervalMs ?? 30 * 60_000,
      shortestIntervalMs: options.shortestIntervalMs ?? 30_000,
      firstRetryMs: options.firstRetryMs ?? 15_000,
      longestRetryMs: options.longestRetryMs ?? 30 * 60_000,
    };
    this.#dueAt = now;
    this.#notBefore = now;
  }

  /** When `next` will have something to do; Infinity while an announce is under way, or nothing is left. */
  get dueAt(): number {
    if (this.#underWay !== undefined) return Number.POSITIVE_INFINITY;
    if (this.#toStop !== undefined) return this.#toStop.length > 0 ? 0 : Number.POSITIVE_INFINITY;
    return this.#order().length > 0 ? this.#dueAt : Number.POSITIVE_INFINITY;
  }

  /** The announce to make now, if one is due. Its outcome must be told by `succeeded` or `failed`. */
  next(now: number): Announce | undefined {
    if (now < this.dueAt) return undefined;
    let tracker: Tracker;
    let event: AnnounceEvent | undefined;
    if (this.#toStop !== undefined) {
      tracker = this.#toStop.shift()!;
      event = 'stopped';
    } else {
      tracker = this.#order()[this.#cursor]!;
      event = !tracker.started ? 'started' : tracker.owedCompleted ? 'completed' : undefined;
    }
    const announce = { url: tracker.url, event };
    this.#underWay = { announce, tracker };
    return announce;
  }

  /** The tracker answered. Outcomes of announces that are not under way any more are ignored. */
  succeeded(
    announce: Announce,
    now: number,
    answer: { readonly intervalMs?: number; readonly minIntervalMs?: number } = {},
  ): void {
    const tracker = this.#settle(announce);
    if (tracker === undefined || this.#toStop !== undefined) return;
    if (announce.event === 'started') tracker.started = true;
    if (announce.event === 'completed') tracker.owedCompleted = false;
    this.#moveToFront(tracker);
    this.#cursor = 0;
    this.#failedRounds = 0;

    const { defaultIntervalMs, shortestIntervalMs } = this.#options;
    const minIntervalMs = bounded(answer.minIntervalMs ?? shortestIntervalMs, shortestIntervalMs);
    const intervalMs = bounded(answer.intervalMs ?? defaultIntervalMs, minIntervalMs);
    this.#notBefore = now + minIntervalMs;
    // `completed` may have become due while `started` was under way.
    this.#dueAt = tracker.owedCompleted ? now : now + intervalMs;
  }

  /** The tracker refused, or gave no usable answer. */
  failed(announce: Announce, now: number): void {
    const tracker = this.#settle(announce);
    if (tracker === undefined || this.#toStop !== undefined) return;
    this.#cursor++;
    this.#dueAt = now;
    if (this.#cursor < this.#order().length) return;
    const { firstRetryMs, longestRetryMs } = this.#options;
    const pauseMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(this.#failedRounds, 30));
    this.#cursor = 0;
    this.#failedRounds++;
    this.#dueAt = now + pauseMs * (0.75 + this.#random.float() / 2);
    this.#notBefore = this.#dueAt;
  }

  /** The download became complete: announces soon, and each tracker that knows of it is told when talked to. */
  completed(now: number): void {
    let owed = false;
    for (const tracker of this.#order()) {
      // One that has not been started with yet learns from left=0 that this peer is a seed.
      tracker.owedCompleted = tracker.started || this.#underWay?.tracker === tracker;
      owed ||= tracker.owedCompleted;
    }
    if (owed && this.#failedRounds === 0) this.#dueAt = Math.min(this.#dueAt, now);
  }

  /** More peers are wanted: announces as soon as the tracker's minimum interval allows. */
  wantPeers(now: number): void {
    this.#dueAt = Math.min(this.#dueAt, Math.max(now, this.#notBefore));
  }

  /** From here on only `stopped` is sent, once, to each tracker that heard, or may have heard, `started`. */
  stop(): void {
    if (this.#toStop !== undefined) return;
    if (this.#underWay !== undefined) this.#underWay.tracker.started = true;
    this.#underWay = undefined;
    this.#toStop = this.#order().filter((tracker) => tracker.started);
  }

  #order(): readonly Tracker[] {
    return this.#tiers.flat();
  }

  #settle(announce: Announce): Tracker | undefined {
    if (this.#underWay?.announce !== announce) return undefined;
    const { tracker } = this.#underWay;
    this.#underWay = undefined;
    return tracker;
  }

  #moveToFront(tracker: Tracker): void {
    const tier = this.#tiers.find((candidates) => candidates.includes(tracker))!;
    tier.splice(tier.indexOf(tracker), 1);
    tier.unshift(tracker);
  }
}

function bounded(intervalMs: number, lowestMs: number): number {
  return Math.min(LONGEST_INTERVAL_MS, Math.max(lowestMs, intervalMs));
}
