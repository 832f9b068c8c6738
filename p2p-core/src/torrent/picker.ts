/**
 * Decides which block to ask of which peer. Pure: knows pieces, peers and what is under way between them (the
 * ledger's part), nothing of sockets or time.
 *
 * - Rarest first among pieces not begun; the first few pieces by chance instead, to have something to trade.
 * - What a peer suggests comes first: it knows that nobody else is about to have it.
 * - Of pieces about as rare those begun come first, so that few are in memory and each is soon complete and
 *   shareable; but a peer that has something rarer is asked for that, and not for what others have too.
 * - A block is asked of one peer only, until no block is left that nobody was asked for: then (end game)
 *   peers that have answered everything are asked too, for a few at a time, beginning with those that the
 *   first asked would send last; and whoever comes later is told to cancel.
 * - A piece that was corrupt though several peers had contributed is next fetched whole from one peer, so
 *   that the next failure names the culprit.
 *
 * The life of a piece: wanted → partial → storing → had.
 */
import type { PieceBuffer, Random } from '../host/host.ts';
import type { Block } from '../wire/peer-messages.ts';
import type { Bitfield } from './bitfield.ts';
import { BlockLayout, type ContentSize } from './block-layout.ts';
import { BlockLedger } from './block-ledger.ts';
import {
  type Arrival,
  ASKED,
  FREE,
  mayContribute,
  type PartialPiece,
  type PickerPeer,
  type Progress,
} from './picks.ts';
import { RarityOrder } from './rarity-order.ts';

/** Pieces that are chosen by chance before rarest first takes over. */
const RANDOM_FIRST_PIECES = 4;
/** How many peers may be asked for one block in the end game. */
const END_GAME_ASKERS = 2;
/** How many such blocks a peer is asked for at once: each may come twice, so not a whole pipeline of them. */
const END_GAME_BLOCKS = 4;
const MAX_SUGGESTED = 64;

export interface PickerOptions extends ContentSize {
  /** Most pieces in memory at once, being fetched or stored. At least 1. */
  readonly maxPieces: number;
}

export class Picker<Owner> {
  readonly #maxPieces: number;
  readonly #layout: BlockLayout;
  readonly #have: Bitfield;
  readonly #order: RarityOrder;
  readonly #peers = new Set<PickerPeer<Owner>>();
  readonly #ledger: BlockLedger<Owner>;
  readonly #storing = new Set<number>();
  readonly #wholeFromOne = new Set<number>();
  /** A piece was not begun for want of memory. */
  #isCrowded = false;

