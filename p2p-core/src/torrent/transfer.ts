/**
 * What moves pieces between a torrent and its peers, there once the metadata is known and the files were
 * checked: brings together what is fetched, what is served, and who is served.
 */
import type { Host, HostError } from '../host/host.ts';
import type { TorrentInfo } from '../metainfo/index.ts';
import { Choker } from './choker.ts';
import { Downloads } from './downloads.ts';
import { Haves } from './haves.ts';
import type { Peer } from './peer.ts';
import { Picker } from './picker.ts';
import type { PieceStore } from './piece-store.ts';
import type { RateLimit } from './rate.ts';
import { Uploads } from './uploads.ts';

/** Payload held in memory while pieces are fetched and stored. */
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const MAX_BUFFERED_PIECES = 512;
/** How often it is looked after peers that do not deliver. */
const LOOK_MS = 2_000;

export interface TransferEvents {
  /** A piece was stored. */
  onPiece(): void;
  /** The last piece was. */
  onComplete(): void;
  /** The peer alone is to blame for a corrupt piece. */
  onCulprit(peer: Peer): void;
  /** Nothing more can be stored until `downloads.resume`. */
  onStoreError(error: HostError): void;
}

export interface TransferComponents {
  readonly host: Host;
  readonly info: TorrentInfo;
  readonly store: PieceStore;
  /** A seed suggests pieces. */
  readonly suggests: boolean;
  readonly uploadLimit: RateLimit;
  readonly downloadLimit: RateLimit;
  /** Those connected, joined or about to be. */
  readonly peers: ReadonlySet<Peer>;
  readonly events: TransferEvents;
}

export class Transfer {
  readonly info: TorrentInfo;
  readonly store: PieceStore;
  readonly picker: Picker<Peer>;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
  readonly #parts: TransferComponents;
  readonly #choker: Choker<Peer>;
  readonly #haves: Haves;
  #nextLookMs = 0;

  constructor(components: TransferComponents) {
    const { host, info, store, suggests, uploadLimit, downloadLimit, events } = components;
    const { clock, random, payload } = host;
    const maxPieces = Math.floor(MAX_BUFFERED_BYTES / info.pieceLength);
    this.#parts = components;
    this.info = info;
    this.store = store;
    const picker = new Picker<Peer>(
      { random, allocate: (length) => payload.allocatePiece(length), have: store.have },
      {
        pieceCount: info.pieceCount,
        pieceLength: info.pieceLength,
        length: info.length,
        maxPieces: Math.max(2, Math.min(MAX_BUFFERED_PIECES, maxPieces)),
      },
    );
    this.picker = picker;
    this.uploads = new Uploads({ clock, random, info, store, picker, suggests, limit: uploadLimit });
    this.downloads = new Downloads({
      clock,
      picker,
      store,
      limit: downloadLimit,
      events: {
        onVerified: (index) => this.#onVerified(index),
        onCorrupt: (_index, culprits) => {
          for (const peer of culprits) events.onCulprit(peer);
        },
        onStoreError: (error) => events.onStoreError(error),
      },
    });
    this.#choker = new Choker(host, { uploadBytesPerSecond: uploadLimit.rateBytesPerSecond });
    this.#haves = new Haves({ clock, peers: components.peers, hasRoom: () => this.#choker.hasRoom });
  }

  /** The peer was told what we have; what it said so far counts from here on. */
  join(peer: Peer): void {
    this.#haves.introduced(peer);
    peer.join(this);
    this.interest(peer);
  }

  /** The peer's connection has ended. */
  leave(peer: Peer): void {
    this.#choker.gone(peer);
    this.uploads.drop(peer);
    if (peer.picks !== undefined) this.downloads.removePeer(peer);
  }

  /** The peer may have become interested. */
  interest(peer: Peer): void {
    if (peer.isInterested && this.#choker.interested(peer, this.#parts.host.clock.now())) this.#unchoke(peer);
  }

  /** To be called every second. */
  tick(nowMs: number): void {
    const { peers } = this.#parts;
    if (nowMs >= this.#nextLookMs) {
      this.#nextLookMs = nowMs + LOOK_MS;
      this.downloads.tick(nowMs);
      // Not at once when nothing is left to want of a peer: most have something again a moment later.
      for (const peer of this.#parts.peers) peer.updateInterest();
    }
    this.#haves.tick(nowMs);
    if (this.#choker.tick(peers, this.picker.isComplete, nowMs)) this.#applyChoking();
  }

  /** Nothing more is sent; what is being stored is `downloads` to end. */
  close(): void {
    this.uploads.close();
    this.#haves.close();
  }

  #applyChoking(): void {
    this.uploads.renewSuggestions();
    for (const peer of this.#parts.peers) {
      if (this.#choker.unchoked.has(peer)) this.#unchoke(peer);
      else peer.choke();
    }
  }

  #unchoke(peer: Peer): void {
    if (!peer.amChoking) return;
    // It is about to ask: first it hears of everything that it can ask for.
    this.#haves.tell([peer]);
    this.uploads.suggest(peer);
    peer.unchoke();
  }

  #onVerified(index: number): void {
    const { peers, events } = this.#parts;
    this.#haves.add(index);
    events.onPiece();
    if (!this.picker.isComplete) return;
    for (const peer of peers) peer.updateInterest();
    this.#haves.tell(peers);
    events.onComplete();
  }
}
