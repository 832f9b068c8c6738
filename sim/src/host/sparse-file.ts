/**
 * The content of one simulated file, and what of it a power loss may still take back. What was never
 * written reads as zeros and takes no room.
 */
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, Zeros } from './extent.ts';
import { ExtentMap } from './extent-map.ts';
import type { RandomStream } from './random-stream.ts';

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 4_096;
/** Of a longer range, this many parts are torn apart, each of whole sectors. */
const MAX_TORN_PARTS = 1_024;

export class SparseFile {
  readonly #now = new ExtentMap();
  #length = 0;
  /** What was at the last sync where the file was written since, below the length it had then. */
  #before: ExtentMap | undefined;
  #syncedLength = 0;

  get length(): number {
    return this.#length;
  }

  /** Bytes that take room on the disk: those written, holes left out. */
  get storedBytes(): number {
    return this.#now.storedBytes;
  }

  /** How many bytes of a range are holes yet, that is, by how much writing it would grow the file. */
  missingIn(offset: number, length: number): number {
    return this.#now.missingIn(offset, length);
  }

  /** The range, which must lie inside the file. */
  read(offset: number, length: number): Extent {
    return this.#now.read(offset, length);
  }

  write(offset: number, extent: Extent): void {
    this.#keepBefore(offset, Math.min(offset + extent.length, this.#syncedLength));
    this.#now.write(offset, written(extent));
    this.#length = Math.max(this.#length, offset + extent.length);
  }

  /** A write that a crash cut short: of the file's growth a prefix is there, of the rest some sectors. */
  writeTorn(offset: number, extent: Extent, random: RandomStream): void {
    const end = offset + extent.length;
    const inside = Math.min(Math.max(this.#length, offset), end);
    for (const [from, to] of tornParts(offset, inside))
      if (random.chance(0.5)) this.write(from, extent.sub(from - offset, to - offset));
    const grown = Math.floor(random.float() * (end - inside + 1));
    if (grown > 0) this.write(inside, extent.sub(inside - offset, inside - offset + grown));
  }

  /** Grows with a hole, durably; never shrinks. */
  extendTo(length: number): void {
    if (length <= this.#length) return;
    if (this.#syncedLength < this.#length) {
      const grown = this.#length - this.#syncedLength;
      this.#before ??= new ExtentMap();
      this.#before.write(this.#syncedLength, new Zeros(grown, true));
    }
    this.#length = length;
    this.#syncedLength = length;
  }

  sync(): void {
    this.#before = undefined;
    this.#syncedLength = this.#length;
  }

  /** Makes stored bytes of a range, to whole sectors, silently wrong. */
  corrupt(offset: number, length: number): void {
    const from = Math.floor(offset / SECTOR_BYTES) * SECTOR_BYTES;
    const to = Math.min(Math.ceil((offset + length) / SECTOR_BYTES) * SECTOR_BYTES, this.#length);
    const wrong: { readonly at: number; readonly extent: Extent }[] = [];
    for (const { offset: start, extent } of this.#now.entries()) {
      const cutFrom = Math.max(from - start, 0);
      const cutTo = Math.min(to - start, extent.length);
      if (cutFrom < cutTo)
        wrong.push({ at: start + cutFrom, extent: extent.sub(cutFrom, cutTo).corrupted() });
    }
    for (const { at, extent } of wrong) this.#now.write(at, extent);
  }

  /**
   * Power loss: each sector written since the last sync is lost with the probability `lossRate`. A file
   * that grew keeps a prefix of its growth, of any number of bytes.
   */
  loseUnsynced(lossRate: number, random: RandomStream): void {
    const partBytes = tornPartBytes(this.#before?.storedBytes ?? 0);
    let part = -1;
    let isLost = false;
    for (const { offset, extent } of this.#before?.entries() ?? [])
      for (const [from, to] of partsBetween(offset, offset + extent.length, partBytes)) {
        const isNext = Math.floor(from / partBytes) !== part;
        part = Math.floor(from / partBytes);
        if (isNext) isLost = random.chance(lossRate);
        if (isLost) this.#restore(from, extent.sub(from - offset, to - offset));
      }
    for (const [from, to] of tornParts(this.#syncedLength, this.#length)) {
      if (!random.chance(lossRate)) continue;
      this.#truncate(lossRate < 1 ? from + Math.floor(random.float() * (to - from)) : from);
      break;
    }
    this.sync();
  }

  #truncate(length: number): void {
    this.#now.clear(length, this.#length - length);
    this.#length = length;
  }

  /** Remembers what is in a range, where it is not remembered yet. */
  #keepBefore(from: number, to: number): void {
    if (from >= to) return;
    this.#before ??= new ExtentMap();
    for (const [start, end] of this.#before.gaps(from, to - from))
      this.#before.write(start, this.#now.read(start, end - start));
  }

  #restore(offset: number, extent: Extent): void {
    let at = offset;
    for (const part of partsOf(extent)) {
      if (part instanceof Zeros && part.isHole) this.#now.clear(at, part.length);
      else this.#now.write(at, part);
      at += part.length;
    }
  }
}

/** Holes that are written become zeros, which take room. */
function written(extent: Extent): Extent {
  const parts = partsOf(extent);
  if (!parts.some((part) => part instanceof Zeros && part.isHole)) return extent;
  return joinExtents(parts.map((part) => (part instanceof Zeros ? new Zeros(part.length, false) : part)));
}

function tornParts(from: number, to: number): Iterable<[from: number, to: number]> {
  return partsBetween(from, to, tornPartBytes(to - from));
}

/** Whole sectors: one, but of a long range so many that its parts are not too many to tell apart. */
function tornPartBytes(lengthBytes: number): number {
  return SECTOR_BYTES * Math.max(1, Math.ceil(lengthBytes / SECTOR_BYTES / MAX_TORN_PARTS));
}

/** The range, cut at multiples of `partBytes`. */
function* partsBetween(from: number, to: number, partBytes: number): Generator<[from: number, to: number]> {
  for (let at = from; at < to; ) {
    const next = Math.min(to, (Math.floor(at / partBytes) + 1) * partBytes);
    yield [at, next];
    at = next;
  }
}
