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

/** The pieces suggested to a peer: those that it has not begun to ask for, and those that it has. */
interface Advised {
  readonly ahead: Set<number>;
  readonly asked: Set<number>;
}

export class Suggestions<P> {
  readonly #options: SuggestionOptions;
  readonly #peers = new Map<P, Advised>();
  /** Suggested to some peer, and not known to be anywhere but here. */
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
    let advised = this.#peers.get(peer);
    if (advised === undefined) {
      advised = { ahead: new Set(), asked: new Set() };
      this.#peers.set(peer, advised);
    }
    this.#prune(advised.ahead);
    const advice: number[] = [];
    while (advised.ahead.size < Math.min(ahead, MAX_AHEAD)) {
      const index = this.#find();
      if (index === undefined) break;
      advised.ahead.add(index);
      this.#promised.add(index);
      advice.push(index);
    }
    return advice;
  }

  /** The peer has asked for some of the piece. */
  asked(peer: P, index: number): void {
    const advised = this.#peers.get(peer);
    if (advised?.ahead.delete(index)) advised.asked.add(index);
  }

  /** The peer cannot ask any more: what it was suggested and has not got is free for others. */
  drop(peer: P): void {
    const advised = this.#peers.get(peer);
    if (advised === undefined) return;
    for (const index of advised.ahead) this.#promised.delete(index);
    for (const index of advised.asked) this.#promised.delete(index);
    this.#peers.delete(peer);
    this.#isExhausted = false;
  }

  /** To be called now and then: peers may have left with pieces that nobody else has. */
  renew(): void {
    this.#isExhausted = false;
    for (const { asked } of this.#peers.values()) this.#prune(asked);
  }

  /** Forgets what somebody has by now. */
  #prune(pieces: Set<number>): void {
    for (const index of pieces) {
      if (this.#options.availability(index) === 0) continue;
      pieces.delete(index);
      this.#promised.delete(index);
    }
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
