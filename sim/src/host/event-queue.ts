/**
 * What is still to happen, in order of (time, sequence of being added).
 *
 * A timing wheel: what is due within four seconds lies unsorted in a bucket for its millisecond, and is sorted
 * when that comes; what is due later waits in a heap. Adding and cancelling cost the same however many events
 * there are, for most timeouts are cancelled.
 */
import { SlotHeap, Slots } from './slot-heap.ts';

/** Something that is to happen. In one queue at most once at a time; may be scheduled again when it has fired. */
export abstract class SimEvent {
  /** Where its queue keeps it, -1 while none does: the queue's own. */
  slot = -1;

  /** Whether a queue keeps it. */
  get isDue(): boolean {
    return this.slot >= 0;
  }

  abstract fire(): void;

  /**
   * Reads of what `fire` will need what is `step` references away (1 to PREFETCH_STEPS), and gives a number made of all that
   * was read, lest the reads be optimized away. Of many events read at once, step by step, the memory's delays overlap.
   */
  prefetch(_step: number): number {
    return 0;
  }
}

/** An event that calls a function. */
class Call extends SimEvent {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    super();
    this.#callback = callback;
  }

  fire(): void {
    this.#callback();
  }
}

/** How far `SimEvent.prefetch` goes. */
const PREFETCH_STEPS = 4;
/** For fewer events at once it is not worth its while. */
const MIN_PREFETCHED = 8;

const BUCKETS = 4_096;
const BUCKET_MASK = BUCKETS - 1;
/** Where a slot is that is in no bucket. */
const NEAR = -1;
const FAR = -2;

export class EventQueue {
  readonly #slots = new Slots();
  readonly #events: (SimEvent | undefined)[] = [];
  /** All that is due in the current millisecond or before, sorted. */
  readonly #near = new SlotHeap(this.#slots);
  /** What is due after the last bucket's millisecond. */
  readonly #far = new SlotHeap(this.#slots);
  /** The first slot of each bucket's list, -1 if it is empty. Bucket t modulo 4096 holds millisecond t. */
  readonly #buckets = new Int32Array(BUCKETS).fill(-1);
  /** A bit for each bucket that is not empty. */
  readonly #occupied = new Int32Array(BUCKETS / 32);
  #currentMs = 0;
  #sequence = 0;
  #size = 0;
  /** Slots of one bucket, for `#prefetch`. */
  readonly #soon: number[] = [];
  /** What `#prefetch` read: kept, that it is read. */
  #read = 0;

  get size(): number {
    return this.#size;
  }

  /** Calls `fire` at a time: see `schedule`. */
  add(timeMs: number, fire: () => void): SimEvent {
    const event = new Call(fire);
    this.schedule(timeMs, event);
    return event;
  }

  /** Events of one time fire in the order they were added. What is due at infinity never comes. */
  schedule(timeMs: number, event: SimEvent): void {
    if (timeMs === Number.POSITIVE_INFINITY) return;
    const slot = this.#slots.take(timeMs, this.#sequence++);
    this.#events[slot] = event;
    event.slot = slot;
    this.#size++;
    this.#place(slot, timeMs);
  }

  /** When the next event is due; infinity if there is none. */
  nextTimeMs(): number {
    const slot = this.#next();
    return slot < 0 ? Number.POSITIVE_INFINITY : this.#slots.keys[2 * slot]!;
  }

  /** Takes the next event out; undefined if there is none. */
  pop(): SimEvent | undefined {
    const slot = this.#next();
    if (slot < 0) return undefined;
    this.#near.remove(slot);
    return this.#release(slot);
  }

  /** Harmless if the event has fired or was removed before. */
  remove(event: SimEvent): void {
    const { slot } = event;
    if (slot < 0) return;
    const home = this.#slots.links[3 * slot + 2]!;
    if (home === NEAR) this.#near.remove(slot);
    else if (home === FAR) this.#far.remove(slot);
    else this.#unlink(slot, home);
    this.#release(slot);
  }

  /** The least slot, brought near; -1 if there is none. */
  #next(): number {
    if (this.#near.first < 0 && this.#size > 0) this.#advance();
    return this.#near.first;
  }

