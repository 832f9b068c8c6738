/**
 * Which pieces can be believed to be on disk after a restart, and which must be hashed first. Pure.
 *
 * A piece of the snapshot is believed if each of its files is long enough, and is as it was when the
 * snapshot was taken or was since written by ourselves, as the log shows. A piece that is only in the log
 * is hashed. Without a snapshot, every piece that could be there is.
 */
import { pieceLengthAt, type TorrentInfo } from '../metainfo/index.ts';
import type { Bitfield } from './bitfield.ts';
import type { FileMark } from './resume.ts';

export interface Evidence {
  /** As the files are now, in the torrent's order. */
  readonly files: readonly FileMark[];
  readonly snapshot?: { readonly have: Bitfield; readonly files: readonly FileMark[] };
  /** Pieces that were about to be stored after the snapshot. */
  readonly logged: ReadonlySet<number>;
}

/** Mark of a file that is not there. */
export const MISSING_FILE: FileMark = { sizeBytes: -1, modifiedMs: 0 };

export function judgePieces(
  info: TorrentInfo,
  evidence: Evidence,
): { trusted: number[]; unproven: number[] } {
  const { snapshot, logged } = evidence;
  const extents = new FileExtents(info);
  const writtenByUs = new Set<number>();
  for (const index of logged) {
    if (index < info.pieceCount) for (const { file } of extents.of(index)) writtenByUs.add(file);
  }
  const isUnchanged = evidence.files.map(
    (now, file) => snapshot !== undefined && (writtenByUs.has(file) || sameMark(now, snapshot.files[file]!)),
  );

  const trusted: number[] = [];
  const unproven: number[] = [];
  for (let index = 0; index < info.pieceCount; index++) {
    const parts = extents.of(index);
    if (!parts.every(({ file, end }) => evidence.files[file]!.sizeBytes >= end)) continue;
    if (snapshot === undefined) unproven.push(index);
    else if (snapshot.have.has(index)) {
      (parts.every(({ file }) => isUnchanged[file]) ? trusted : unproven).push(index);
    } else if (logged.has(index)) unproven.push(index);
  }
  return { trusted, unproven };
}

function sameMark(a: FileMark, b: FileMark): boolean {
  return a.sizeBytes === b.sizeBytes && Math.round(a.modifiedMs * 1000) === Math.round(b.modifiedMs * 1000);
}

/** Which files a piece lies in, and how far into each it reaches. */
class FileExtents {
  readonly #info: TorrentInfo;
  /** Where each file starts in the content. */
  readonly #starts: number[] = [];

  constructor(info: TorrentInfo) {
    this.#info = info;
    let at = 0;
    for (const file of info.files) {
      this.#starts.push(at);
      at += file.length;
    }
  }

  of(piece: number): { file: number; end: number }[] {
    const from = piece * this.#info.pieceLength;
    const to = from + pieceLengthAt(this.#info, piece);
    const parts: { file: number; end: number }[] = [];
    for (let file = this.#lastStartingAtOrBefore(from); file < this.#starts.length; file++) {
      const start = this.#starts[file]!;
      if (start >= to) break;
      const end = Math.min(to - start, this.#info.files[file]!.length);
      if (this.#info.files[file]!.length > 0 && start + end > from) parts.push({ file, end });
    }
    return parts;
  }

  #lastStartingAtOrBefore(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
