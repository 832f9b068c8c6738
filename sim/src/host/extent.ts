/**
 * An extent: an immutable run of payload bytes that costs nothing to cut, to hand on and to keep. What a
 * simulated disk holds, a connection carries and a piece gathers are extents, so a block goes from one
 * machine to a thousand others without being copied once.
 *
 * A real extent is a view of bytes that somebody wrote. A synthetic one is only a description (whose
 * content, from where, how much, good or corrupt) of bytes that follow from a seed: a file of 4 GiB on
 * ten thousand machines takes no more memory than one line of text on each.
 *
 * Simulated hashing knows extents by their descriptions (see digests.ts), so payload must stay an extent
 * on its whole way: bytes taken out of a synthetic extent and wrapped as a real one are other content.
 */
import type { DigestTable } from './digests.ts';

export interface Extent {
  readonly length: number;
  /** The bytes from `from` up to `to`, which lie inside. */
  sub(from: number, to: number): Extent;
  /** The bytes, which must not be written to. Derived anew at each call if they are synthetic. */
  bytes(): Uint8Array;
  /** This and `next` as one extent where they are one run of one source; undefined where they are not. */
  joined(next: Extent): Extent | undefined;
  /** As long, and wrong in every byte. What is corrupt already stays as it is. */
  corrupted(): Extent;
}

/** Bytes that nobody changes any more, and digests of runs of them. */
interface RealSource {
  readonly bytes: Uint8Array;
  readonly isCorrupt: boolean;
  tables: DigestTable[] | undefined;
}

export class RealExtent implements Extent {
  readonly source: RealSource;
  readonly offset: number;
  readonly length: number;

  private constructor(source: RealSource, offset: number, length: number) {
    this.source = source;
    this.offset = offset;
    this.length = length;
  }

  /** Takes ownership of `bytes`: nobody may change them afterwards. */
  static of(bytes: Uint8Array): RealExtent {
    return new RealExtent({ bytes, isCorrupt: false, tables: undefined }, 0, bytes.length);
  }

  sub(from: number, to: number): Extent {
    if (from === 0 && to === this.length) return this;
    return new RealExtent(this.source, this.offset + from, to - from);
  }

  bytes(): Uint8Array {
    const { bytes } = this.source;
    return this.length === bytes.length ? bytes : bytes.subarray(this.offset, this.offset + this.length);
  }

  joined(next: Extent): Extent | undefined {
    return next instanceof RealExtent &&
      next.source === this.source &&
      next.offset === this.offset + this.length
      ? new RealExtent(this.source, this.offset, this.length + next.length)
      : undefined;
  }

  corrupted(): Extent {
    if (this.source.isCorrupt) return this;
    const source = { bytes: inverted(this.bytes()), isCorrupt: true, tables: undefined };
    return new RealExtent(source, 0, this.length);
  }
}

/**
 * Content that follows from a seed: endless, the same bytes wherever and whenever they are derived, and
 * found at any offset without the bytes before it. Contents of one world and seed are one object.
 */
export class SyntheticSource {
  readonly seed: string;
  tables: DigestTable[] | undefined;
  readonly #low: number;
  readonly #high: number;
  readonly #last: number;

  constructor(seed: string) {
    this.seed = seed;
    this.#low = fnv1a(seed, 0x811c9dc5);
    this.#high = fnv1a(seed, 0x9747b28c);
    this.#last = fnv1a(seed, 0x3c6ef372);
  }

