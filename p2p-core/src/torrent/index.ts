/** The torrent: what is fetched from whom and served to whom, and how it is remembered. */
export type { PeerSource, PeerSourceKind, SourceFeed, SourceTotals } from './peer-source.ts';
export { TokenBucket } from './rate.ts';
export { TorrentError, type TorrentState, type TorrentStatus } from './status.ts';
export { Torrent } from './torrent.ts';
export type { TorrentComponents, TorrentOptions } from './torrent-options.ts';
