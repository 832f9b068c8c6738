/** How a torrent's content falls into blocks, and the number by which each is known: its key. */
import type { Block } from '../wire/peer-messages.ts';
import { BLOCK_LENGTH } from './picks.ts';

export interface ContentSize {
  readonly pieceCount: number;
  /** Of every piece but the last, bytes. */
  readonly pieceLength: number;
  /** Of the whole content, bytes. */
  readonly length: number;
}

export class BlockLayout {
  readonly #size: ContentSize;
  /** Of every piece but the last. */
  readonly #blocksPerPiece: number;

  constructor(size: ContentSize) {
    this.#size = size;
    this.#blocksPerPiece = Math.ceil(size.pieceLength / BLOCK_LENGTH);
  }

  pieceLength(index: number): number {
    const { pieceCount, pieceLength, length } = this.#size;
    return index === pieceCount - 1 ? length - index * pieceLength : pieceLength;
  }

  /** `block` is its place in the piece. */
  key(index: number, block: number): number {
    return index * this.#blocksPerPiece + block;
  }

  pieceOf(key: number): number {
    return Math.floor(key / this.#blocksPerPiece);
  }

  placeOf(key: number): number {
    return key % this.#blocksPerPiece;
  }

  blockAt(key: number): Block {
    const index = this.pieceOf(key);
    const begin = this.placeOf(key) * BLOCK_LENGTH;
    return { index, begin, length: Math.min(BLOCK_LENGTH, this.pieceLength(index) - begin) };
  }

  /** The key of what a peer names; undefined if no block begins there. */
  keyOf({ index, begin }: Block): number | undefined {
    const block = begin / BLOCK_LENGTH;
    if (index >= this.#size.pieceCount || begin % BLOCK_LENGTH !== 0 || block >= this.#blocksPerPiece)
      return undefined;
    return this.key(index, block);
  }
}
