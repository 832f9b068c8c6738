/**
 * Decides which block to ask of which peer. Pure: knows pieces, peers and what is under way between them,
 * nothing of sockets or time.
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
 * The life of a block: free → asked → arriving → done; of a piece: wanted → partial → storing → had.
 */
import type { PieceBuffer, Random } from '../host/host.ts';
import type { Block } from '../wire/peer-messages.ts';
import type { Bitfield } from './bitfield.ts';
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
import { RarityOrder } from './rarity-order.ts';

/** Pieces that are chosen by chance before rarest first takes over. */
const RANDOM_FIRST_PIECES = 4;
/** How many peers may be asked for one block in the end game. */
const END_GAME_ASKERS = 2;
/** How many such blocks a peer is asked for at once: each may come twice, so not a whole pipeline of them. */
const END_GAME_BLOCKS = 4;
/** Blocks a peer may still deliver after we gave up on them, that are remembered. */
const MAX_LATE = 4096;

const MAX_SUGGESTED = 64;

export interface PickerOptions {
  readonly pieceCount: number;
  readonly pieceLength: number;
  /** Of the whole content, bytes. */
  readonly length: number;
  /** Most pieces in memory at once, being fetched or stored. At least 1. */
  readonly maxPieces: number;
}

const NO_PROGRESS = {};

export class Picker<Owner> {
  readonly #options: PickerOptions;
  readonly #allocate: (length: number) => PieceBuffer;
  readonly #blocksPerPiece: number;
  readonly #have: Bitfield;
  readonly #order: RarityOrder;
  readonly #peers = new Set<PickerPeer<Owner>>();
  readonly #partials = new Map<number, PartialPiece<Owner>>();
  /** Those of #partials that have a free block. */
  readonly #open = new Set<PartialPiece<Owner>>();
  readonly #storing = new Set<number>();
  readonly #wholeFromOne = new Set<number>();
  /** Grows when a block or a piece becomes free to be asked for, or room for a piece does. */
  #freed = 0;
  /** A piece was not begun for want of memory. */
  #isCrowded = false;

  /** `have` is shared: the picker sets the bits of the pieces that `stored` tells it of. */
  constructor(
    components: { random: Random; allocate: (length: number) => PieceBuffer; have: Bitfield },
    options: PickerOptions,
  ) {
    this.#options = options;
    this.#allocate = components.allocate;
    this.#have = components.have;
    this.#blocksPerPiece = Math.ceil(options.pieceLength / BLOCK_LENGTH);
    this.#order = new RarityOrder(components.random, options.pieceCount);
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
    while (out.length < until && peer.dryAt !== this.#freed) {
      const piece = this.#suggestion(peer) ?? this.#rarest(peer);
      if (piece === undefined) peer.dryAt = this.#freed;
      else this.#takeFree(peer, piece, until, out);
    }
    const isEndGame = this.#order.size === 0 && this.#open.size === 0;
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
      const piece = this.#partials.get(index);
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
    for (const piece of this.#open) {
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
    if (this.#partials.size + this.#storing.size >= this.#options.maxPieces && !this.#evictIdle()) {
      this.#isCrowded = true;
      return undefined;
    }
    this.#order.delete(index);
    const length = this.#pieceLength(index);
    const blocks = Math.ceil(length / BLOCK_LENGTH);
    const piece: PartialPiece<Owner> = {
      index,
      length,
      buffer: this.#allocate(length),
      states: new Uint8Array(blocks),
      askers: new Uint8Array(blocks),
      freeCount: blocks,
      doneCount: 0,
      contributors: new Set(),
      solo: this.#wholeFromOne.has(index) ? peer : undefined,
    };
    this.#partials.set(index, piece);
    this.#open.add(piece);
    return piece;
  }

  /** Gives up the least complete piece that nobody is asked for: those who had its rest are gone. */
  #evictIdle(): boolean {
    let idlest: PartialPiece<Owner> | undefined;
    for (const piece of this.#open) {
      const isIdle = piece.freeCount + piece.doneCount === piece.states.length;
      if (isIdle && (idlest === undefined || piece.doneCount < idlest.doneCount)) idlest = piece;
    }
    if (idlest === undefined) return false;
    this.#abandon(idlest);
    return true;
  }

