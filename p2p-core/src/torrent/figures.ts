/** A torrent in numbers: for its user, for those who help it to peers, and for the session after this one. */
import { toHex } from '../bytes.ts';
import type { Clock } from '../host/host.ts';
import type { LocalContent } from './local-content.ts';
import type { Peer } from './peer.ts';
import type { SourceTotals } from './peer-source.ts';
import type { SnapshotExtras } from './piece-store.ts';
import type { TorrentState, TorrentStatus } from './status.ts';
import type { Swarm } from './swarm.ts';
import type { TorrentOptions } from './torrent-options.ts';
import type { Transfer } from './transfer.ts';

const PEERS_REMEMBERED = 200;

export interface FiguresComponents {
  readonly clock: Clock;
  readonly content: LocalContent;
  readonly swarm: Swarm;
  /** Undefined as long as nothing can be transferred. */
  readonly transfer: () => Transfer | undefined;
}

export class Figures {
  readonly #parts: FiguresComponents;
  readonly #options: TorrentOptions;

  constructor(components: FiguresComponents, options: TorrentOptions) {
    this.#parts = components;
    this.#options = options;
  }

  status(state: TorrentState, error: TorrentStatus['error']): TorrentStatus {
    const { clock, content, swarm } = this.#parts;
    const { info, store, haveBytes, earlier } = content;
    const transfer = this.#parts.transfer();
    const nowMs = clock.now();
    const totals = this.totals();
    return {
      infoHash: toHex(this.#options.infoHash),
      name: info?.name ?? this.#options.displayName,
      state,
      error,
      progress: state === 'checking' ? content.checkedPart : haveBytes / Math.max(1, info?.length ?? 1),
      pieces: { have: store?.have.count ?? 0, total: info?.pieceCount ?? 0 },
      bytes: { have: haveBytes, total: info?.length ?? 0 },
      downloadedBytes: earlier.downloadedBytes + totals.downloadedBytes,
      uploadedBytes: earlier.uploadedBytes + totals.uploadedBytes,
      wastedBytes: transfer?.downloads.wastedBytes ?? 0,
      corruptBytes: transfer?.downloads.corruptBytes ?? 0,
      downloadBytesPerSecond: transfer?.downloads.meter.bytesPerSecond(nowMs) ?? 0,
      uploadBytesPerSecond: transfer?.uploads.meter.bytesPerSecond(nowMs) ?? 0,
      peers: {
        connected: swarm.peers.size,
        seeds: this.#countPeers((peer) => peer.isSeed),
        unchoked: this.#countPeers((peer) => !peer.amChoking),
        known: swarm.book.size,
      },
    };
  }

  totals(): SourceTotals {
    const { info, haveBytes } = this.#parts.content;
    const transfer = this.#parts.transfer();
    return {
      uploadedBytes: transfer?.uploads.meter.total ?? 0,
      downloadedBytes: transfer?.downloads.meter.total ?? 0,
      leftBytes: info === undefined ? undefined : info.length - haveBytes,
    };
  }

  /** What a snapshot is to remember. */
  toRemember(): SnapshotExtras {
    const { content, swarm } = this.#parts;
    const totals = this.totals();
    return {
      uploadedBytes: content.earlier.uploadedBytes + totals.uploadedBytes,
      downloadedBytes: content.earlier.downloadedBytes + totals.downloadedBytes,
      peers: swarm.book.worthKeeping(PEERS_REMEMBERED),
    };
  }

  #countPeers(fits: (peer: Peer) => boolean): number {
    let count = 0;
    for (const peer of this.#parts.swarm.peers) if (fits(peer)) count++;
    return count;
  }
}
