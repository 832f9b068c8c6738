/**
 * Pieces in order of how few peers have them, kept sorted while peers come and go.
 *
 * One array holds the pieces grouped in buckets by availability; a piece changes bucket by swapping with
 * its bucket's border, so a `have` costs O(1) and taking a piece out O(buckets). Within a bucket the order
 * is random, so that peers of one swarm do not all fetch the same piece.
 */
import type { Random } from '../host/host.ts';

export class RarityOrder {
  readonly #random: Random;
  readonly #pieces: Uint32Array;
  /** Place of each piece in #pieces, -1 for those taken out. */
  readonly #place: Int32Array;
  readonly #availability: Uint32Array;
  /** #ends[a] is where the bucket of availability `a` ends in #pieces. The last is the number of pieces held. */
  readonly #ends: number[] = [0];

  /** Starts empty; `insert` the pieces that are wanted. */
  constructor(random: Random, pieceCount: number) {
    this.#random = random;
    this.#pieces = new Uint32Array(pieceCount);
    this.#place = new Int32Array(pieceCount).fill(-1);
    this.#availability = new Uint32Array(pieceCount);
  }

  get size(): number {
    return this.#ends.at(-1)!;
  }

  has(piece: number): boolean {
    return this.#place[piece]! >= 0;
  }

  availability(piece: number): number {
    return this.#availability[piece]!;
  }

  insert(piece: number): void {
    if (this.has(piece)) return;
    const own = this.#availability[piece]!;
    while (this.#ends.length <= own) this.#ends.push(this.size);
    let place = this.size;
    this.#put(piece, place);
    for (let bucket = this.#ends.length - 1; bucket > own; bucket--) {
      this.#ends[bucket]!++;
      place = this.#swap(place, this.#ends[bucket - 1]!);
    }
    this.#ends[own]!++;
    const start = own === 0 ? 0 : this.#ends[own - 1]!;
    this.#swap(place, start + Math.floor(this.#random.float() * (place - start + 1)));
  }

  delete(piece: number): void {
    let place = this.#place[piece]!;
    if (place < 0) return;
    for (let bucket = this.#availability[piece]!; bucket < this.#ends.length; bucket++) {
      place = this.#swap(place, --this.#ends[bucket]!);
    }
    this.#place[piece] = -1;
  }

  /** One more peer has the piece. */
  increment(piece: number): void {
    const bucket = this.#availability[piece]!++;
    const place = this.#place[piece]!;
    if (place < 0) return;
    if (bucket + 1 === this.#ends.length) this.#ends.push(this.size);
    this.#swap(place, --this.#ends[bucket]!);
  }

  /** One peer fewer has it. */
  decrement(piece: number): void {
    const bucket = this.#availability[piece]!--;
    const place = this.#place[piece]!;
    if (place < 0) return;
    this.#swap(place, this.#ends[bucket - 1]!++);
  }

  /** The rarest piece that `accepts` takes, leaving out those below `leastAvailability`; undefined if none is. */
  rarest(accepts: (piece: number) => boolean, leastAvailability = 0): number | undefined {
    const from = leastAvailability === 0 ? 0 : (this.#ends[leastAvailability - 1] ?? this.size);
    for (let place = from; place < this.size; place++) {
      const piece = this.#pieces[place]!;
      if (accepts(piece)) return piece;
    }
    return undefined;
  }

  /** Any piece that `accepts` takes, chosen by chance. */
  random(accepts: (piece: number) => boolean): number | undefined {
    const size = this.size;
    const start = Math.floor(this.#random.float() * size);
    for (let i = 0; i < size; i++) {
      const piece = this.#pieces[(start + i) % size]!;
      if (accepts(piece)) return piece;
    }
    return undefined;
  }

  #put(piece: number, place: number): void {
    this.#pieces[place] = piece;
    this.#place[piece] = place;
  }

  /** Exchanges what stands at two places; returns the second. */
  #swap(from: number, to: number): number {
    const moved = this.#pieces[from]!;
    this.#put(this.#pieces[to]!, from);
    this.#put(moved, to);
    return to;
  }
}
