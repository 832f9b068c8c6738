/**
 * What a torrent asks of its peers: keeps each peer's pipeline of requests full within the limits, leads
 * arriving blocks to their buffers, has complete pieces stored, and finds out who sent wrong ones.
 */
import type { Clock, HostError, Timer } from '../host/host.ts';
import { type Block, encodeBlocks } from '../wire/peer-messages.ts';
import type { Peer } from './peer.ts';
import type { Picker } from './picker.ts';
import type { Arrival, PartialPiece } from './picks.ts';
import type { PieceStore } from './piece-store.ts';
import { type RateLimit, RateMeter } from './rate.ts';

/** Silence after which the blocks asked of a peer are asked of others. */
const SNUB_MS = 20_000;
/** A peer that takes longer for one block holds it, and its piece, hostage: 16 KiB at 550 bytes per second. */
const STUCK_MS = 30_000;
/** Requests are sent when at least this part of the pipeline is empty, so that they go in batches. */
const REFILL_PART = 4;
const MAX_REFILL_BLOCKS = 64;

export interface DownloadEvents {
  onVerified(index: number): void;
  /** `culprits` have nobody else to share the blame with. */
  onCorrupt(index: number, culprits: readonly Peer[]): void;
  /** A piece could not be stored; it is kept for `resume`. */
  onStoreError(error: HostError): void;
}

export interface DownloadComponents {
  readonly clock: Clock;
  readonly picker: Picker<Peer>;
  readonly store: PieceStore;
  readonly limit: RateLimit;
  readonly events: DownloadEvents;
}

export class Downloads {
  readonly meter: RateMeter;
  /** Bytes that came twice, or that nobody asked for. */
  wastedBytes = 0;
  corruptBytes = 0;
  readonly #parts: DownloadComponents;
  readonly #peers = new Set<Peer>();
  readonly #unstored: PartialPiece<Peer>[] = [];
  #storing = 0;
  #limitTimer: Timer | undefined;
  #isPaused = false;
  #isClosed = false;
  #whenIdle: (() => void)[] = [];

  constructor(components: DownloadComponents) {
    this.#parts = components;
    this.meter = new RateMeter(components.clock.now());
  }

  addPeer(peer: Peer): void {
    this.#peers.add(peer);
  }

