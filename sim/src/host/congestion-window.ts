/**
 * How much a sender may have under way: slow start from ten segments, then one segment a round trip, half
 * after a loss (NewReno: RFC 5681, 6582, 6928). It grows only while it is what holds the sender back, and
 * shrinks while the sender has nothing to send (RFC 2861), as Linux does.
 */
import { SEGMENT_BYTES } from './chunk.ts';

export const INITIAL_WINDOW_BYTES = 10 * SEGMENT_BYTES;
const LEAST_WINDOW_BYTES = 2 * SEGMENT_BYTES;
const NO_THRESHOLD = 2 ** 30;

export class CongestionWindow {
  bytes = INITIAL_WINDOW_BYTES;
  readonly #mostBytes: number;
  #thresholdBytes = NO_THRESHOLD;
  /** Losses of what was sent before here belong to one event. */
  #recoverOffset = 0;

  /** More than `mostBytes` the receiver would not take. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** `flightBytes` were under way before `ackedBytes` of them were acknowledged. */
  onAcked(ackedBytes: number, flightBytes: number): void {
    if (flightBytes * 2 <= this.bytes) return;
    const growth =
      this.bytes < this.#thresholdBytes
        ? ackedBytes
        : Math.max(1, Math.floor((SEGMENT_BYTES * ackedBytes) / this.bytes));
    this.bytes = Math.min(this.#mostBytes, this.bytes + growth);
  }

  /** Something sent at `offset` was lost and noticed from what came after it; `sentOffset` is sent so far. */
  onLoss(offset: number, sentOffset: number): void {
    if (offset < this.#recoverOffset) return;
    this.#recoverOffset = sentOffset;
    this.bytes = Math.max(LEAST_WINDOW_BYTES, this.bytes >> 1);
    this.#thresholdBytes = this.bytes;
  }

  /** A loss was noticed only by silence. */
  onTimeout(sentOffset: number): void {
    this.onLoss(sentOffset, sentOffset);
    this.bytes = SEGMENT_BYTES;
  }

  /** Nothing was sent for `idleMs`. */
  onIdle(idleMs: number, timeoutMs: number): void {
    if (idleMs < timeoutMs || this.bytes <= INITIAL_WINDOW_BYTES) return;
    const halvings = Math.min(30, Math.floor(idleMs / timeoutMs));
    this.bytes = Math.max(INITIAL_WINDOW_BYTES, this.bytes >> halvings);
  }
}
