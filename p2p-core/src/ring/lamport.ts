/**
 * Lamport's logical clock (Communications of the ACM 21(7), 1978): every event of the ring is stamped with
 * it, so that the merged log of all nodes has one order that never shows an effect before its cause.
 */

/** Stamps above this are refused on receipt: no honest ring reaches it, and it leaves room to count on. */
export const MAX_LAMPORT_TIME = 2 ** 48;

export class LamportClock {
  #time = 0;

  /** The stamp given last. */
  get time(): number {
    return this.#time;
  }

  /** The stamp of a local event or of a message being sent. */
  tick(): number {
    this.#time += 1;
    return this.#time;
  }

  /** Moves past the stamp of a received message and returns the stamp of its receipt. */
  merge(seen: number): number {
    if (seen > this.#time) this.#time = seen;
    return this.tick();
  }
}

export interface Acceptance {
  readonly fresh: boolean;
  readonly newest: boolean;
}

const SEEN: Acceptance = { fresh: false, newest: false };
const LATE: Acceptance = { fresh: true, newest: false };
const NEWEST: Acceptance = { fresh: true, newest: true };

/**
 * Accepts each stamp of one sender once: a replayed or doubled datagram is told from a reordered one. It
 * remembers the last stamps accepted and takes nothing at or below those it has forgotten.
 */
export class ReplayWindow {
  static readonly size = 128;
  /** In the order of their coming; once full, the oldest at `#next`. */
  readonly #recent: number[] = [];
  #next = 0;
  #floor = 0;
  #newest = 0;

  /** Whether `stamp` was not seen before; `newest` tells if it is also the latest yet. */
  accept(stamp: number): Acceptance {
    const newest = stamp > this.#newest;
    if (!newest && (stamp <= this.#floor || this.#recent.includes(stamp))) return SEEN;
    const oldest = this.#recent[this.#next];
    if (oldest !== undefined && oldest > this.#floor) this.#floor = oldest;
    this.#recent[this.#next] = stamp;
    this.#next = (this.#next + 1) % ReplayWindow.size;
    if (!newest) return LATE;
    this.#newest = stamp;
    return NEWEST;
  }
}
