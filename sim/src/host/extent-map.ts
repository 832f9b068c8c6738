/** Extents by offset, with gaps between them: what a file holds, and what of a piece has arrived. */
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, Zeros } from './extent.ts';

interface Placed {
  offset: number;
  extent: Extent;
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
    const parts = partsOf(extent);
    if (parts.length === 1) {
      this.#writeRun(offset, extent);
      return;
    }
    let at = offset;
    for (const part of parts) {
      this.#writeRun(at, part);
      at += part.length;
    }
  }

  /** Makes the range a gap. */
  clear(offset: number, length: number): void {
    const end = offset + length;
    const first = this.#firstEndingAfter(offset);
    let last = first;
    const left: Placed[] = [];
    for (; last < this.#placed.length && this.#placed[last]!.offset < end; last++) {
      const { offset: start, extent } = this.#placed[last]!;
      const from = Math.max(offset - start, 0);
      const to = Math.min(end - start, extent.length);
      if (from > 0) left.push({ offset: start, extent: extent.sub(0, from) });
      if (to < extent.length) left.push({ offset: end, extent: extent.sub(to, extent.length) });
      this.#storedBytes -= to - from;
    }
    if (first < last) this.#placed.splice(first, last - first, ...left);
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
  entries(): readonly Readonly<Placed>[] {
    return this.#placed;
  }

  #writeRun(offset: number, run: Extent): void {
    if (run.length === 0) return;
    const end = offset + run.length;
    let at = this.#firstEndingAfter(offset);
    if (at < this.#placed.length && this.#placed[at]!.offset < end) {
      this.clear(offset, run.length);
      at = this.#firstEndingAfter(offset);
    }
    this.#storedBytes += run.length;
    const before = this.#placed[at - 1];
    const after = this.#placed[at];
    const withBefore =
      before !== undefined && endOf(before) === offset ? before.extent.joined(run) : undefined;
    const grown = withBefore ?? run;
    const withAfter = after?.offset === end ? grown.joined(after.extent) : undefined;
    if (withBefore !== undefined) {
      before!.extent = withAfter ?? withBefore;
      if (withAfter !== undefined) this.#placed.splice(at, 1);
    } else if (withAfter !== undefined) {
      after!.offset = offset;
      after!.extent = withAfter;
    } else if (this.#placed.length === 0) {
      // Most files and many pieces are one run in the end, and a first push would make room for many.
      this.#placed = [{ offset, extent: run }];
    } else {
      this.#placed.splice(at, 0, { offset, extent: run });
    }
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
