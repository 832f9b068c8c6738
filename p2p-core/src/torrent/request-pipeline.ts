/**
 * How many blocks to have asked of a peer at once. Too few and the line idles between answers, too many
 * and a block that could come from elsewhere waits in a slow peer's queue. Depth doubles each round trip
 * (one more for each block that comes) until the rate no longer grows with it; from then on it is what
 * the peer delivers in `HORIZON_MS`.
 */

const HORIZON_MS = 1_500;
const ADAPT_EVERY_MS = 500;
export const MIN_DEPTH = 8;
export const MAX_DEPTH = 1024;
/** What a peer that does not say how many requests it keeps can be trusted with. */
const UNTOLD_QUEUE = 250;

export class RequestPipeline {
  #depth = MIN_DEPTH;
  #limit = UNTOLD_QUEUE;
  #isGrowing = true;
  #adaptedMs: number;
  #blocks = 0;

  constructor(nowMs: number) {
    this.#adaptedMs = nowMs;
  }

  get depth(): number {
    return this.#depth;
  }

  /** The peer told how many requests it keeps. */
  setLimit(requests: number): void {
    this.#limit = Math.max(1, Math.min(MAX_DEPTH, requests));
    this.#depth = Math.min(this.#depth, this.#limit);
  }

  blockArrived(nowMs: number): void {
    this.#blocks++;
    if (this.#isGrowing) this.#depth = Math.min(this.#depth + 1, this.#limit);
    const elapsedMs = nowMs - this.#adaptedMs;
    if (elapsedMs < ADAPT_EVERY_MS) return;
    const wanted = Math.ceil((this.#blocks * HORIZON_MS) / elapsedMs);
    if (wanted < this.#depth) this.#isGrowing = false;
    if (!this.#isGrowing) {
      // Halfway towards the goal, so that one stutter does not empty the line.
      const goal = Math.max(MIN_DEPTH, wanted);
      this.#depth = Math.min(this.#limit, Math.ceil((this.#depth + goal) / 2));
    }
    this.#blocks = 0;
    this.#adaptedMs = nowMs;
  }

  /** The peer stopped delivering: one block at a time until it is back. */
  stalled(): void {
    this.#depth = 1;
    this.#isGrowing = true;
  }
}
