/** How fast bytes pass, and how fast they may: an averaging meter and a token bucket. Both are told the time. */

const FOLD_MS = 250;
const TIME_CONSTANT_MS = 5_000;

/**
 * Exponentially weighted rate. Bytes are gathered and folded in a few times a second, so that `add` costs
 * an addition; while the meter is young it averages over its own age, and so is right from the first fold.
 */
export class RateMeter {
  #rate = 0;
  #pending = 0;
  #foldedMs: number;
  readonly #startedMs: number;
  #total = 0;

  constructor(nowMs: number) {
    this.#foldedMs = nowMs;
    this.#startedMs = nowMs;
  }

  /** Bytes ever added. */
  get total(): number {
    return this.#total;
  }

  add(bytes: number, nowMs: number): void {
    this.#total += bytes;
    if (nowMs - this.#foldedMs >= FOLD_MS) this.#fold(nowMs);
    this.#pending += bytes;
  }

  bytesPerSecond(nowMs: number): number {
    if (nowMs - this.#foldedMs >= FOLD_MS) this.#fold(nowMs);
    return this.#rate;
  }

  #fold(nowMs: number): void {
    const elapsed = nowMs - this.#foldedMs;
    const memory = Math.min(TIME_CONSTANT_MS, nowMs - this.#startedMs);
    const weight = memory <= elapsed ? 1 : 1 - Math.exp(-elapsed / memory);
    this.#rate += ((this.#pending * 1000) / elapsed - this.#rate) * weight;
    if (this.#rate < 1) this.#rate = 0;
    this.#pending = 0;
    this.#foldedMs = nowMs;
  }
}

const BURST_MS = 100;

/**
 * A limit in bytes per second; Infinity is none. Spending is allowed while anything is left and may
 * overdraw, which the next refill pays back: the long-run rate is exact whatever the size of a block.
 */
export class TokenBucket {
  #rate: number;
  #tokens: number;
  #filledMs: number;

  constructor(rateBytesPerSecond: number, nowMs: number) {
    this.#rate = rateBytesPerSecond;
    this.#tokens = this.#capacity();
    this.#filledMs = nowMs;
  }

  get rateBytesPerSecond(): number {
    return this.#rate;
  }

  setRate(rateBytesPerSecond: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#rate = rateBytesPerSecond;
    this.#tokens = rateBytesPerSecond === Infinity ? Infinity : Math.min(this.#tokens, this.#capacity());
  }

  spend(bytes: number): void {
    this.#tokens -= bytes;
  }

  /** Milliseconds until spending is allowed; 0 if it is now, Infinity if it never will be. */
  waitMs(nowMs: number): number {
    if (this.#rate === Infinity) return 0;
    this.#fill(nowMs);
    return this.#tokens > 0 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#rate);
  }

  #fill(nowMs: number): void {
    if (this.#rate === Infinity) return;
    const filled = this.#tokens + ((nowMs - this.#filledMs) * this.#rate) / 1000;
    this.#tokens = Math.min(filled, this.#capacity());
    this.#filledMs = nowMs;
  }

  #capacity(): number {
    return this.#rate === Infinity ? Infinity : Math.max(1, (this.#rate * BURST_MS) / 1000);
  }
}

/** Several limits that hold at once: of the node and of the torrent. */
export class RateLimit {
  readonly #buckets: readonly TokenBucket[];

  constructor(...buckets: TokenBucket[]) {
    this.#buckets = buckets;
  }

  waitMs(nowMs: number): number {
    let wait = 0;
    for (const bucket of this.#buckets) wait = Math.max(wait, bucket.waitMs(nowMs));
    return wait;
  }

  spend(bytes: number): void {
    for (const bucket of this.#buckets) bucket.spend(bytes);
  }

  /** The lowest of them; Infinity is none. */
  get rateBytesPerSecond(): number {
    let rate = Infinity;
    for (const bucket of this.#buckets) rate = Math.min(rate, bucket.rateBytesPerSecond);
    return rate;
  }

  get isUnlimited(): boolean {
    return this.rateBytesPerSecond === Infinity;
  }
}
