/** Events on their way to the journal: kept until the control API says that it has them. */
import type { AgentEvent } from '@skep/contract';

/** What a control API that is away for long may cost in memory. */
const capacity = 1_000;
const perReport = 100;

/**
 * Numbers go on where the journal stands: a machine that was rebooted is still the same generation, and events
 * counted from 1 again would be taken for those that it has. So none is sent before the first answer.
 */
export class EventOutbox {
  readonly #waiting: { readonly event: AgentEvent; readonly atMs: number }[] = [];
  /** Events since the process started. */
  #count = 0;
  /** Events of this generation that the journal had when the process first heard from it. */
  #before: number | undefined;
  #dropped = 0;

  /**
   * Numbers an event that happened at `atMs` of the monotonic clock, and keeps it. When full the oldest goes, since
   * the newest tell what is now.
   */
  add(event: Omit<AgentEvent, 'sequence' | 'ageMs'>, atMs: number): void {
    this.#count += 1;
    this.#waiting.push({ event: { ...event, sequence: this.#count }, atMs });
    if (this.#waiting.length > capacity) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
  }

  /**
   * The oldest events that fit a report of `nowMs`, each with how long ago it happened: a report that was lost is
   * made anew, so they are no younger in the next. None before the first `taken`.
   */
  next(nowMs: number): AgentEvent[] {
    const before = this.#before;
    if (before === undefined) return [];
    return this.#waiting.slice(0, perReport).map(({ event, atMs }) => ({
      ...event,
      sequence: before + event.sequence,
      ageMs: Math.max(0, nowMs - atMs),
    }));
  }

  /** The journal has all events up to and including `sequence`. */
  taken(sequence: number): void {
    this.#before ??= sequence;
    const count = sequence - this.#before;
    while (this.#waiting[0] !== undefined && this.#waiting[0].event.sequence <= count) this.#waiting.shift();
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Events lost because the control API was away for too long. */
  get dropped(): number {
    return this.#dropped;
  }
}
