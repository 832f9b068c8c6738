/**
 * What peers ask of a torrent: queues their requests and sends blocks in batches, straight from disk, as
 * fast as each connection takes them and the limits allow.
 */
import type { Clock, OutgoingBlock, Random, Timer } from '../host/host.ts';
import { pieceLengthAt, type TorrentInfo } from '../metainfo/index.ts';
import { type Block, DEFAULT_WIRE_LIMITS, encodePieceHeader, WireError } from '../wire/peer-messages.ts';
import type { Peer } from './peer.ts';
import type { Picker } from './picker.ts';
import type { PieceStore } from './piece-store.ts';
import { type RateLimit, RateMeter } from './rate.ts';
import { Suggestions } from './suggestions.ts';

/** Requests that are kept of one peer; told to it as `reqq`. */
export const MAX_QUEUED_REQUESTS = 2048;
const BATCH_BLOCKS = 64;
/** Suggestions reach as far ahead as the peer takes in this time, and as it asks at once in the beginning. */
const SUGGEST_AHEAD_S = 4;
const MIN_SUGGEST_AHEAD_BYTES = 256 * 1024;

export interface UploadComponents {
  readonly clock: Clock;
  readonly info: TorrentInfo;
  readonly store: PieceStore;
  readonly limit: RateLimit;
  readonly random: Random;
  readonly picker: Picker<Peer>;
  /** Whether a seed suggests pieces. */
  readonly suggests: boolean;
}

export class Uploads {
  readonly meter: RateMeter;
  readonly #parts: UploadComponents;
  /** Peers with requests waiting, in the order in which they are served next. */
  readonly #waiting = new Set<Peer>();
  #limitTimer: Timer | undefined;
  #suggestions: Suggestions<Peer> | undefined;

  constructor(components: UploadComponents) {
    this.#parts = components;
    this.meter = new RateMeter(components.clock.now());
  }

  /** Queues a request; `pump` serves it. What cannot be served is rejected, if the peer understands that. */
  request(peer: Peer, block: Block): void {
    const { info, store } = this.#parts;
    const isSane =
      block.index < info.pieceCount &&
      block.length > 0 &&
      block.length <= DEFAULT_WIRE_LIMITS.maxBlockBytes &&
      block.begin + block.length <= pieceLengthAt(info, block.index);
    if (!isSane) throw new WireError('bad-field', 'The peer asked for bytes that no piece has.');
    const isServed =
      !peer.amChoking && store.have.has(block.index) && peer.incoming.length < MAX_QUEUED_REQUESTS;
    if (!isServed) {
      peer.reject([block]);
      return;
    }
    peer.incoming.push(block);
    this.#waiting.add(peer);
    if (block.index !== peer.lastAskedPiece) {
      peer.lastAskedPiece = block.index;
      this.#suggestions?.asked(peer, block.index);
      this.suggest(peer);
    }
  }

  /** A seed tells a peer that it serves, or is about to, what to ask for next. */
  suggest(peer: Peer): void {
    const { clock, info, store, random, picker, suggests } = this.#parts;
    if (!suggests || !store.have.isFull || !peer.connection.isFast || peer.isSeed) return;
    const { pieceCount, pieceLength } = info;
    this.#suggestions ??= new Suggestions({
      pieceCount,
      availability: (index) => picker.availability(index),
      chance: random.float(),
    });
    const rate = peer.uploadRate(clock.now());
    const aheadBytes = Math.max(MIN_SUGGEST_AHEAD_BYTES, rate * SUGGEST_AHEAD_S);
    for (const index of this.#suggestions.advise(peer, 1 + Math.ceil(aheadBytes / pieceLength))) {
      peer.connection.send({ type: 'suggest', index });
    }
  }

  /** To be called when it was decided anew whom to serve. */
  renewSuggestions(): void {
    this.#suggestions?.renew();
  }

  cancel(peer: Peer, block: Block): void {
    const at = peer.incoming.findIndex((other) => other.index === block.index && other.begin === block.begin);
    if (at < 0) return;
    peer.reject(peer.incoming.splice(at, 1));
  }

  /** We choke the peer, or it is gone: its requests are dropped. */
  drop(peer: Peer): void {
    this.#suggestions?.drop(peer);
    this.#waiting.delete(peer);
    peer.reject(peer.incoming.splice(0));
  }

  /** Sends what the connection and the limits take now. */
  pump(peer: Peer): void {
    const { clock, limit, store } = this.#parts;
    const { tcp } = peer.connection;
    const batch = limit.isUnlimited ? BATCH_BLOCKS : 1;
    while (peer.incoming.length > 0 && !peer.connection.isClosed && tcp.queuedBytes < tcp.highWaterBytes) {
      const nowMs = clock.now();
      const waitMs = limit.waitMs(nowMs);
      if (waitMs > 0) {
        this.#limitTimer ??= clock.setTimer(waitMs, () => this.#limitLifted());
        return;
      }
      const blocks = peer.incoming.splice(0, batch);
      const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
      limit.spend(bytes);
      this.meter.add(bytes, nowMs);
      peer.blocksSent(bytes, nowMs);
      tcp.sendBlocks(
        store.content,
        blocks.map((block) => this.#outgoing(block)),
      );
    }
    if (peer.incoming.length === 0) this.#waiting.delete(peer);
  }

  #outgoing(block: Block): OutgoingBlock {
    return {
      header: encodePieceHeader(block),
      offset: block.index * this.#parts.info.pieceLength + block.begin,
      length: block.length,
    };
  }

  #limitLifted(): void {
    this.#limitTimer = undefined;
    for (const peer of [...this.#waiting]) {
      // Served last the next time.
      this.#waiting.delete(peer);
      this.#waiting.add(peer);
      this.pump(peer);
      if (this.#limitTimer !== undefined) return;
    }
  }

  close(): void {
    this.#limitTimer?.cancel();
    this.#waiting.clear();
  }
}
