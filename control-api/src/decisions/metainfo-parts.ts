/**
 * A .torrent that is longer than a row lies in rows of its own: written first, a few in a commit, and the torrent's row
 * last. Without that row they are nobody's: they are written again with the torrent, or go with the cluster.
 */
import { commitLimits } from '../ports/store.ts';
import { type Change, type ClusterState, put, remove } from './decision.ts';
import { type MetainfoPartRow, metainfoPartKey, type TorrentRow } from './rows.ts';

/** Of base64, in one row. */
const partCharacters = 256 * 1024;
/** How many parts one commit has room for. */
export const mostPartsAtOnce = Math.floor(commitLimits.bytes / partCharacters) - 2;

/** By a torrent's row; laying parts end to end is work that every seed's commands would repeat. */
const whole = new WeakMap<TorrentRow, string>();

/** How a torrent's row holds a .torrent in base64, and the rows that it takes beside. */
export function splitMetainfo(
  infoHash: string,
  base64: string,
): {
  readonly held: Pick<TorrentRow, 'metainfo' | 'metainfoParts'>;
  readonly parts: readonly MetainfoPartRow[];
} {
  if (base64.length <= partCharacters) return { held: { metainfo: base64 }, parts: [] };
  const count = Math.ceil(base64.length / partCharacters);
  const parts = Array.from({ length: count }, (_, part) => ({
    infoHash,
    part,
    base64: base64.slice(part * partCharacters, (part + 1) * partCharacters),
  }));
  return { held: { metainfoParts: count }, parts };
}

/** Whether all is there that a torrent's row counts on. */
export function isWhole(state: ClusterState, { infoHash, metainfoParts = 0 }: TorrentRow): boolean {
  return partNumbers(metainfoParts).every((part) => state.metainfoParts.has(metainfoPartKey(infoHash, part)));
}

/** A torrent's .torrent, in base64. */
export function metainfoOf(state: ClusterState, torrent: TorrentRow): string {
  if (torrent.metainfo !== undefined) return torrent.metainfo;
  const known = whole.get(torrent);
  if (known !== undefined) return known;
  const { infoHash, metainfoParts = 0 } = torrent;
  const base64 = partNumbers(metainfoParts)
    .map((part) => state.metainfoParts.get(metainfoPartKey(infoHash, part))?.base64 ?? '')
    .join('');
  whole.set(torrent, base64);
  return base64;
}

export function partsPut(parts: readonly MetainfoPartRow[]): readonly Change[] {
  return parts.map(put.metainfoPart);
}

/** Those of a torrent, also those that an earlier attempt to add it left. */
export function partsRemoved(state: ClusterState, infoHash: string): readonly Change[] {
  const changes: Change[] = [];
  for (let part = 0; state.metainfoParts.has(metainfoPartKey(infoHash, part)); part++) {
    changes.push(remove('metainfoParts', metainfoPartKey(infoHash, part)));
  }
  return changes;
}

function partNumbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, part) => part);
}
