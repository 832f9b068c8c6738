/**
 * What is still to happen, in order of (time, sequence). A 4-ary heap whose entries know their place, so
 * that a cancelled timeout leaves at once: most timeouts are cancelled, and would otherwise pile up.
 */

export interface SimEvent {
  readonly timeMs: number;
  readonly sequence: number;
  readonly fire: () => void;
  /** Place in the heap; -1 once fired or removed. */
  place: number;
}

const ARITY = 4;

export class EventQueue {
  readonly #heap: SimEvent[] = [];
  #sequence = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Events of one time fire in the order they were added. What is due at infinity never comes. */
  add(timeMs: number, fire: () => void): SimEvent {
    const event: SimEvent = { timeMs, sequence: this.#sequence++, fire, place: this.#heap.length };
    if (timeMs === Number.POSITIVE_INFINITY) {
      event.place = -1;
      return event;
    }
    this.#heap.push(event);
    this.#rise(event);
    return event;
  }

  peek(): SimEvent | undefined {
    return this.#heap[0];
  }

  pop(): SimEvent | undefined {
    const first = this.#heap[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Harmless if the event has fired or was removed before. */
  remove(event: SimEvent): void {
    const place = event.place;
    if (place < 0) return;
    event.place = -1;
    const last = this.#heap.pop()!;
    if (last === event) return;
    last.place = place;
    this.#heap[place] = last;
    this.#rise(last);
    this.#sink(last);
  }

  #rise(event: SimEvent): void {
    const heap = this.#heap;
    let place = event.place;
    while (place > 0) {
      const parentPlace = (place - 1) >> 2;
      const parent = heap[parentPlace]!;
      if (!isBefore(event, parent)) break;
      heap[place] = parent;
      parent.place = place;
      place = parentPlace;
    }
    heap[place] = event;
    event.place = place;
  }

  #sink(event: SimEvent): void {
    const heap = this.#heap;
    const count = heap.length;
    let place = event.place;
    for (;;) {
      const firstChild = place * ARITY + 1;
      if (firstChild >= count) break;
      let leastPlace = firstChild;
      let least = heap[firstChild]!;
      const end = Math.min(firstChild + ARITY, count);
      for (let childPlace = firstChild + 1; childPlace < end; childPlace++) {
        const child = heap[childPlace]!;
        if (isBefore(child, least)) {
          least = child;
          leastPlace = childPlace;
        }
      }
      if (!isBefore(least, event)) break;
      heap[place] = least;
      least.place = place;
      place = leastPlace;
    }
    heap[place] = event;
    event.place = place;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
}
