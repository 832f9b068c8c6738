/**
 * What of the pieces being fetched is asked of whom, and has come. Which of them to ask for is the picker's.
 *
 * The life of a block: free → asked → arriving → done.
 */
import type { PieceBuffer } from '../host/host.ts';
import type { Block } from '../wire/peer-messages.ts';
import type { BlockLayout } from './block-layout.ts';
import {
  ARRIVING,
  type Arrival,
  ASKED,
  BLOCK_LENGTH,
  DONE,
  FREE,
  mayContribute,
  type PartialPiece,
  type PickerPeer,
  type Progress,
} from './picks.ts';
import type { RarityOrder } from './rarity-order.ts';

/** Blocks a peer may still deliver after we gave up on them, that are remembered. */
const MAX_LATE = 4096;

const NO_PROGRESS = {};

export interface BlockLedgerComponents<Owner> {
  readonly layout: BlockLayout;
  /** Loses the pieces that are begun, and gets back those that are given up. */
  readonly order: RarityOrder;
  readonly peers: ReadonlySet<PickerPeer<Owner>>;
  readonly allocate: (length: number) => PieceBuffer;
}

export class BlockLedger<Owner> {
  /** Grows when a block or a piece becomes free to be asked for, or room for a piece does. */
  freed = 0;
  readonly #parts: BlockLedgerComponents<Owner>;
  readonly #layout: BlockLayout;
  readonly #partials = new Map<number, PartialPiece<Owner>>();
  /** Those of #partials that have a free block. */
  readonly #open = new Set<PartialPiece<Owner>>();

  constructor(components: BlockLedgerComponents<Owner>) {
    this.#parts = components;
    this.#layout = components.layout;
  }

  /** Pieces begun and not complete, by index, in the order in which they were begun. */
  get partials(): ReadonlyMap<number, PartialPiece<Owner>> {
    return this.#partials;
  }

  /** Those of them that have a free block. */
  get open(): ReadonlySet<PartialPiece<Owner>> {
    return this.#open;
  }

  /** Begins a piece; where `solo` is given that peer alone may contribute. */
  begin(index: number, solo: PickerPeer<Owner> | undefined): PartialPiece<Owner> {
    this.#parts.order.delete(index);
    const length = this.#layout.pieceLength(index);
    const blocks = Math.ceil(length / BLOCK_LENGTH);
    const piece: PartialPiece<Owner> = {
      index,
      length,
      buffer: this.#parts.allocate(length),
      states: new Uint8Array(blocks),
      askers: new Uint8Array(blocks),
      freeCount: blocks,
      doneCount: 0,
      contributors: new Set(),
      solo,
    };
    this.#partials.set(index, piece);
    this.#open.add(piece);
    return piece;
  }

  /** Gives up the least complete piece that nobody is asked for: those who had its rest are gone. False if there is none. */
  evictIdle(): boolean {
    let idlest: PartialPiece<Owner> | undefined;
    for (const piece of this.#open) {
      const isIdle = piece.freeCount + piece.doneCount === piece.states.length;
      if (isIdle && (idlest === undefined || piece.doneCount < idlest.doneCount)) idlest = piece;
    }
    if (idlest === undefined) return false;
    this.#abandon(idlest);
    return true;
  }

  /** The peer is being asked for a block that is free, or asked of others. */
  ask(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>, block: number): Block {
    if (piece.states[block] === FREE) {
      piece.states[block] = ASKED;
      if (--piece.freeCount === 0) this.#open.delete(piece);
    }
    const key = this.#layout.key(piece.index, block);
    piece.askers[block]!++;
    peer.asked.add(key);
    peer.late?.delete(key);
    return blockOf(piece, block);
  }

