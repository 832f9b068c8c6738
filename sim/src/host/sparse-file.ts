/**
 * The bytes of one simulated file, as slices that are never written to once they are in it. So a block
 * can go from one machine's disk over the network to a thousand others without being copied once.
 * What was never written reads as zeros and takes no room.
 */

interface Extent {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A write that power loss may still undo. */
interface UnsyncedWrite {
  readonly offset: number;
  readonly before: readonly Extent[];
  readonly lengthBytes: number;
  readonly fileLengthBefore: number;
}

const MAX_UNSYNCED_WRITES = 512;
const ZEROS = new Uint8Array(64 * 1024);

export class SparseFile {
  /** Sorted by offset, none overlapping. */
  #extents: Extent[] = [];
  #length = 0;
  #storedBytes = 0;
  #unsynced: UnsyncedWrite[] = [];

  get length(): number {
    return this.#length;
  }

  /** Bytes that take room on the disk: those written, holes left out. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** How many bytes of a range are holes yet, that is, by how much writing it would grow the file. */
  missingIn(offset: number, lengthBytes: number): number {
    let missing = lengthBytes;
    for (let i = this.#firstAfter(offset); i < this.#extents.length; i++) {
      const extent = this.#extents[i]!;
      const from = Math.max(extent.offset, offset);
      const to = Math.min(extent.offset + extent.bytes.length, offset + lengthBytes);
      if (from >= to) break;
      missing -= to - from;
    }
    return missing;
  }

  /** Takes ownership of the slices: nobody may change them afterwards. */
  write(offset: number, slices: readonly Uint8Array[]): void {
    const lengthBytes = slices.reduce((sum, slice) => sum + slice.length, 0);
    const before = this.#replace(offset, lengthBytes, slices);
    this.#unsynced.push({ offset, lengthBytes, before, fileLengthBefore: this.#length });
    this.#length = Math.max(this.#length, offset + lengthBytes);
    // A real kernel writes old pages back unasked; without that a log never synced would grow this one too.
    if (this.#unsynced.length > 2 * MAX_UNSYNCED_WRITES) this.#unsynced.splice(0, MAX_UNSYNCED_WRITES);
  }

  /** Grows with a hole; never shrinks. */
  extendTo(lengthBytes: number): void {
    this.#length = Math.max(this.#length, lengthBytes);
  }

  /** The range as slices that must not be written to. It must lie inside the file. */
  slices(offset: number, lengthBytes: number): Uint8Array[] {
    const slices: Uint8Array[] = [];
    const end = offset + lengthBytes;
    let at = offset;
    for (let i = this.#firstAfter(offset); at < end; i++) {
      const extent = this.#extents[i];
      const holeEnd = Math.min(end, extent?.offset ?? end);
      for (; at < holeEnd; at += Math.min(ZEROS.length, holeEnd - at))
        slices.push(ZEROS.subarray(0, Math.min(ZEROS.length, holeEnd - at)));
      if (extent === undefined || at >= end) continue;
      const upTo = Math.min(end, extent.offset + extent.bytes.length);
      slices.push(extent.bytes.subarray(at - extent.offset, upTo - extent.offset));
      at = upTo;
    }
    return slices;
  }

  sync(): void {
    this.#unsynced = [];
  }

  /**
   * Power loss: each write since the last sync is undone if `isLost` says so. Once a write that grew the
   * file is lost, so are the later ones that did: of appends a prefix stays.
   */
  loseUnsynced(isLost: () => boolean): void {
    let isGrowthLost = false;
    const lost = this.#unsynced.filter((write) => {
      const hasGrown = write.offset + write.lengthBytes > write.fileLengthBefore;
      const goes = isLost() || (hasGrown && isGrowthLost);
      isGrowthLost ||= goes && hasGrown;
      return goes;
    });
    for (const write of lost.reverse()) {
      this.#replace(write.offset, write.lengthBytes, []);
      for (const extent of write.before) this.#replace(extent.offset, extent.bytes.length, [extent.bytes]);
      if (write.offset + write.lengthBytes === this.#length) this.#length = write.fileLengthBefore;
    }
    this.#unsynced = [];
  }

  /** Puts slices in place of a range and gives what was there; no slices make a hole. */
  #replace(offset: number, lengthBytes: number, slices: readonly Uint8Array[]): Extent[] {
    if (lengthBytes === 0) return [];
    const end = offset + lengthBytes;
    const first = this.#firstAfter(offset);
    const replacement: Extent[] = [];
    const removed: Extent[] = [];
    let last = first;
    const head = this.#extents[first];
    if (head !== undefined && head.offset < offset)
      replacement.push({ offset: head.offset, bytes: head.bytes.subarray(0, offset - head.offset) });
    let at = offset;
    for (const bytes of slices) {
      if (bytes.length > 0) replacement.push({ offset: at, bytes });
      at += bytes.length;
      this.#storedBytes += bytes.length;
    }
    for (; last < this.#extents.length && this.#extents[last]!.offset < end; last++) {
      const extent = this.#extents[last]!;
      const from = Math.max(offset, extent.offset);
      const to = Math.min(end, extent.offset + extent.bytes.length);
      removed.push({ offset: from, bytes: extent.bytes.subarray(from - extent.offset, to - extent.offset) });
      this.#storedBytes -= to - from;
      if (to < extent.offset + extent.bytes.length)
        replacement.push({ offset: to, bytes: extent.bytes.subarray(to - extent.offset) });
    }
    this.#extents.splice(first, last - first, ...replacement);
    return removed;
  }

  /** Index of the first extent that ends after `offset`. */
  #firstAfter(offset: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const extent = this.#extents[middle]!;
      if (extent.offset + extent.bytes.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One array of all slices' bytes. */
export function joinSlices(slices: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(slices.reduce((sum, slice) => sum + slice.length, 0));
  let at = 0;
  for (const slice of slices) {
    whole.set(slice, at);
    at += slice.length;
  }
  return whole;
}