  /** Noise for tests and for handlers that look at payload; nothing here resists an adversary. */
  bytes(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const place = offset + at;
      let word = this.#word(Math.floor(place / 4)) >>> ((place % 4) * 8);
      for (let left = 4 - (place % 4); left > 0 && at < length; left--) {
        bytes[at++] = word;
        word >>>= 8;
      }
    }
    return bytes;
  }

  /** Word number `index` of the content: a counter, mixed by the finaliser of MurmurHash3 (Appleby). */
  #word(index: number): number {
    let word = mixed((index ^ this.#low) | 0);
    word = mixed((word + Math.imul(Math.floor(index / 2 ** 32) + this.#high, 0x9e3779b1)) | 0);
    return mixed(word ^ this.#last);
  }
}

/** The synthetic contents of one world. */
export class SyntheticSources {
  readonly #bySeed = new Map<string, SyntheticSource>();

  of(seed: number | string): SyntheticSource {
    const key = String(seed);
    let source = this.#bySeed.get(key);
    if (source === undefined) {
      source = new SyntheticSource(key);
      this.#bySeed.set(key, source);
    }
    return source;
  }
}

export class SyntheticExtent implements Extent {
  readonly source: SyntheticSource;
  readonly offset: number;
  readonly length: number;
  readonly isCorrupt: boolean;

  constructor(source: SyntheticSource, offset: number, length: number, isCorrupt = false) {
    this.source = source;
    this.offset = offset;
    this.length = length;
    this.isCorrupt = isCorrupt;
  }

  sub(from: number, to: number): Extent {
    if (from === 0 && to === this.length) return this;
    return new SyntheticExtent(this.source, this.offset + from, to - from, this.isCorrupt);
  }

  bytes(): Uint8Array {
    const bytes = this.source.bytes(this.offset, this.length);
    return this.isCorrupt ? inverted(bytes) : bytes;
  }

  joined(next: Extent): Extent | undefined {
    return next instanceof SyntheticExtent &&
      next.source === this.source &&
      next.isCorrupt === this.isCorrupt &&
      next.offset === this.offset + this.length
      ? new SyntheticExtent(this.source, this.offset, this.length + next.length, this.isCorrupt)
      : undefined;
  }

  corrupted(): Extent {
    return this.isCorrupt ? this : new SyntheticExtent(this.source, this.offset, this.length, true);
  }
}

const ZERO_BYTES = new Uint8Array(64 * 1024);

/** Zeros, written or never written; the latter, a hole, take no room on a disk. */
export class Zeros implements Extent {
  readonly length: number;
  readonly isHole: boolean;

  constructor(length: number, isHole: boolean) {
    this.length = length;
    this.isHole = isHole;
  }

  sub(from: number, to: number): Extent {
    return new Zeros(to - from, this.isHole);
  }

  bytes(): Uint8Array {
    return this.length <= ZERO_BYTES.length
      ? ZERO_BYTES.subarray(0, this.length)
      : new Uint8Array(this.length);
  }

  joined(next: Extent): Extent | undefined {
    return next instanceof Zeros && next.isHole === this.isHole
      ? new Zeros(this.length + next.length, this.isHole)
      : undefined;
  }

  corrupted(): Extent {
    return RealExtent.of(this.bytes()).corrupted();
  }
}

/** Several runs end to end: what lies across two files, or around a corrupt byte. */
class Row implements Extent {
  readonly length: number;
  /** Two or more, none a row or empty, no neighbours of one run. */
  readonly parts: readonly Extent[];

  constructor(parts: readonly Extent[]) {
    this.parts = parts;
    this.length = parts.reduce((sum, part) => sum + part.length, 0);
  }

  sub(from: number, to: number): Extent {
    if (from === 0 && to === this.length) return this;
    const within: Extent[] = [];
    let start = 0;
    for (const part of this.parts) {
      const [cutFrom, cutTo] = [Math.max(from - start, 0), Math.min(to - start, part.length)];
      if (cutFrom < cutTo) within.push(part.sub(cutFrom, cutTo));
      start += part.length;
    }
    return joinExtents(within);
  }

  bytes(): Uint8Array {
    return joinSlices(this.parts.map((part) => part.bytes()));
  }

  joined(next: Extent): Extent {
    return joinExtents([this, next]);
  }

  corrupted(): Extent {
    return joinExtents(this.parts.map((part) => part.corrupted()));
  }
}

/** Extents laid end to end, as one. */
export function joinExtents(extents: readonly Extent[]): Extent {
  const parts: Extent[] = [];
  for (const extent of extents)
    for (const part of partsOf(extent)) {
      if (part.length === 0) continue;
      const joined = parts.at(-1)?.joined(part);
      if (joined === undefined) parts.push(part);
      else parts[parts.length - 1] = joined;
    }
  return parts.length === 1 ? parts[0]! : parts.length === 0 ? NOTHING : new Row(parts);
}

/** The runs that an extent consists of: itself, mostly. */
export function partsOf(extent: Extent): readonly Extent[] {
  return extent instanceof Row ? extent.parts : [extent];
}

const NOTHING = new Zeros(0, false);

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

function inverted(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0xff);
}

function mixed(word: number): number {
  let bits = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function fnv1a(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
