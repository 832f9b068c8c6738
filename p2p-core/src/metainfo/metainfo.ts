/**
 * The .torrent file: the info dictionary and, around it, where to find peers (BEP 3, 5, 12). What is around it is
 * anyone's to change, so it is kept apart from `TorrentInfo`, and the info dictionary's bytes stay as found.
 */
import { concatBytes } from '../bytes.ts';
import type { Compute } from '../host/host.ts';
import {
  type BencodeDict,
  BencodeError,
  type BencodeValue,
  bytesOf,
  type DecodedBencode,
  decodeBencode,
  dictOf,
  type EncodableValue,
  encodeBencode,
  integerOf,
  listOf,
  textOf,
} from '../wire/bencode.ts';
import { MetainfoError } from './errors.ts';
import { parseInfo, type TorrentInfo } from './info.ts';

export interface Metainfo {
  readonly info: TorrentInfo;
  /** Tiers of tracker URLs, as announced to (BEP 12); no tier is empty. */
  readonly trackers: readonly (readonly string[])[];
  /** DHT nodes to begin with (BEP 5); `host` may be a name. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly comment?: string;
  readonly createdBy?: string;
  readonly createdAtMs?: number;
}

const MAX_TORRENT_BYTES = 10_000_000;
const MAX_TRACKERS = 200;
const MAX_URL_LENGTH = 2048;
const MAX_NODES = 200;
const MAX_HOST_LENGTH = 253;
const DICTIONARY_START = 0x64;

/** Reads a .torrent file. Keeps nothing of `bytes`. Throws MetainfoError with a sentence that says what is wrong. */
export function parseMetainfo(compute: Pick<Compute, 'hash'>, bytes: Uint8Array): Metainfo {
  const decoded = decodeTorrent(bytes);
  const outer = dictOf(decoded.value)!;
  const infoRange = decoded.ranges.get('info');
  if (infoRange === undefined || dictOf(outer.get('info')) === undefined) {
    throw new MetainfoError('not-a-torrent', "This is not a torrent: it has no 'info' dictionary.");
  }
  const info = parseInfo(compute, bytes.slice(infoRange.start, infoRange.end));
  const comment = readText(outer, 'comment');
  const createdBy = readText(outer, 'created by');
  const createdAtMs = readCreationDate(outer);
  return {
    info,
    trackers: readTrackers(outer),
    nodes: readNodes(outer.get('nodes')),
    ...(comment === undefined ? {} : { comment }),
    ...(createdBy === undefined ? {} : { createdBy }),
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
  };
}

/** The .torrent file of `metainfo`, with the info dictionary exactly as it was found. */
export function encodeMetainfo(metainfo: Metainfo): Uint8Array {
  const { trackers, nodes, comment, createdBy, createdAtMs, info } = metainfo;
  const several = trackers.length > 1 || (trackers[0]?.length ?? 0) > 1;
  // BEP 3 wants sorted keys: those before 'info', 'info', and the one after it.
  const before = entriesOf({
    announce: trackers[0]?.[0],
    'announce-list': several ? trackers : undefined,
    comment,
    'created by': createdBy,
    'creation date': createdAtMs === undefined ? undefined : Math.floor(createdAtMs / 1000),
  });
  const after = entriesOf({
    nodes: nodes.length > 0 ? nodes.map(({ host, port }) => [host, port]) : undefined,
  });
  const ascii = (text: string) => new TextEncoder().encode(text);
  return concatBytes([ascii('d'), before, ascii('4:info'), info.infoBytes, after, ascii('e')]);
}

/** What stands between the 'd' and the 'e' of a dictionary. */
function entriesOf(dictionary: Readonly<Record<string, EncodableValue | undefined>>): Uint8Array {
  return encodeBencode(dictionary).subarray(1, -1);
}

function decodeTorrent(bytes: Uint8Array): DecodedBencode {
  if (bytes.length === 0) throw new MetainfoError('empty', 'The torrent file is empty.');
  if (bytes[0] !== DICTIONARY_START) {
    throw new MetainfoError('not-a-torrent', 'This is not a torrent: it does not begin with a dictionary.');
  }
  try {
    return decodeBencode(bytes, { maxBytes: MAX_TORRENT_BYTES });
  } catch (error) {
    if (!(error instanceof BencodeError)) throw error;
    if (error.code === 'truncated') {
      throw new MetainfoError('truncated', 'The torrent file is cut short; download it again.', {
        cause: error,
      });
    }
    if (error.code === 'too-large') {
      throw new MetainfoError('too-large', `The torrent file is larger than ${MAX_TORRENT_BYTES} bytes.`, {
        cause: error,
      });
    }
    throw new MetainfoError('not-a-torrent', `This is not a torrent: ${error.message}.`, { cause: error });
  }
}

/** `announce-list` replaces `announce` where it has any tracker (BEP 12). Schemes are left to who announces. */
function readTrackers(outer: BencodeDict): string[][] {
  const seen = new Set<string>();
  const tiers: string[][] = [];
  const tierLists = readList(outer.get('announce-list'), 'announce-list');
  for (const tierList of tierLists) {
    const tier: string[] = [];
    for (const entry of readList(tierList, 'announce-list')) addTracker(tier, entry, 'announce-list', seen);
    if (tier.length > 0) tiers.push(tier);
  }
  if (tiers.length > 0) return tiers;
  const single: string[] = [];
  if (outer.has('announce')) addTracker(single, outer.get('announce')!, 'announce', seen);
  return single.length > 0 ? [single] : [];
}

function addTracker(tier: string[], entry: BencodeValue, field: string, seen: Set<string>): void {
  if (bytesOf(entry) === undefined) throw invalidField(field);
  const url = textOf(entry)?.trim();
  // Trackers are a convenience: one that cannot be used is no reason to refuse the torrent.
  if (url === undefined || url === '' || url.length > MAX_URL_LENGTH) return;
  if (seen.has(url) || seen.size >= MAX_TRACKERS) return;
  seen.add(url);
  tier.push(url);
}

function readNodes(value: BencodeValue | undefined): { host: string; port: number }[] {
  const nodes: { host: string; port: number }[] = [];
  for (const entry of readList(value, 'nodes')) {
    const pair = listOf(entry);
    const host = textOf(pair?.[0]);
    const port = integerOf(pair?.[1]);
    if (pair?.length !== 2 || host === undefined || port === undefined) throw invalidField('nodes');
    const usable = host !== '' && host.length <= MAX_HOST_LENGTH && port > 0 && port < 65_536;
    if (usable && nodes.length < MAX_NODES) nodes.push({ host, port });
  }
  return nodes;
}

function readList(value: BencodeValue | undefined, field: string): readonly BencodeValue[] {
  if (value === undefined) return [];
  const list = listOf(value);
  if (list === undefined) throw invalidField(field);
  return list;
}

const lossyUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function readText(outer: BencodeDict, field: string): string | undefined {
  if (!outer.has(field)) return undefined;
  const bytes = bytesOf(outer.get(field));
  if (bytes === undefined) throw invalidField(field);
  return lossyUtf8.decode(bytes);
}

function readCreationDate(outer: BencodeDict): number | undefined {
  if (!outer.has('creation date')) return undefined;
  const createdAtMs = (integerOf(outer.get('creation date')) ?? Number.NaN) * 1000;
  if (!Number.isSafeInteger(createdAtMs)) throw invalidField('creation date');
  return createdAtMs;
}

function invalidField(field: string): MetainfoError {
  return new MetainfoError('invalid', `The torrent is not valid: '${field}' has the wrong type.`);
}
