/** Speaks `ut_metadata` (BEP 9) with a torrent's peers: fetches the info dictionary while it is missing, and serves it. */
import type { Host } from '../host/host.ts';
import {
  encodeMetadataMessage,
  METADATA_PIECE_LENGTH,
  type MetadataMessage,
} from '../wire/extension-messages.ts';
import { MetadataExchange } from './metadata-exchange.ts';
import type { Peer } from './peer.ts';

export interface MetadataEvents {
  /** The info dictionary is here, its hash is right. */
  onInfoBytes(infoBytes: Uint8Array): void;
  /** The peer alone sent all of it, and it is wrong. */
  onCulprit(peer: Peer): void;
}

export class MetadataSession {
  readonly #host: Host;
  readonly #events: MetadataEvents;
  readonly #exchange: MetadataExchange<Peer>;
  #infoBytes: Uint8Array | undefined;

  /** `infoBytes` left out is to be fetched. */
  constructor(
    components: { host: Host; events: MetadataEvents },
    options: { infoHash: Uint8Array; infoBytes?: Uint8Array },
  ) {
    this.#host = components.host;
    this.#events = components.events;
    this.#exchange = new MetadataExchange(components.host, options.infoHash);
    this.#infoBytes = options.infoBytes;
  }

  /** The info dictionary was found elsewhere. */
  provide(infoBytes: Uint8Array): void {
    this.#infoBytes = infoBytes;
  }

  /** The peer told what extensions it speaks, and whether it has the info dictionary. */
  onExtensions(peer: Peer): void {
    const { ids, metadataSize } = peer.extensions!;
    if (this.#infoBytes !== undefined || metadataSize === undefined || !ids.has('ut_metadata')) return;
    if (this.#exchange.addPeer(peer, metadataSize)) this.requestMissing();
  }

  removePeer(peer: Peer): void {
    this.#exchange.removePeer(peer);
  }

  /** To be called every second besides, for what has timed out. */
  requestMissing(): void {
    if (this.#infoBytes !== undefined) return;
    for (const { peer, piece } of this.#exchange.requests(this.#host.clock.now())) {
      this.#send(peer, { type: 'request', piece });
    }
  }

  onMessage(peer: Peer, message: MetadataMessage): void {
    if (message.type === 'request') {
      this.#serve(peer, message.piece);
      return;
    }
    if (this.#infoBytes !== undefined) return;
    if (message.type !== 'data') {
      this.#exchange.rejected(peer, message.piece, this.#host.clock.now());
    } else {
      const outcome = this.#exchange.data(peer, message.piece, message.data);
      if (outcome.type === 'complete') {
        this.#infoBytes = outcome.infoBytes;
        this.#events.onInfoBytes(outcome.infoBytes);
      } else if (outcome.type === 'corrupt' && outcome.culprit !== undefined) {
        this.#events.onCulprit(outcome.culprit);
      }
    }
    this.requestMissing();
  }

  #serve(peer: Peer, piece: number): void {
    const { tcp } = peer.connection;
    const from = piece * METADATA_PIECE_LENGTH;
    const data = this.#infoBytes?.subarray(from, from + METADATA_PIECE_LENGTH);
    // A peer that asks faster than it takes the answers is refused, not buffered for.
    if (data !== undefined && data.length > 0 && tcp.queuedBytes < tcp.highWaterBytes) {
      this.#send(peer, { type: 'data', piece, totalSize: this.#infoBytes!.length, data });
    } else {
      this.#send(peer, { type: 'reject', piece });
    }
  }

  #send(peer: Peer, message: MetadataMessage): void {
    const id = peer.extensions?.ids.get('ut_metadata');
    if (id === undefined) return;
    peer.connection.send({ type: 'extended', id, payload: encodeMetadataMessage(message) });
  }
}
