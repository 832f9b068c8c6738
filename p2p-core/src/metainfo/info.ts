/**
 * The info dictionary of a v1 torrent (BEP 3): what is shared, cut into pieces with a hash each. It arrives in
 * .torrent files and from peers (BEP 9), from strangers either way, so nothing of it is believed before checked.
 */

import type { Compute } from '../host/host.ts';
import {
  type BencodeDict,
  BencodeError,
  bytesOf,
  decodeBencode,
  dictOf,
  integerOf,
  listOf,
  textOf,
} from '../wire/bencode.ts';
import { MetainfoError } from './errors.ts';
import { safePaths } from './safe-paths.ts';

export interface TorrentFile {
  /** Safe, '/'-separated, relative to the content root; begins with the torrent's name. */
  readonly path: string;
  readonly length: number;
}

export interface TorrentInfo {
  /** SHA-1 of `infoBytes`, 20 bytes. */
  readonly infoHash: Uint8Array;
  /** The info dictionary as found, byte for byte. */
  readonly infoBytes: Uint8Array;
  /** Safe as a file name. */
  readonly name: string;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** SHA-1 of each piece, 20 bytes each, in order. */
  readonly pieceHashes: Uint8Array;
  /** At least one; laid end to end they are the content. */
  readonly files: readonly TorrentFile[];
  /** Of all files together, more than zero. */
  readonly length: number;
  /** Peers may come from trackers only (BEP 27). */
  readonly private: boolean;
}

export const MAX_INFO_BYTES = 10_000_000;
/** No client makes larger ones, and a piece is held in memory as a whole. */
export const MAX_PIECE_LENGTH = 256 * 1024 * 1024;
const MAX_PATH_DEPTH = 100;
const MAX_PATH_BYTES = 2048;
/** Components of all paths together; checking more would hold everything else up for seconds. */
const MAX_NAMES = 600_000;
const HASH_LENGTH = 20;

/**
 * Reads an info dictionary, and takes its hash. Keeps `infoBytes`, which must not be changed afterwards.
 * Throws MetainfoError.
 */
export function parseInfo(compute: Pick<Compute, 'hash'>, infoBytes: Uint8Array): TorrentInfo {
  const info = decodeInfo(infoBytes);
  const pieceHashes = bytesOf(info.get('pieces'));
  if (pieceHashes === undefined) {
    if (info.get('meta version') === 2) {
      throw new MetainfoError('v2-unsupported', 'This is a v2 torrent (BEP 52), which is not supported yet.');
    }
    throw invalid("'pieces' is missing or not a byte string");
  }
  const pieceLength = integerOf(info.get('piece length'));
  if (pieceLength === undefined || pieceLength < 1 || pieceLength > MAX_PIECE_LENGTH) {
    throw invalid(`'piece length' is not an integer from 1 to ${MAX_PIECE_LENGTH}`);
  }
  const name = nameOf(info, 'name');
  if (name === undefined) throw invalid("'name' is missing or not a byte string");
  const privateFlag = info.get('private');
  if (privateFlag !== undefined && typeof privateFlag !== 'number')
    throw invalid("'private' is not an integer");

  const files = readFiles(info, name);
  let length = 0;
  for (const file of files) {
    length += file.length;
    if (!Number.isSafeInteger(length)) throw invalid('its files are longer than can be counted');
  }
  if (length === 0) throw invalid('its files are all empty');
  const pieceCount = Math.ceil(length / pieceLength);
  if (pieceHashes.length !== pieceCount * HASH_LENGTH) {
    throw invalid(
      `${length} bytes make ${pieceCount} pieces, but it has ${pieceHashes.length / HASH_LENGTH} hashes`,
    );
  }
  return {
    infoHash: compute.hash('sha1', infoBytes),
    infoBytes,
    name: files[0]!.path.split('/', 1)[0]!,
    pieceLength,
    pieceCount,
    pieceHashes,
    files,
    length,
    private: privateFlag === 1,
  };
}

