/**
 * How long one suspected member is waited for: Lifeguard's dynamic suspicion timeout (Dadgar, Phillips, Currey 2018,
 * section 4.2). It begins long and falls to its minimum with the logarithm of how many others say the same of their
 * own probes. The minimum is the grace, so that no number of accusers makes a pause deadly.
 */

/** Others' suspicions that bring the wait down from its longest to the grace. */
const CONFIRMATIONS = 3;
/** Of the grace, without any confirmation. */
const LONGEST_GRACES = 1.4;

export interface SuspicionOptions {
  /** When the silence began, as far as anyone knows. */
  readonly sinceMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Confirmations, beside the first accusation, that bring the wait down to its minimum. */
  readonly wanted: number;
}

export class Suspicion {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #wanted: number;
  readonly #accusers = new Set<string>();
  #sinceMs: number;

  constructor({ sinceMs, minMs, maxMs, wanted }: SuspicionOptions) {
    this.#sinceMs = sinceMs;
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#wanted = Math.max(0, wanted);
  }

  /** Accusations beside the first one, of different members. */
  get confirmations(): number {
    return Math.max(0, this.#accusers.size - 1);
  }

  /** Whether another accusation would still shorten the wait. */
  get wantsMore(): boolean {
    return this.#accusers.size <= this.#wanted;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** How long the silence must last. */
  get timeoutMs(): number {
    if (this.#wanted === 0) return this.#minMs;
    const share = Math.log(this.confirmations + 1) / Math.log(this.#wanted + 1);
    return Math.max(this.#minMs, this.#maxMs - (this.#maxMs - this.#minMs) * share);
  }

  /** Whether this accusation is new and counts. */
  confirm(accuser: string): boolean {
    if (!this.wantsMore || this.#accusers.has(accuser)) return false;
    this.#accusers.add(accuser);
    return true;
  }

  /** Someone knows that the silence began only then, or this node's own absence is not to count. */
  startsLater(sinceMs: number): void {
    this.#sinceMs = Math.max(this.#sinceMs, sinceMs);
  }
}

/** Of one silent since `sinceMs`, which `others` could confirm. */
export function newSuspicion(sinceMs: number, graceMs: number, others: number): Suspicion {
  const wanted = Math.min(CONFIRMATIONS, others);
  return new Suspicion({ sinceMs, minMs: graceMs, maxMs: LONGEST_GRACES * graceMs, wanted });
}
