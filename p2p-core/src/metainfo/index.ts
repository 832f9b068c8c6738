/** Torrents as files and as links: parsing, making, writing (BEP 3, 9, 12). */
export { type CreateOptions, choosePieceLength, createMetainfo } from './create.ts';
export { MetainfoError, type MetainfoErrorCode } from './errors.ts';
export { MAX_INFO_BYTES, parseInfo, pieceLengthAt, type TorrentFile, type TorrentInfo } from './info.ts';
export { formatMagnet, type Magnet, parseMagnet } from './magnet.ts';
export { encodeMetainfo, type Metainfo, parseMetainfo } from './metainfo.ts';