/** Length of piece `index`: all are `pieceLength` but the last. Throws RangeError if there is no such piece. */
export function pieceLengthAt(
  info: Pick<TorrentInfo, 'pieceLength' | 'pieceCount' | 'length'>,
  index: number,
): number {
  if (!Number.isInteger(index) || index < 0 || index >= info.pieceCount) {
    throw new RangeError(`There is no piece ${index} of ${info.pieceCount}.`);
  }
  return index < info.pieceCount - 1 ? info.pieceLength : info.length - index * info.pieceLength;
}

function decodeInfo(infoBytes: Uint8Array): BencodeDict {
  let info: BencodeDict | undefined;
  try {
    info = dictOf(decodeBencode(infoBytes, { maxBytes: MAX_INFO_BYTES }).value);
  } catch (error) {
    if (!(error instanceof BencodeError)) throw error;
    if (error.code === 'too-large') {
      throw new MetainfoError('too-large', `The info dictionary is larger than ${MAX_INFO_BYTES} bytes.`);
    }
    throw invalid(error.message, error);
  }
  if (info === undefined) throw invalid('it is not a dictionary');
  return info;
}

/** The files with safe paths; a torrent of a single file has `length`, one of many `files`, none has both. */
function readFiles(info: BencodeDict, name: string): TorrentFile[] {
  const length = info.get('length');
  const entries = info.get('files');
  if (length !== undefined && entries !== undefined) throw invalid("it has both 'length' and 'files'");
  if (entries === undefined) {
    const [path] = safePaths(undefined, [[name]]);
    return [{ path: path!, length: fileLengthOf(info, "'length'") }];
  }
  const list = listOf(entries);
  if (list === undefined || list.length === 0) throw invalid("'files' is not a list with something in it");
  const lengths: number[] = [];
  const paths: string[][] = [];
  let names = 0;
  for (const [index, entry] of list.entries()) {
    const file = dictOf(entry);
    if (file === undefined) throw invalid(`file ${index} is not a dictionary`);
    lengths.push(fileLengthOf(file, `'length' of file ${index}`));
    const path = pathOf(file, index);
    names += path.length;
    if (names > MAX_NAMES) throw invalid(`it has more than ${MAX_NAMES} names of files and folders`);
    paths.push(path);
  }
  return safePaths(name, paths).map((path, index) => ({ path, length: lengths[index]! }));
}

function fileLengthOf(dict: BencodeDict, what: string): number {
  const length = integerOf(dict.get('length'));
  if (length === undefined || length < 0) throw invalid(`${what} is missing or not a size`);
  return length;
}

function pathOf(file: BencodeDict, index: number): string[] {
  const path = textsOf(file, 'path.utf-8', true) ?? textsOf(file, 'path', false);
  if (path === undefined || path.length === 0)
    throw invalid(`'path' of file ${index} is not a list of names`);
  let pathBytes = 0;
  for (const component of path) pathBytes += component.length + 1;
  if (path.length > MAX_PATH_DEPTH || pathBytes > MAX_PATH_BYTES) {
    throw invalid(`'path' of file ${index} is too long`);
  }
  return path;
}

function textsOf(file: BencodeDict, key: string, strict: boolean): string[] | undefined {
  const list = listOf(file.get(key));
  if (list === undefined) return undefined;
  const texts: string[] = [];
  for (const item of list) {
    const text = strict ? textOf(item) : lossyTextOf(bytesOf(item));
    if (text === undefined) return undefined;
    texts.push(text);
  }
  return texts;
}

/** The field as UTF-8, first where old clients put it if `key` held another encoding. */
function nameOf(info: BencodeDict, key: string): string | undefined {
  const bytes = bytesOf(info.get(key));
  if (bytes === undefined) return undefined;
  return textOf(info.get(`${key}.utf-8`)) ?? lossyTextOf(bytes);
}

const lossyUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function lossyTextOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : lossyUtf8.decode(bytes);
}

function invalid(what: string, cause?: Error): MetainfoError {
  return new MetainfoError('invalid', `The torrent's info dictionary is not valid: ${what}.`, { cause });
}
