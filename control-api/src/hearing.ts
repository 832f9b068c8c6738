/**
 * Since when this control API could have heard a cluster's machines, and so since when not to hear one says anything
 * of it. Who has just started, or stood still, missed reports itself. Who hears none of several machines is likelier
 * cut off than all of them dead at once: until `orphanMs` have passed that counts against nobody; then they have
 * ended themselves, having been cut off as long.
 */
import type { ClusterRecord } from './cluster-record.ts';
import type { Liveness } from './liveness.ts';

/** A tick that is later than it should be by more than this means that the process stood still. */
const absentMs = 1_000;
/** Agents report at least this often, whatever their interval. */
const longestRetryMs = 1_000;
/** A held report may be as old as the interval, and the next one be as late. */
const lateIntervals = 2;

interface Heard {
  /** The last report of any machine of the cluster. */
  readonly atMs: number;
  /** Since it, there was no long time without one. */
  readonly sinceMs: number;
}

export interface Listening {
  /** Who has anything to say would have been heard since. */
  readonly sinceMs: number;
  /** Silence is counted from here: from now, as long as nobody at all is heard. */
  readonly silenceSinceMs: number;
}

/** How late a report may be of a machine that is well, ms. */
export function latenessMs({ about }: ClusterRecord): number {
  return lateIntervals * Math.max(about.spec.reportIntervalMs, longestRetryMs);
}

export class Hearing {
  readonly #liveness: Liveness;
  readonly #tickMs: number;
  readonly #heard = new WeakMap<ClusterRecord, Heard>();
  #startedMs = 0;
  #tickedMs = 0;

  /** It is to be told of every tick, each `tickMs` after the one before: from lateness it knows that the process stood still. */
  constructor(liveness: Liveness, tickMs: number) {
    this.#liveness = liveness;
    this.#tickMs = tickMs;
  }

  start(now: number): void {
    this.#startedMs = now;
    this.#tickedMs = now;
  }

  tick(now: number): void {
    this.#noticeStandstill(now);
    this.#tickedMs = now;
  }

  /** To be asked at every tick, and by whoever has waited for anything since: it may have been a standstill. */
  of(record: ClusterRecord, now: number): Listening {
    this.#noticeStandstill(now);
    const { atMs, sinceMs } = this.#hear(record);
    const quietMs = now - atMs;
    const hearsNobody = quietMs > latenessMs(record) && quietMs < record.about.spec.orphanMs;
    return { sinceMs, silenceSinceMs: hearsNobody && areSeveral(record) ? now : sinceMs };
  }

  #noticeStandstill(now: number): void {
    if (now - this.#tickedMs > this.#tickMs + absentMs) this.#startedMs = now;
  }

  #hear(record: ClusterRecord): Heard {
    const known = this.#heard.get(record);
    const before = known === undefined || known.atMs < this.#startedMs ? this.#startedMs : known.atMs;
    const newestMs = Math.max(before, this.#liveness.newestMs(record.uid));
    const begins = newestMs - before > latenessMs(record) ? newestMs : this.#startedMs;
    const heard = { atMs: newestMs, sinceMs: Math.max(begins, known?.sinceMs ?? 0) };
    this.#heard.set(record, heard);
    return heard;
  }
}

/** One machine alone is as likely to be cut off as this process. */
function areSeveral({ machines }: ClusterRecord): boolean {
  let joined = 0;
  for (const { tokenSha256, gone } of machines.values()) {
    if (tokenSha256 !== undefined && !gone) joined += 1;
    if (joined > 1) return true;
  }
  return false;
}
