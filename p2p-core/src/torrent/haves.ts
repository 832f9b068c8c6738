/**
 * When to tell which peer that a piece has come. A peer that can ask us for it, or that has not wanted
 * anything of us so far, is told at once. To the others (choked, seeds, those that have it too) it makes no difference
 * for a while: they are told of many pieces in one message, since telling each of fifty peers of each piece
 * costs a swarm more messages than its payload does.
 */
import { encodeHaves } from '../wire/peer-messages.ts';
import type { Peer } from './peer.ts';

const BATCH_MS = 2_000;

export class Haves {
  /** Pieces that came while we were connected, in order; each peer knows up to its `toldHaves`. */
  readonly #log: number[] = [];
  #nextBatchMs: number;

  constructor(nowMs: number) {
    this.#nextBatchMs = nowMs + BATCH_MS;
  }

  /** The peer has just been told all that we have. */
  introduced(peer: Peer): void {
    peer.toldHaves = this.#log.length;
  }

  /** A piece was stored. */
  add(index: number, peers: Iterable<Peer>): void {
    this.#log.push(index);
    this.#tell(peers, (peer) => !peer.hasPiece(index) && (!peer.amChoking || !peer.isInterested));
  }

  /** To be called every second. */
  tick(peers: Iterable<Peer>, nowMs: number): void {
    if (nowMs < this.#nextBatchMs) return;
    this.#nextBatchMs = nowMs + BATCH_MS;
    this.tell(peers);
  }

  /** Tells all that is not told yet. */
  tell(peers: Iterable<Peer>): void {
    this.#tell(peers, () => true);
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
