/** What a peer says of its pieces before it is known how many there are: kept as it was said, within limits. */
import { Bitfield } from './bitfield.ts';

/** Pieces that may be claimed or allowed before it is known how many there are. */
const MAX_EARLY_PIECES = 1 << 20;

export class EarlyClaims {
  isChoking = true;
  #claim: boolean | Uint8Array = false;
  #haves: Bitfield | undefined;
  readonly allowedFast = new Set<number>();

  /** The peer is a seed, as far as it has said. */
  get isSeed(): boolean {
    return this.#claim === true;
  }

  /** All of a torrent, nothing, or a bitfield, which is copied. */
  claim(claim: boolean | Uint8Array): void {
    this.#claim = typeof claim === 'boolean' ? claim : claim.slice();
  }

  have(index: number): void {
    if (index >= MAX_EARLY_PIECES) return;
    this.#haves ??= new Bitfield(MAX_EARLY_PIECES);
    this.#haves.set(index);
  }

  /** At most `most` of them are kept. */
  allow(index: number, most: number): void {
    if (index < MAX_EARLY_PIECES && this.allowedFast.size < most) this.allowedFast.add(index);
  }

  /** What it amounts to in a torrent of so many pieces; undefined if that is not the bitfield's size. */
  resolve(pieceCount: number): Bitfield | undefined {
    const has = claimed(this.#claim, pieceCount);
    for (const index of has === undefined ? [] : (this.#haves ?? [])) {
      if (index >= pieceCount) break;
      has!.set(index);
    }
    return has;
  }
}

/** The pieces that a claim (all, none, or a bitfield's bytes) stands for; undefined if the bitfield is not of this size. */
export function claimed(claim: boolean | Uint8Array, pieceCount: number): Bitfield | undefined {
  if (claim === true) return Bitfield.full(pieceCount);
  if (claim === false) return new Bitfield(pieceCount);
  return Bitfield.from(claim, pieceCount);
}
