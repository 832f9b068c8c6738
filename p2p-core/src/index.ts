export * from './host/index.ts';
export * from './node.ts';
export { type Torrent, TorrentError, type TorrentState, type TorrentStatus } from './torrent/index.ts';
