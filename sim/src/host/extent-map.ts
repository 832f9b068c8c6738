/** Extents by offset, with gaps between them: what a file holds, and what of a piece has arrived. */
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, Zeros } from './extent.ts';

interface Placed {
  readonly offset: number;
  readonly extent: Extent;
}

export class ExtentMap {
  /** Sorted by offset, none empty, none overlapping; neighbours of one run are one. */
  #placed: Placed[] = [];
  #storedBytes = 0;

  /** Bytes that are no gap. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** How many bytes of a range are gaps. */
  missingIn(offset: number, length: number): number {
    let missing = length;
    for (let i = this.#firstEndingAfter(offset); i < this.#placed.length; i++) {
      const { offset: start, extent } = this.#placed[i]!;
      const from = Math.max(start, offset);
      const to = Math.min(start + extent.length, offset + length);
      if (from >= to) break;
      missing -= to - from;
    }
    return missing;
  }

  /** The range, with gaps as holes. */
  read(offset: number, length: number): Extent {
    const first = this.#firstEndingAfter(offset);
    const placed = this.#placed[first];
    if (placed !== undefined && placed.offset <= offset) {
      const from = offset - placed.offset;
      if (from + length <= placed.extent.length) return placed.extent.sub(from, from + length);
    }
    const parts: Extent[] = [];
    const end = offset + length;
    let at = offset;
    for (let i = first; at < end; i++) {
      const next = this.#placed[i];
      const gapEnd = Math.min(end, next?.offset ?? end);
      if (at < gapEnd) parts.push(new Zeros(gapEnd - at, true));
      at = Math.max(at, gapEnd);
      if (next === undefined || at >= end) continue;
      const upTo = Math.min(end, next.offset + next.extent.length);
      parts.push(next.extent.sub(at - next.offset, upTo - next.offset));
      at = upTo;
    }
    return joinExtents(parts);
  }

  /** Puts an extent in place of what is there. */
  write(offset: number, extent: Extent): void {
    this.#replace(offset, extent.length, extent);
  }

  /** Makes the range a gap. */
  clear(offset: number, length: number): void {
    this.#replace(offset, length, undefined);
  }

  /** The gaps within a range. */
  gaps(offset: number, length: number): [from: number, to: number][] {
    const gaps: [number, number][] = [];
    let at = offset;
    const end = offset + length;
    for (let i = this.#firstEndingAfter(offset); i < this.#placed.length; i++) {
      const placed = this.#placed[i]!;
      if (placed.offset >= end) break;
      if (at < placed.offset) gaps.push([at, placed.offset]);
      at = endOf(placed);
    }
    if (at < end) gaps.push([at, end]);
    return gaps;
  }

  /** What the map holds, in order of offset. */
  entries(): readonly Placed[] {
    return this.#placed;
  }

  #replace(offset: number, length: number, extent: Extent | undefined): void {
    if (length === 0) return;
    const end = offset + length;
    // From the one that ends where this begins to the one that begins where this ends: they may join it.
    let first = this.#firstEndingAfter(offset);
    if (first > 0 && endOf(this.#placed[first - 1]!) === offset) first--;
    let last = first;
    const replacement: Placed[] = [];
    const keep = (at: number, kept: Extent) => {
      const before = replacement.at(-1);
      const joined = before !== undefined && endOf(before) === at ? before.extent.joined(kept) : undefined;
      if (joined === undefined) replacement.push({ offset: at, extent: kept });
      else replacement[replacement.length - 1] = { offset: before!.offset, extent: joined };
      this.#storedBytes += kept.length;
    };
    const tails: Placed[] = [];
    for (; last < this.#placed.length && this.#placed[last]!.offset <= end; last++) {
      const old = this.#placed[last]!;
      this.#storedBytes -= old.extent.length;
      const oldEnd = endOf(old);
      if (old.offset < offset) keep(old.offset, old.extent.sub(0, Math.min(oldEnd, offset) - old.offset));
      if (oldEnd > end) {
        const from = Math.max(end, old.offset);
        tails.push({ offset: from, extent: old.extent.sub(from - old.offset, old.extent.length) });
      }
    }
    let at = offset;
    if (extent !== undefined)
      for (const part of partsOf(extent)) {
        if (part.length > 0) keep(at, part);
        at += part.length;
      }
    for (const tail of tails) keep(tail.offset, tail.extent);
    if (this.#placed.length === last - first) this.#placed = replacement;
    else this.#placed.splice(first, last - first, ...replacement);
  }

  /** Index of the first extent that ends after `offset`. */
  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#placed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (endOf(this.#placed[middle]!) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function endOf({ offset, extent }: Placed): number {
  return offset + extent.length;
}