  /** `have` is shared: the picker sets the bits of the pieces that `stored` tells it of. */
  constructor(
    components: { random: Random; allocate: (length: number) => PieceBuffer; have: Bitfield },
    options: PickerOptions,
  ) {
    const { random, allocate, have } = components;
    this.#maxPieces = options.maxPieces;
    this.#have = have;
    this.#layout = new BlockLayout(options);
    this.#order = new RarityOrder(random, options.pieceCount);
    this.#ledger = new BlockLedger({
      layout: this.#layout,
      order: this.#order,
      peers: this.#peers,
      allocate,
    });
    for (let index = 0; index < options.pieceCount; index++) {
      if (!this.#have.has(index)) this.#order.insert(index);
    }
  }

  get isComplete(): boolean {
    return this.#have.isFull;
  }

  // -------------------------------------------------------------- peers

  /** `has` belongs to the picker from here on. */
  addPeer(owner: Owner, has: Bitfield): PickerPeer<Owner> {
    const peer: PickerPeer<Owner> = {
      owner,
      has,
      isChoking: true,
      allowedFast: undefined,
      suggested: undefined,
      asked: new Set(),
      late: undefined,
      dryAt: -1,
      interesting: 0,
      arriving: undefined,
    };
    this.#peers.add(peer);
    for (let index = 0; index < has.size; index++) {
      if (this.#have.has(index) || !has.has(index)) continue;
      peer.interesting++;
    }
    // Peers that have everything make no piece rarer than another: they are left out of the counting.
    if (!has.isFull) for (const index of has) this.#order.increment(index);
    return peer;
  }

  peerHas(peer: PickerPeer<Owner>, index: number): void {
    if (!peer.has.set(index)) return;
    if (!this.#have.has(index)) {
      peer.interesting++;
      peer.dryAt = -1;
    }
    if (peer.has.isFull) {
      for (let i = 0; i < peer.has.size; i++) if (i !== index) this.#order.decrement(i);
    } else {
      this.#order.increment(index);
    }
  }

  /** The peer has these too. */
  peerHasAll(peer: PickerPeer<Owner>, pieces: Bitfield): void {
    if (!pieces.isFull) {
      for (const index of pieces) this.peerHas(peer, index);
    } else if (!peer.has.isFull) {
      for (const index of peer.has) this.#order.decrement(index);
      peer.has.setAll();
      peer.interesting = this.#have.size - this.#have.count;
      peer.dryAt = -1;
    }
  }

  setChoking(peer: PickerPeer<Owner>, isChoking: boolean): void {
    peer.isChoking = isChoking;
    peer.dryAt = -1;
  }

  /** The peer serves this piece even while it chokes. */
  allow(peer: PickerPeer<Owner>, index: number): void {
    peer.allowedFast ??= new Set();
    peer.allowedFast.add(index);
    peer.dryAt = -1;
  }

  removePeer(peer: PickerPeer<Owner>): void {
    if (!this.#peers.has(peer)) return;
    this.abortArrival(peer);
    this.releaseAll(peer);
    this.#peers.delete(peer);
    if (!peer.has.isFull) for (const index of peer.has) this.#order.decrement(index);
  }

  // -------------------------------------------------------------- asking

  /** Adds to `out` up to `count` blocks to ask `peer` for, and counts them as asked. */
  pick(peer: PickerPeer<Owner>, count: number, out: Block[]): void {
    const until = out.length + count;
    while (out.length < until && peer.dryAt !== this.#ledger.freed) {
      const piece = this.#suggestion(peer) ?? this.#rarest(peer);
      if (piece === undefined) peer.dryAt = this.#ledger.freed;
      else this.#takeFree(peer, piece, until, out);
    }
    const isEndGame = this.#order.size === 0 && this.#ledger.open.size === 0;
    if (isEndGame && peer.asked.size === 0)
      this.#endGame(peer, Math.min(until, out.length + END_GAME_BLOCKS), out);
  }

  /** How many of the connected peers that are not seeds have the piece. */
  availability(index: number): number {
    return this.#order.availability(index);
  }

  /** The peer would have us fetch this piece from it. */
  suggested(peer: PickerPeer<Owner>, index: number): void {
    if (!peer.has.has(index) || this.#have.has(index)) return;
    peer.suggested ??= new Set();
    if (peer.suggested.size < MAX_SUGGESTED) peer.suggested.add(index);
  }

  #mayServe(peer: PickerPeer<Owner>, index: number): boolean {
    return peer.has.has(index) && (!peer.isChoking || peer.allowedFast?.has(index) === true);
  }

  /** A piece with a free block that the peer suggested; forgets the suggestions that are of no use any more. */
  #suggestion(peer: PickerPeer<Owner>): PartialPiece<Owner> | undefined {
    if (peer.suggested === undefined) return undefined;
    for (const index of peer.suggested) {
      const piece = this.#ledger.partials.get(index);
      if (piece === undefined ? !this.#order.has(index) : piece.freeCount === 0) {
        peer.suggested.delete(index);
        continue;
      }
      if (!this.#mayServe(peer, index)) continue;
      if (piece === undefined) return this.#begin(peer, index);
      if (mayContribute(peer, piece)) return piece;
    }
    return undefined;
  }

  /** The rarest piece that the peer can serve; of those about as rare one that is begun. */
  #rarest(peer: PickerPeer<Owner>): PartialPiece<Owner> | undefined {
    let begun: PartialPiece<Owner> | undefined;
    let begunRarity = Infinity;
    for (const piece of this.#ledger.open) {
      if (!this.#mayServe(peer, piece.index) || !mayContribute(peer, piece)) continue;
      const rarity = rarityClass(this.#order.availability(piece.index));
      if (rarity < begunRarity) [begun, begunRarity] = [piece, rarity];
    }
    const isFirst = this.#have.count < RANDOM_FIRST_PIECES;
    if ((begun !== undefined && isFirst) || peer.interesting === 0 || this.#order.size === 0) return begun;
    const serves = (index: number) => this.#mayServe(peer, index);
    const index = isFirst ? this.#order.random(serves) : this.#order.rarest(serves, peer.has.isFull ? 0 : 1);
    if (index === undefined || begunRarity <= rarityClass(this.#order.availability(index))) return begun;
    return this.#begin(peer, index) ?? begun;
  }

  #begin(peer: PickerPeer<Owner>, index: number): PartialPiece<Owner> | undefined {
    if (this.#ledger.partials.size + this.#storing.size >= this.#maxPieces && !this.#ledger.evictIdle()) {
      this.#isCrowded = true;
      return undefined;
    }
    return this.#ledger.begin(index, this.#wholeFromOne.has(index) ? peer : undefined);
  }

  #takeFree(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>, until: number, out: Block[]): void {
    let block = piece.states.indexOf(FREE);
    while (block >= 0 && out.length < until) {
      out.push(this.#ledger.ask(peer, piece, block));
      block = piece.states.indexOf(FREE, block + 1);
    }
  }

  #endGame(peer: PickerPeer<Owner>, until: number, out: Block[]): void {
    for (const piece of [...this.#ledger.partials.values()].reverse()) {
      if (piece.solo !== undefined || !this.#mayServe(peer, piece.index)) continue;
      for (let block = piece.states.length - 1; block >= 0 && out.length < until; block--) {
        const mayAsk = piece.states[block] === ASKED && piece.askers[block]! < END_GAME_ASKERS;
        if (mayAsk && !this.#ledger.isAsked(peer, piece, block))
          out.push(this.#ledger.ask(peer, piece, block));
      }
    }
  }

  /** The block that a key of `PickerPeer.asked` stands for. */
  blockAt(key: number): Block {
    return this.#layout.blockAt(key);
  }

  // -------------------------------------------------------------- answers

  /** A block's header has come. If it is accepted, `arrived` or `abortArrival` must follow. */
  arriving(peer: PickerPeer<Owner>, header: Block): Arrival<Owner> {
    return this.#ledger.arriving(peer, header);
  }

  /**
   * The block that was arriving from `peer` is in its buffer. Gives the piece if that completed it (it is
   * then the caller's to store and to report by `stored`, `corrupt` or `lost`), and the peers that are
   * to be told to cancel the block.
   */
  arrived(peer: PickerPeer<Owner>): Progress<Owner> {
    const progress = this.#ledger.arrived(peer);
    if (progress.complete !== undefined) this.#storing.add(progress.complete.index);
    return progress;
  }

  /** The connection broke off, or was told to discard, while a block was arriving. */
  abortArrival(peer: PickerPeer<Owner>): void {
    this.#ledger.abortArrival(peer);
  }

  /** The peer will not serve this block. True if it had been asked to. */
  rejected(peer: PickerPeer<Owner>, block: Block): boolean {
    return this.#ledger.rejected(peer, block);
  }

  /** Waits no longer for anything asked of `peer`: others may be asked. What comes late is still taken. */
  releaseAll(peer: PickerPeer<Owner>): void {
    this.#ledger.releaseAll(peer);
  }

  /** What we gave up on will not come after all. */
  forgetLate(peer: PickerPeer<Owner>): void {
    peer.late = undefined;
  }

  // -------------------------------------------------------------- pieces

  /** The piece is on disk and verified. True if others may be begun now that could not before. */
  stored(piece: PartialPiece<Owner>): boolean {
    const isRoomier = this.#isCrowded;
    this.#finished(piece);
    this.#wholeFromOne.delete(piece.index);
    if (this.#have.set(piece.index)) {
      for (const peer of this.#peers) if (peer.has.has(piece.index)) peer.interesting--;
    }
    return isRoomier;
  }

  /** The piece's hash is wrong. Gives who contributed; if it was only one, that peer is to blame. */
  corrupt(piece: PartialPiece<Owner>): PickerPeer<Owner>[] {
    this.lost(piece);
    if (piece.contributors.size > 1) this.#wholeFromOne.add(piece.index);
    return [...piece.contributors];
  }

  /** The piece could not be stored; it is wanted again. */
  lost(piece: PartialPiece<Owner>): void {
    this.#finished(piece);
    this.#order.insert(piece.index);
    this.#ledger.freed++;
  }

  #finished(piece: PartialPiece<Owner>): void {
    this.#storing.delete(piece.index);
    if (this.#isCrowded) this.#ledger.freed++;
    this.#isCrowded = false;
  }

  /** Drops what is in memory: the torrent ends. */
  close(): void {
    this.#ledger.close();
  }
}

/** Pieces of one class are about as rare: had by none, one, two or three, four to seven peers, and so on. */
function rarityClass(availability: number): number {
  return 32 - Math.clz32(availability);
}