  isAsked(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>, block: number): boolean {
    return peer.asked.has(this.#layout.key(piece.index, block));
  }

  // -------------------------------------------------------------- answers

  /** A block's header has come. If it is accepted, `arrived` or `abortArrival` must follow. */
  arriving(peer: PickerPeer<Owner>, header: Block): Arrival<Owner> {
    const { index, begin, length } = header;
    const key = this.#layout.keyOf(header);
    if (key === undefined) return { discard: 'unsolicited' };
    const wasAsked = peer.asked.delete(key);
    if (!wasAsked && peer.late?.delete(key) !== true) return { discard: 'unsolicited' };
    const piece = this.#partials.get(index);
    if (piece === undefined) return { discard: 'duplicate' };
    const block = begin / BLOCK_LENGTH;
    if (wasAsked) piece.askers[block]!--;
    if (piece.states[block]! > ASKED || !mayContribute(peer, piece)) return { discard: 'duplicate' };
    if (length !== blockLength(piece, begin)) {
      if (wasAsked) this.#freeIfUnasked(piece, block);
      return { discard: 'unsolicited' };
    }
    if (piece.states[block] === FREE && --piece.freeCount === 0) this.#open.delete(piece);
    piece.states[block] = ARRIVING;
    const arriving = { piece, block, length, buffer: piece.buffer, offset: begin };
    peer.arriving = arriving;
    return arriving;
  }

  /**
   * The block that was arriving from `peer` is in its buffer. Gives the piece if that completed it, which is
   * not the ledger's any more, and the peers that are to be told to cancel the block.
   */
  arrived(peer: PickerPeer<Owner>): Progress<Owner> {
    if (peer.arriving === undefined) return NO_PROGRESS;
    const { piece, block } = peer.arriving;
    peer.arriving = undefined;
    if (this.#partials.get(piece.index) !== piece) return NO_PROGRESS;
    piece.states[block] = DONE;
    piece.doneCount++;
    piece.contributors.add(peer);
    const cancel =
      piece.askers[block]! > 0
        ? { block: blockOf(piece, block), peers: this.#cancel(piece, block) }
        : undefined;
    if (piece.doneCount < piece.states.length) return cancel === undefined ? NO_PROGRESS : { cancel };
    this.#partials.delete(piece.index);
    return { complete: piece, cancel };
  }

  /** The connection broke off, or was told to discard, while a block was arriving. */
  abortArrival(peer: PickerPeer<Owner>): void {
    if (peer.arriving === undefined) return;
    const { piece, block } = peer.arriving;
    peer.arriving = undefined;
    if (this.#partials.get(piece.index) !== piece) return;
    piece.states[block] = ASKED;
    this.#freeIfUnasked(piece, block);
  }

  /** The peer will not serve this block. True if it had been asked to. */
  rejected(peer: PickerPeer<Owner>, block: Block): boolean {
    const key = this.#layout.keyOf(block);
    if (key === undefined) return false;
    peer.late?.delete(key);
    if (!peer.asked.delete(key)) return false;
    this.#release(peer, key);
    return true;
  }

  /** Waits no longer for anything asked of `peer`: others may be asked. What comes late is still taken. */
  releaseAll(peer: PickerPeer<Owner>): void {
    for (const key of peer.asked) {
      this.#release(peer, key);
      addLate(peer, key);
    }
    peer.asked.clear();
    for (const piece of this.#partials.values()) if (piece.solo === peer) this.#abandon(piece);
  }

  /** Drops what is in memory: the torrent ends. */
  close(): void {
    for (const piece of this.#partials.values()) piece.buffer.release();
    this.#partials.clear();
    this.#open.clear();
  }

  #cancel(piece: PartialPiece<Owner>, block: number): Owner[] {
    const key = this.#layout.key(piece.index, block);
    const told: Owner[] = [];
    for (const peer of this.#parts.peers) {
      if (!peer.asked.delete(key)) continue;
      addLate(peer, key);
      told.push(peer.owner);
    }
    piece.askers[block] = 0;
    return told;
  }

  #release(peer: PickerPeer<Owner>, key: number): void {
    const piece = this.#partials.get(this.#layout.pieceOf(key));
    if (piece === undefined) return;
    if (piece.solo === peer) {
      this.#abandon(piece);
      return;
    }
    const block = this.#layout.placeOf(key);
    if (piece.askers[block]! > 0) piece.askers[block]!--;
    this.#freeIfUnasked(piece, block);
  }

  #freeIfUnasked(piece: PartialPiece<Owner>, block: number): void {
    if (piece.states[block] !== ASKED || piece.askers[block]! > 0) return;
    piece.states[block] = FREE;
    piece.freeCount++;
    this.#open.add(piece);
    this.freed++;
  }

  /** Back to the start with a piece. Requests under way are forgotten; their blocks will be discarded. */
  #abandon(piece: PartialPiece<Owner>): void {
    this.#partials.delete(piece.index);
    this.#open.delete(piece);
    piece.buffer.release();
    this.#parts.order.insert(piece.index);
    this.freed++;
    const first = this.#layout.key(piece.index, 0);
    for (const peer of this.#parts.peers) {
      for (let block = 0; block < piece.states.length; block++) {
        if (peer.asked.delete(first + block)) addLate(peer, first + block);
      }
    }
  }
}

function addLate<Owner>(peer: PickerPeer<Owner>, key: number): void {
  peer.late ??= new Set();
  if (peer.late.size >= MAX_LATE) peer.late.clear();
  peer.late.add(key);
}

function blockOf<Owner>(piece: PartialPiece<Owner>, block: number): Block {
  const begin = block * BLOCK_LENGTH;
  return { index: piece.index, begin, length: blockLength(piece, begin) };
}

/** Of the block that begins there: the last of the last piece may be short. */
function blockLength(piece: { readonly length: number }, begin: number): number {
  return Math.min(BLOCK_LENGTH, piece.length - begin);
}
