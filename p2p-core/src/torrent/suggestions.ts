/**
 * Which piece a seed would have each peer fetch from it: one that nobody near has, each told to one peer only.
 *
 * Left to themselves, several peers fetch the same rare piece from the seed at once, and while a seed is the
 * only source of something, every byte that it sends twice delays the whole swarm. It suggests
 * (BEP 6, "Suggest Piece") as far ahead as a peer asks; where that is not heeded, nothing is lost.
 */

/** Suggestions to one peer that it has not begun to ask for. */
const MAX_AHEAD = 32;

export interface SuggestionOptions {
  readonly pieceCount: number;
  /** How many of the connected peers that are no seeds have the piece. */
  readonly availability: (index: number) => number;
  /** In [0, 1): where to begin, so that two seeds do not suggest the same. */
  readonly chance: number;
}

export class Suggestions<P> {
  readonly #options: SuggestionOptions;
  /** Pieces suggested to each peer, and whether it has begun to ask for them. */
  readonly #suggested = new Map<P, Map<number, boolean>>();
  /** All of those. */
  readonly #promised = new Set<number>();
  #next: number;
  /** Everything is had or promised; not looked through again before `renew`. */
  #isExhausted = false;

  constructor(options: SuggestionOptions) {
    this.#options = options;
    this.#next = Math.floor(options.chance * options.pieceCount);
  }

  /** Pieces to suggest to `peer` now, so that it has `ahead` of them to go on with. */
  advise(peer: P, ahead: number): number[] {
    if (this.#isExhausted) return [];
    const own = this.#suggested.get(peer) ?? new Map<number, boolean>();
    let waiting = 0;
    for (const [index, isAsked] of own) {
      if (this.#options.availability(index) > 0) {
        own.delete(index);
        this.#promised.delete(index);
      } else if (!isAsked) waiting++;
    }
    const advice: number[] = [];
    for (; waiting < Math.min(ahead, MAX_AHEAD); waiting++) {
      const index = this.#find();
      if (index === undefined) break;
      own.set(index, false);
      this.#promised.add(index);
      advice.push(index);
    }
    if (own.size > 0) this.#suggested.set(peer, own);
    return advice;
  }

  /** The peer has asked for some of the piece. */
  asked(peer: P, index: number): void {
    const own = this.#suggested.get(peer);
    if (own?.has(index)) own.set(index, true);
  }

  /** The peer cannot ask any more: what it was suggested and has not got is free for others. */
  drop(peer: P): void {
    const own = this.#suggested.get(peer);
    if (own === undefined) return;
    for (const index of own.keys()) this.#promised.delete(index);
    this.#suggested.delete(peer);
    this.#isExhausted = false;
  }

  /** To be called now and then: peers may have left with pieces that nobody else has. */
  renew(): void {
    this.#isExhausted = false;
  }

  #find(): number | undefined {
    const { pieceCount, availability } = this.#options;
    for (let tried = 0; tried < pieceCount; tried++) {
      const index = this.#next;
      this.#next = (this.#next + 1) % pieceCount;
      if (availability(index) === 0 && !this.#promised.has(index)) return index;
    }
    this.#isExhausted = true;
    return undefined;
  }
}
