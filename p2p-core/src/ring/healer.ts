/**
 * The leader's work list: which slots' generations are dead, and asking the control API to redeploy them
 * until the configuration or the report of deaths has moved on. A pure machine.
 *
 * Each slot has one request in flight at most, repeated with growing pauses. Asking twice does no harm: the
 * request names slot, generation and term, and the control API makes one replacement of it.
 */
import type { DeathCause } from './member.ts';
import type { RingTiming } from './timing.ts';

export interface SlotDeath {
  readonly slot: string;
  readonly generation: number;
  readonly reason: string;
  readonly cause: DeathCause;
  /** Of a silence: how long it has lasted. */
  readonly silentMs?: number;
}

export interface RedeploymentRequest extends SlotDeath {
  readonly term: number;
}

export interface RedeploymentAnswer {
  readonly accepted: boolean;
  /** Why not, as the control API's problem code. */
  readonly code?: string;
  /** The lease's present term: if higher than the request's, the asker leads no more. */
  readonly term?: number;
}

export interface HealerOutput {
  readonly type: 'redeploy';
  readonly request: number;
  readonly redeployment: RedeploymentRequest;
}

/** Beyond this many deaths the rest waits until the report has shrunk. */
const MAX_CASES = 4_096;
const MAX_IN_FLIGHT = 16;
const NOTHING: readonly HealerOutput[] = [];

interface Case {
  death: SlotDeath;
  inFlight: number | undefined;
  nextAskMs: number;
  pauseMs: number;
}

export class Healer {
  readonly #timing: RingTiming;
  readonly #cases = new Map<string, Case>();
  #term: number | undefined;
  #request = 0;
  #inFlight = 0;

  constructor(timing: RingTiming) {
    this.#timing = timing;
  }

  /** Starts over: what an earlier leadership asked for is asked again, under the new term. */
  lead(term: number): void {
    this.stop();
    this.#term = term;
  }

  stop(): void {
    this.#term = undefined;
    this.#inFlight = 0;
    this.#cases.clear();
  }

  /** When a death known by now is to be asked for again. */
  nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    if (this.#inFlight >= MAX_IN_FLIGHT) return dueMs;
    for (const item of this.#cases.values()) {
      if (item.inFlight === undefined) dueMs = Math.min(dueMs, item.nextAskMs);
    }
    return dueMs;
  }

  /** `deaths` is the whole truth of now: a death no longer in it is forgotten. */
  wake(now: number, deaths: readonly SlotDeath[]): readonly HealerOutput[] {
    if (this.#term === undefined || (this.#cases.size === 0 && deaths.length === 0)) return NOTHING;
    this.#takeUp(now, deaths);
    const outputs: HealerOutput[] = [];
    for (const item of this.#cases.values()) {
      if (this.#inFlight >= MAX_IN_FLIGHT) break;
      if (item.inFlight !== undefined || now < item.nextAskMs) continue;
      this.#request += 1;
      this.#inFlight += 1;
      item.inFlight = this.#request;
      const redeployment = { ...item.death, term: this.#term };
      outputs.push({ type: 'redeploy', request: this.#request, redeployment });
    }
    return outputs;
  }

  /** `answer` undefined: unreachable. Gives the death that it is about, if that is still of interest. */
  answered(now: number, request: number, answer: RedeploymentAnswer | undefined): SlotDeath | undefined {
    for (const item of this.#cases.values()) {
      if (item.inFlight !== request) continue;
      item.inFlight = undefined;
      this.#inFlight -= 1;
      const [, longestMs] = this.#timing.redeployRetryMs;
      item.nextAskMs = now + (answer?.accepted ? this.#timing.redeployReminderMs : item.pauseMs);
      item.pauseMs = Math.min(longestMs, item.pauseMs * 2);
      return item.death;
    }
    return undefined;
  }

  #takeUp(now: number, deaths: readonly SlotDeath[]): void {
    const present = new Set<string>();
    for (const death of deaths) {
      present.add(death.slot);
      const item = this.#cases.get(death.slot);
      if (item?.death.generation === death.generation) {
        item.death = death;
        continue;
      }
      if (item === undefined && this.#cases.size >= MAX_CASES) continue;
      if (item?.inFlight !== undefined) this.#inFlight -= 1;
      const [pauseMs] = this.#timing.redeployRetryMs;
      this.#cases.set(death.slot, { death, inFlight: undefined, nextAskMs: now, pauseMs });
    }
    for (const [slot, item] of this.#cases) {
      if (present.has(slot)) continue;
      if (item.inFlight !== undefined) this.#inFlight -= 1;
      this.#cases.delete(slot);
    }
  }
}