  #takeFree(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>, until: number, out: Block[]): void {
    let block = piece.states.indexOf(FREE);
    while (block >= 0 && out.length < until) {
      this.#ask(peer, piece, block, out);
      block = piece.states.indexOf(FREE, block + 1);
    }
  }

  #ask(peer: PickerPeer<Owner>, piece: PartialPiece<Owner>, block: number, out: Block[]): void {
    if (piece.states[block] === FREE) {
      piece.states[block] = ASKED;
      if (--piece.freeCount === 0) this.#open.delete(piece);
    }
    const key = piece.index * this.#blocksPerPiece + block;
    piece.askers[block]!++;
    peer.asked.add(key);
    peer.late?.delete(key);
    out.push(this.#blockOf(piece, block));
  }

  #endGame(peer: PickerPeer<Owner>, until: number, out: Block[]): void {
    for (const piece of [...this.#partials.values()].reverse()) {
      if (piece.solo !== undefined || !this.#mayServe(peer, piece.index)) continue;
      for (let block = piece.states.length - 1; block >= 0 && out.length < until; block--) {
        const mayAsk = piece.states[block] === ASKED && piece.askers[block]! < END_GAME_ASKERS;
        if (mayAsk && !peer.asked.has(piece.index * this.#blocksPerPiece + block)) {
          this.#ask(peer, piece, block, out);
        }
      }
    }
  }

  /** The block that a key of `PickerPeer.asked` stands for. */
  blockAt(key: number): Block {
    const index = Math.floor(key / this.#blocksPerPiece);
    const begin = (key % this.#blocksPerPiece) * BLOCK_LENGTH;
    return { index, begin, length: Math.min(BLOCK_LENGTH, this.#pieceLength(index) - begin) };
  }

  // -------------------------------------------------------------- answers

  /** A block's header has come. If it is accepted, `arrived` or `abortArrival` must follow. */
  arriving(peer: PickerPeer<Owner>, { index, begin, length }: Block): Arrival<Owner> {
    const block = begin / BLOCK_LENGTH;
    if (index >= this.#options.pieceCount || begin % BLOCK_LENGTH !== 0 || block >= this.#blocksPerPiece) {
      return { discard: 'unsolicited' };
    }
    const key = index * this.#blocksPerPiece + block;
    const wasAsked = peer.asked.delete(key);
    if (!wasAsked && peer.late?.delete(key) !== true) return { discard: 'unsolicited' };
    const piece = this.#partials.get(index);
    if (piece === undefined) return { discard: 'duplicate' };
    if (wasAsked) piece.askers[block]!--;
    const isWelcome = piece.states[block]! <= ASKED && (piece.solo === undefined || piece.solo === peer);
    if (!isWelcome) return { discard: 'duplicate' };
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
   * The block that was arriving from `peer` is in its buffer. Gives the piece if that completed it (it is
   * then the caller's to store and to report by `stored`, `corrupt` or `lost`), and the peers that are
   * to be told to cancel the block.
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
        ? { block: this.#blockOf(piece, block), peers: this.#cancel(piece, block) }
        : undefined;
    if (piece.doneCount < piece.states.length) return cancel === undefined ? NO_PROGRESS : { cancel };
    this.#partials.delete(piece.index);
    this.#storing.add(piece.index);
    return { complete: piece, cancel };
  }

  #cancel(piece: PartialPiece<Owner>, block: number): Owner[] {
    const key = piece.index * this.#blocksPerPiece + block;
    const told: Owner[] = [];
    for (const peer of this.#peers) {
      if (!peer.asked.delete(key)) continue;
      this.#addLate(peer, key);
      told.push(peer.owner);
    }
    piece.askers[block] = 0;
    return told;
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
  rejected(peer: PickerPeer<Owner>, { index, begin }: Block): boolean {
    const block = begin / BLOCK_LENGTH;
    if (index >= this.#options.pieceCount || !Number.isInteger(block) || block >= this.#blocksPerPiece)
      return false;
    const key = index * this.#blocksPerPiece + block;
    peer.late?.delete(key);
    if (!peer.asked.delete(key)) return false;
    this.#release(peer, key);
    return true;
  }

  /** Waits no longer for anything asked of `peer`: others may be asked. What comes late is still taken. */
  releaseAll(peer: PickerPeer<Owner>): void {
    for (const key of peer.asked) {
      this.#release(peer, key);
      this.#addLate(peer, key);
    }
    peer.asked.clear();
    for (const piece of this.#partials.values()) if (piece.solo === peer) this.#abandon(piece);
  }

  /** What we gave up on will not come after all. */
  forgetLate(peer: PickerPeer<Owner>): void {
    peer.late = undefined;
  }

  #addLate(peer: PickerPeer<Owner>, key: number): void {
    peer.late ??= new Set();
    if (peer.late.size >= MAX_LATE) peer.late.clear();
    peer.late.add(key);
  }

  #release(peer: PickerPeer<Owner>, key: number): void {
    const index = Math.floor(key / this.#blocksPerPiece);
    const piece = this.#partials.get(index);
    if (piece === undefined) return;
    if (piece.solo === peer) {
      this.#abandon(piece);
      return;
    }
    const block = key % this.#blocksPerPiece;
    if (piece.askers[block]! > 0) piece.askers[block]!--;
    this.#freeIfUnasked(piece, block);
  }

  #freeIfUnasked(piece: PartialPiece<Owner>, block: number): void {
    if (piece.states[block] !== ASKED || piece.askers[block]! > 0) return;
    piece.states[block] = FREE;
    piece.freeCount++;
    this.#open.add(piece);
    this.#freed++;
  }

  /** Back to the start with a piece. Requests under way are forgotten; their blocks will be discarded. */
  #abandon(piece: PartialPiece<Owner>): void {
    this.#partials.delete(piece.index);
    this.#open.delete(piece);
    piece.buffer.release();
    this.#order.insert(piece.index);
    this.#freed++;
    const first = piece.index * this.#blocksPerPiece;
    for (const peer of this.#peers) {
      for (let block = 0; block < piece.states.length; block++) {
        if (peer.asked.delete(first + block)) this.#addLate(peer, first + block);
      }
    }
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
    this.#freed++;
  }

  #finished(piece: PartialPiece<Owner>): void {
    this.#storing.delete(piece.index);
    if (this.#isCrowded) this.#freed++;
    this.#isCrowded = false;
  }

  /** Drops what is in memory: the torrent ends. */
  close(): void {
    for (const piece of this.#partials.values()) piece.buffer.release();
    this.#partials.clear();
    this.#open.clear();
  }

  #pieceLength(index: number): number {
    const { pieceCount, pieceLength, length } = this.#options;
    return index === pieceCount - 1 ? length - index * pieceLength : pieceLength;
  }

  #blockOf(piece: PartialPiece<Owner>, block: number): Block {
    const begin = block * BLOCK_LENGTH;
    return { index: piece.index, begin, length: blockLength(piece, begin) };
  }
}

/** Of the block that begins there: the last of the last piece may be short. */
function blockLength(piece: { readonly length: number }, begin: number): number {
  return Math.min(BLOCK_LENGTH, piece.length - begin);
}

/** Pieces of one class are about as rare: had by none, one, two or three, four to seven peers, and so on. */
function rarityClass(availability: number): number {
  return 32 - Math.clz32(availability);
}
