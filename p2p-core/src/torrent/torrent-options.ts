/** What a torrent is made with. */
import type { Address, Host } from '../host/host.ts';
import type { TorrentInfo } from '../metainfo/index.ts';
import type { HandshakeFlags } from '../wire/peer-messages.ts';
import type { PeerSourceKind } from './peer-source.ts';
import type { TokenBucket } from './rate.ts';

/** What a torrent shares with the others of its node. */
export interface TorrentComponents {
  readonly host: Host;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly supports: HandshakeFlags;
  readonly listenPort: number;
  readonly clientName: string;
  readonly uploadLimit: TokenBucket;
  readonly downloadLimit: TokenBucket;
  readonly sources: readonly PeerSourceKind[];
  readonly dhtPort: number | undefined;
  readonly onDhtNode: (address: Address) => void;
}

export interface TorrentOptions {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** Left out for a magnet. */
  readonly info?: TorrentInfo;
  readonly displayName?: string;
  readonly contentRoot: string;
  /** Left out, nothing is remembered: what is on disk is hashed at every start. */
  readonly stateDirectory?: string;
  /** `seed` never writes content; `download` fetches what is missing. */
  readonly mode: 'seed' | 'download';
  readonly peers: readonly Address[];
  readonly maxPeers: number;
  /** A seed suggests pieces (BEP 6). */
  readonly suggests: boolean;
  /** Of this torrent alone; Infinity is none. */
  readonly uploadBytesPerSecond: number;
  readonly downloadBytesPerSecond: number;
}