  removePeer(peer: Peer): void {
    if (!this.#peers.delete(peer)) return;
    this.#parts.picker.removePeer(peer.picks!);
    this.fillAll();
  }

  // -------------------------------------------------------------- requests

  /** Asks `peer` for as much as its pipeline holds. */
  fill(peer: Peer): void {
    const picks = peer.picks!;
    const mayAsk = peer.amInterested && (!picks.isChoking || picks.allowedFast !== undefined);
    if (!mayAsk || this.#isPaused || this.#isClosed || peer.connection.isClosed) return;
    const room = peer.pipeline.depth - picks.asked.size;
    if (room < Math.min(MAX_REFILL_BLOCKS, Math.ceil(peer.pipeline.depth / REFILL_PART))) return;
    const blocks: Block[] = [];
    if (picks.asked.size === 0) peer.lastBlockMs = this.#parts.clock.now();
    if (this.#parts.limit.isUnlimited) this.#parts.picker.pick(picks, room, blocks);
    else this.#pickWithinLimit(peer, room, blocks);
    if (blocks.length > 0) peer.connection.sendBytes(encodeBlocks('request', blocks));
  }

  #pickWithinLimit(peer: Peer, room: number, blocks: Block[]): void {
    const { limit, clock, picker } = this.#parts;
    while (blocks.length < room) {
      const waitMs = limit.waitMs(clock.now());
      if (waitMs > 0) {
        this.#limitTimer ??= clock.setTimer(waitMs, () => this.#limitLifted());
        return;
      }
      const before = blocks.length;
      picker.pick(peer.picks!, 1, blocks);
      if (blocks.length === before) return;
      limit.spend(blocks.at(-1)!.length);
    }
  }

  #limitLifted(): void {
    this.#limitTimer = undefined;
    this.fillAll();
    // Whoever was first this time is last the next.
    const [first] = this.#peers;
    if (first !== undefined) {
      this.#peers.delete(first);
      this.#peers.add(first);
    }
  }

  fillAll(): void {
    for (const peer of this.#peers) this.fill(peer);
  }

  /** What was asked of the peer will not come: it choked us. */
  choked(peer: Peer): void {
    // With the fast extension each request is still answered, by a block or a reject (BEP 6).
    if (peer.connection.isFast) return;
    this.#parts.picker.releaseAll(peer.picks!);
    this.#parts.picker.forgetLate(peer.picks!);
    this.fillAll();
  }

  rejected(peer: Peer, block: Block): void {
    if (!this.#parts.picker.rejected(peer.picks!, block)) return;
    this.#parts.limit.spend(-block.length);
    for (const other of this.#peers) if (other !== peer) this.fill(other);
  }

  // -------------------------------------------------------------- blocks

  arriving(peer: Peer, block: Block): Arrival<Peer> {
    const arrival = this.#isClosed
      ? ({ discard: 'duplicate' } as const)
      : this.#parts.picker.arriving(peer.picks!, block);
    if (arrival.discard !== undefined) {
      this.wastedBytes += block.length;
      peer.blockDropped(block.length);
    } else {
      peer.blockBegunMs = this.#parts.clock.now();
    }
    return arrival;
  }

  arrived(peer: Peer): void {
    const { clock, picker } = this.#parts;
    const nowMs = clock.now();
    const length = peer.picks!.arriving?.length ?? 0;
    this.meter.add(length, nowMs);
    peer.blockReceived(length, nowMs);
    const { complete, cancel } = picker.arrived(peer.picks!);
    for (const other of cancel?.peers ?? []) {
      other.connection.sendBytes(encodeBlocks('cancel', [cancel!.block]));
    }
    if (complete !== undefined) void this.#store(complete);
    this.fill(peer);
  }

  async #store(piece: PartialPiece<Peer>): Promise<void> {
    const { picker, store, events } = this.#parts;
    this.#storing++;
    let isMoreToAsk = true;
    try {
      const outcome = await store.store(piece.index, piece.buffer);
      piece.buffer.release();
      if (outcome === 'stored') {
        isMoreToAsk = picker.stored(piece);
        if (!this.#isClosed) events.onVerified(piece.index);
      } else {
        this.corruptBytes += piece.length;
        const contributors = picker.corrupt(piece);
        const culprits = contributors.length === 1 ? contributors.map((picks) => picks.owner) : [];
        if (!this.#isClosed) events.onCorrupt(piece.index, culprits);
      }
    } catch (error) {
      if (this.#isClosed) piece.buffer.release();
      else {
        this.#unstored.push(piece);
        events.onStoreError(error as HostError);
      }
    } finally {
      this.#storing--;
      if (this.#storing === 0) for (const settle of this.#whenIdle.splice(0)) settle();
      if (isMoreToAsk) this.fillAll();
    }
  }

  /** Asks nothing more, until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on, first with the pieces that could not be stored. */
  resume(): void {
    this.#isPaused = false;
    for (const piece of this.#unstored.splice(0)) void this.#store(piece);
    this.fillAll();
  }

  /** To be called every few seconds: gives up waiting for peers that do not deliver, and has no peer idle that need not be. */
  tick(nowMs: number): void {
    for (const peer of this.#peers) {
      const { asked, arriving } = peer.picks!;
      if (arriving !== undefined && nowMs - peer.blockBegunMs >= STUCK_MS) {
        // Only an end of the connection frees the block: the rest of it would be written over another's.
        peer.connection.close('The peer stopped in the middle of a block.');
        continue;
      }
      if (asked.size === 0 || nowMs - peer.lastBlockMs < SNUB_MS) {
        // It may have been left with nothing to do by a block that was dropped, or by a rejected request.
        this.fill(peer);
        continue;
      }
      const blocks = [...asked].map((key) => this.#parts.picker.blockAt(key));
      peer.connection.sendBytes(encodeBlocks('cancel', blocks));
      this.#parts.picker.releaseAll(peer.picks!);
      peer.snub();
      peer.lastBlockMs = nowMs;
      // The others first, so that what was given up goes to them.
      for (const other of this.#peers) if (other !== peer) this.fill(other);
      this.fill(peer);
    }
  }

  /** Ends; resolves when nothing is being written any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#limitTimer?.cancel();
    if (this.#storing > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    for (const piece of this.#unstored.splice(0)) piece.buffer.release();
    this.#parts.picker.close();
  }
}
