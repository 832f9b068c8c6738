/** Events on their way to the journal: kept until the control API says that it has them. */
import type { AgentEvent } from '@skep/contract';

/** What a control API that is away for long may cost in memory. */
const capacity = 1_000;
const perReport = 100;

export class EventOutbox {
  readonly #waiting: AgentEvent[] = [];
  #sequence = 0;
  #dropped = 0;

  /** Numbers an event and keeps it. When full the oldest goes, since the newest tell what is now. */
  add(event: Omit<AgentEvent, 'sequence'>): void {
    this.#sequence += 1;
    this.#waiting.push({ ...event, sequence: this.#sequence });
    if (this.#waiting.length > capacity) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
  }

  /** The oldest events that fit a report. */
  next(): AgentEvent[] {
    return this.#waiting.slice(0, perReport);
  }

  /** The journal has all events up to and including `sequence`. */
  taken(sequence: number): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].sequence <= sequence) this.#waiting.shift();
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Events lost because the control API was away for too long. */
  get dropped(): number {
    return this.#dropped;
  }
}