  #release(slot: number): SimEvent {
    const event = this.#events[slot]!;
    this.#events[slot] = undefined;
    event.slot = -1;
    this.#slots.giveBack(slot);
    this.#size--;
    return event;
  }

  #place(slot: number, timeMs: number): void {
    const { links } = this.#slots;
    const millisecond = Math.floor(timeMs);
    if (millisecond <= this.#currentMs) {
      links[3 * slot + 2] = NEAR;
      this.#near.push(slot);
    } else if (millisecond - this.#currentMs < BUCKETS) this.#link(slot, millisecond & BUCKET_MASK);
    else {
      links[3 * slot + 2] = FAR;
      this.#far.push(slot);
    }
  }

  /** Goes to the next millisecond in which something is due. */
  #advance(): void {
    const { keys, links } = this.#slots;
    const bucket = this.#nextBucket();
    const isWheelEmpty = bucket < 0;
    this.#currentMs = isWheelEmpty
      ? Math.floor(keys[2 * this.#far.first]!)
      : this.#currentMs + ((bucket - this.#currentMs) & BUCKET_MASK);
    if (!isWheelEmpty) {
      let slot = this.#buckets[bucket]!;
      this.#prefetch(slot);
      this.#clear(bucket);
      while (slot >= 0) {
        const after = links[3 * slot]!;
        links[3 * slot + 2] = NEAR;
        this.#near.push(slot);
        slot = after;
      }
    }
    // The wheel reaches further now.
    for (let slot = this.#far.first; slot >= 0; slot = this.#far.first) {
      const timeMs = keys[2 * slot]!;
      if (Math.floor(timeMs) - this.#currentMs >= BUCKETS) break;
      this.#far.remove(slot);
      this.#place(slot, timeMs);
    }
  }

  /** Reads the events of a list, and then what they need, a step after the other. */
  #prefetch(first: number): void {
    const { links } = this.#slots;
    const events = this.#events;
    const soon = this.#soon;
    let count = 0;
    for (let slot = first; slot >= 0; slot = links[3 * slot]!) soon[count++] = slot;
    if (count < MIN_PREFETCHED) return;
    let read = 0;
    for (let i = 0; i < count; i++) read ^= events[soon[i]!]!.slot;
    for (let step = 1; step <= PREFETCH_STEPS; step++)
      for (let i = 0; i < count; i++) read ^= events[soon[i]!]!.prefetch(step);
    this.#read ^= read;
  }

  // -------------------------------------------------------------- buckets

  #link(slot: number, bucket: number): void {
    const { links } = this.#slots;
    const after = this.#buckets[bucket]!;
    links[3 * slot] = after;
    links[3 * slot + 1] = -1;
    links[3 * slot + 2] = bucket;
    if (after >= 0) links[3 * after + 1] = slot;
    else this.#occupied[bucket >> 5]! |= 1 << (bucket & 31);
    this.#buckets[bucket] = slot;
  }

  #unlink(slot: number, bucket: number): void {
    const { links } = this.#slots;
    const after = links[3 * slot]!;
    const before = links[3 * slot + 1]!;
    if (after >= 0) links[3 * after + 1] = before;
    if (before >= 0) links[3 * before] = after;
    else if (after >= 0) this.#buckets[bucket] = after;
    else this.#clear(bucket);
  }

  #clear(bucket: number): void {
    this.#buckets[bucket] = -1;
    this.#occupied[bucket >> 5]! &= ~(1 << (bucket & 31));
  }

  /** The first bucket after the current one that is not empty, going round; -1 if all are empty. */
  #nextBucket(): number {
    const occupied = this.#occupied;
    const start = (this.#currentMs + 1) & BUCKET_MASK;
    let word = start >> 5;
    // In the first word what lies before the start comes last of all: it is looked at again at the end.
    let bits = occupied[word]! & (-1 << (start & 31));
    for (let words = 0; words <= occupied.length; words++) {
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      word = (word + 1) % occupied.length;
      bits = occupied[word]!;
    }
    return -1;
  }
}
