/**
 * Where an event queue keeps its events: slots whose keys lie in typed arrays, which neither allocate nor
 * burden the garbage collector, and a 4-ary heap of slots that know their place, so that any can be removed.
 */

const FIRST_CAPACITY = 256;
const ARITY = 4;

/** Keys and links of events by slot, a small number that is used again once it is given back. */
export class Slots {
  /** Two an event, side by side: its time, and its sequence among those of one time. */
  keys = new Float64Array(2 * FIRST_CAPACITY);
  /** Three an event: place in a heap, or the slots after and before in a list; and where it is (the queue's to say). */
  links = new Int32Array(3 * FIRST_CAPACITY);
  #capacity = FIRST_CAPACITY;
  #used = 0;
  /** The first of those given back; each links to the next. */
  #free = -1;

  take(timeMs: number, sequence: number): number {
    let slot = this.#free;
    if (slot >= 0) this.#free = this.links[3 * slot]!;
    else {
      if (this.#used === this.#capacity) this.#grow();
      slot = this.#used++;
    }
    this.keys[2 * slot] = timeMs;
    this.keys[2 * slot + 1] = sequence;
    return slot;
  }

  giveBack(slot: number): void {
    this.links[3 * slot] = this.#free;
    this.#free = slot;
  }

  isBefore(a: number, b: number): boolean {
    const { keys } = this;
    const timeA = keys[2 * a]!;
    const timeB = keys[2 * b]!;
    return timeA < timeB || (timeA === timeB && keys[2 * a + 1]! < keys[2 * b + 1]!);
  }

  #grow(): void {
    this.#capacity *= 2;
    const { keys, links } = this;
    this.keys = new Float64Array(2 * this.#capacity);
    this.keys.set(keys);
    this.links = new Int32Array(3 * this.#capacity);
    this.links.set(links);
  }
}

export class SlotHeap {
  readonly #slots: Slots;
  #heap = new Int32Array(FIRST_CAPACITY);
  #count = 0;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** The least slot; -1 if there is none. */
  get first(): number {
    return this.#count > 0 ? this.#heap[0]! : -1;
  }

  push(slot: number): void {
    if (this.#count === this.#heap.length) {
      const grown = new Int32Array(2 * this.#count);
      grown.set(this.#heap);
      this.#heap = grown;
    }
    this.#rise(slot, this.#count++);
  }

  /** Takes out a slot that is in this heap. */
  remove(slot: number): void {
    const place = this.#slots.links[3 * slot]!;
    const last = this.#heap[--this.#count]!;
    if (last === slot) return;
    if (place > 0 && this.#slots.isBefore(last, this.#heap[(place - 1) >> 2]!)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  #rise(slot: number, from: number): void {
    const heap = this.#heap;
    const slots = this.#slots;
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >> 2;
      const parent = heap[parentPlace]!;
      if (!slots.isBefore(slot, parent)) break;
      this.#put(parent, place);
      place = parentPlace;
    }
    this.#put(slot, place);
  }

  #sink(slot: number, from: number): void {
    const heap = this.#heap;
    const slots = this.#slots;
    const count = this.#count;
    let place = from;
    for (;;) {
      const firstChild = place * ARITY + 1;
      if (firstChild >= count) break;
      let leastPlace = firstChild;
      let least = heap[firstChild]!;
      const end = Math.min(firstChild + ARITY, count);
      for (let childPlace = firstChild + 1; childPlace < end; childPlace++) {
        const child = heap[childPlace]!;
        if (slots.isBefore(child, least)) {
          least = child;
          leastPlace = childPlace;
        }
      }
      if (!slots.isBefore(least, slot)) break;
      this.#put(least, place);
      place = leastPlace;
    }
    this.#put(slot, place);
  }

  #put(slot: number, place: number): void {
    this.#heap[place] = slot;
    this.#slots.links[3 * slot] = place;
  }
}
