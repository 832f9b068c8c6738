/** Where a torrent learns of peers: trackers and the DHT, behind one small shape. */
import type { Address } from '../host/host.ts';

/** What a source tells and asks of the torrent that it serves. */
export interface SourceFeed {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly listenPort: number;
  onPeers(peers: readonly Address[]): void;
  totals(): SourceTotals;
}

/** Bytes of this session, and what is left to fetch (undefined while the size is unknown). */
export interface SourceTotals {
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number | undefined;
}

export interface PeerSource {
  /** The download has just become complete. */
  completed(): void;
  /** Says goodbye, as far as that is possible in a moment. */
  stop(): Promise<void>;
}

export interface PeerSourceKind {
  /** Anyone may ask and answer there: not for private torrents. */
  readonly isPublic: boolean;
  readonly start: (feed: SourceFeed) => PeerSource;
}
