/**
 * What the picker remembers: of each peer what it has and was asked for, of each piece that is being fetched
 * how far each block is.
 */
import type { PieceBuffer } from '../host/host.ts';
import type { Block } from '../wire/peer-messages.ts';
import type { Bitfield } from './bitfield.ts';

export const BLOCK_LENGTH = 16 * 1024;

/** The life of a block. */
export const FREE = 0;
export const ASKED = 1;
export const ARRIVING = 2;
export const DONE = 3;

/** What the picker keeps for a peer. `owner` is the caller's. */
export interface PickerPeer<Owner> {
  readonly owner: Owner;
  readonly has: Bitfield;
  /** It serves requests. While it does not, only the pieces in `allowedFast` are asked for. */
  isChoking: boolean;
  allowedFast: Set<number> | undefined;
  /** Pieces that it would have us fetch from it, and we want. */
  suggested: Set<number> | undefined;
  /** Blocks asked for and not answered, oldest first, by key. */
  readonly asked: Set<number>;
  /** Blocks we gave up waiting for, which are still welcome should they come. */
  late: Set<number> | undefined;
  /** The ledger's `freed` when nothing was left to ask it for; -1 once that is worth asking again. */
  dryAt: number;
  /** How many pieces it has that we have not. */
  interesting: number;
  arriving: ArrivingBlock<Owner> | undefined;
}

/** A block whose header has come, and where its bytes go. */
export interface ArrivingBlock<Owner> {
  readonly piece: PartialPiece<Owner>;
  /** Its place in the piece, in blocks. */
  readonly block: number;
  readonly length: number;
  readonly buffer: PieceBuffer;
  readonly offset: number;
  readonly discard?: undefined;
}

export interface PartialPiece<Owner> {
  readonly index: number;
  readonly length: number;
  readonly buffer: PieceBuffer;
  readonly states: Uint8Array;
  /** How many peers are asked for each block. */
  readonly askers: Uint8Array;
  freeCount: number;
  doneCount: number;
  readonly contributors: Set<PickerPeer<Owner>>;
  /** The only peer that may contribute. */
  readonly solo: PickerPeer<Owner> | undefined;
}

export function mayContribute<Owner>(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>): boolean {
  return piece.solo === undefined || piece.solo === peer;
}

/** An arriving block; `discard` says why it goes nowhere. */
export type Arrival<Owner> = ArrivingBlock<Owner> | { readonly discard: 'duplicate' | 'unsolicited' };

/** What comes of a block that is there: a complete piece, others to be told that they need not send it. */
export interface Progress<Owner> {
  readonly complete?: PartialPiece<Owner>;
  readonly cancel?: { readonly block: Block; readonly peers: readonly Owner[] };
}
