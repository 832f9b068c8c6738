/**
 * When to tell which peer that a piece has come. A peer that can ask us for it is told soon, and so is one
 * that wants nothing of us yet while we have a place for it: at once, unless it has just been told of another. To
 * the others (choked, seeds, those that have it too) it makes no difference for a while: they are told of many
 * pieces in one message, since telling each of fifty peers of each piece costs a swarm more messages than its
 * payload does.
 */
import type { Clock, Timer } from '../host/host.ts';
import { encodeHaves } from '../wire/peer-messages.ts';
import type { Peer } from './peer.ts';

const BATCH_MS = 4_000;
/** Those that are told soon are told of so many pieces at the latest, or after so long. */
const SOON_PIECES = 8;
const SOON_MS = 250;

export interface HavesComponents {
  readonly clock: Clock;
  /** Those connected. */
  readonly peers: Iterable<Peer>;
  /** Whether who becomes interested would be unchoked at once. */
  readonly hasRoom: () => boolean;
}

export class Haves {
  readonly #parts: HavesComponents;
  /** Pieces that came while we were connected, in order; each peer knows up to its `toldHaves`. */
  readonly #log: number[] = [];
  #nextBatchMs: number;
  #toldMs = Number.NEGATIVE_INFINITY;
  /** How much of the log there was then. */
  #told = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(components: HavesComponents) {
    this.#parts = components;
    this.#nextBatchMs = components.clock.now() + BATCH_MS;
  }

  /** The peer has just been told all that we have. */
  introduced(peer: Peer): void {
    peer.toldHaves = this.#log.length;
  }

  /** A piece was stored. */
  add(index: number): void {
    if (this.#isClosed) return;
    this.#log.push(index);
    const waitMs = this.#toldMs + SOON_MS - this.#parts.clock.now();
    if (waitMs <= 0 || this.#log.length - this.#told >= SOON_PIECES) this.#tellWhoWaits();
    else this.#timer ??= this.#parts.clock.setTimer(waitMs, () => this.#tellWhoWaits());
  }

  /** To be called every second. */
  tick(nowMs: number): void {
    if (nowMs < this.#nextBatchMs) return;
    this.#nextBatchMs = nowMs + BATCH_MS;
    this.tell(this.#parts.peers);
  }

  /** Tells all that is not told yet. */
  tell(peers: Iterable<Peer>): void {
    this.#tell(peers, () => true);
  }

  /** What is still stored afterwards is nobody's concern. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #tellWhoWaits(): void {
    const news = this.#log.slice(this.#told);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#toldMs = this.#parts.clock.now();
    this.#told = this.#log.length;
    const hasRoom = this.#parts.hasRoom();
    this.#tell(this.#parts.peers, (peer) => {
      const mayAsk = !peer.amChoking || (hasRoom && !peer.isInterested);
      return mayAsk && news.some((index) => !peer.hasPiece(index));
    });
  }

  #tell(peers: Iterable<Peer>, isTold: (peer: Peer) => boolean): void {
    let bytes: Uint8Array | undefined;
    let from = -1;
    for (const peer of peers) {
      if (peer.toldHaves === this.#log.length || !isTold(peer)) continue;
      // Most are told the same: it is encoded once.
      if (bytes === undefined || from !== peer.toldHaves) {
        from = peer.toldHaves;
        bytes = encodeHaves(this.#log, from);
      }
      peer.connection.sendBytes(bytes);
      peer.toldHaves = this.#log.length;
    }
  }
}
