/** A simulated file against the plain thing: arrays of bytes, one as it is and one as it was synced. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Extent } from './extent.ts';
import { joinExtents, RealExtent, SyntheticExtent, SyntheticSource, Zeros } from './extent.ts';
import { RandomStream } from './random-stream.ts';
import { SparseFile } from './sparse-file.ts';

const SECTOR = 4_096;
const SIZE = 10 * SECTOR;
const FILM = new SyntheticSource('film');

/** Written by pattern: cheap to make, and wrong if displaced by one. */
const part: fc.Arbitrary<Extent> = fc.oneof(
  fc
    .tuple(fc.nat(255), fc.nat(2 * SECTOR))
    .map(([start, length]) => RealExtent.of(Uint8Array.from({ length }, (_, i) => 1 + ((start + i) % 251)))),
  fc.tuple(fc.nat(9_999), fc.nat(SECTOR)).map(([at, length]) => new SyntheticExtent(FILM, at, length)),
  fc.nat(SECTOR).map((length) => new Zeros(length, true)),
);
const write = fc.record({
  offset: fc.nat(3 * SECTOR),
  extent: fc.array(part, { maxLength: 3 }).map(joinExtents),
  isAppended: fc.boolean(),
  isSynced: fc.boolean(),
});
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

class Model {
  readonly bytes = new Uint8Array(40 * SECTOR);
  readonly isWritten = new Set<number>();
  length = 0;
  /** The bytes and length at the last sync. */
  synced = this.bytes.slice();
  syncedLength = 0;

  write(offset: number, extent: Extent): void {
    this.bytes.set(extent.bytes(), offset);
    for (let i = 0; i < extent.length; i++) this.isWritten.add(offset + i);
    this.length = Math.max(this.length, offset + extent.length);
  }

  sync(): void {
    this.synced = this.bytes.slice();
    this.syncedLength = this.length;
  }
}

function play(writes: readonly Write[]): { file: SparseFile; model: Model } {
  const file = new SparseFile();
  const model = new Model();
  for (const { offset, extent, isAppended, isSynced } of writes) {
    const at = isAppended ? file.length : offset;
    file.write(at, extent);
    model.write(at, extent);
    if (!isSynced) continue;
    file.sync();
    model.sync();
  }
  return { file, model };
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const bytesOf = (file: SparseFile) => file.read(0, file.length).bytes();
const writes = fc.array(write, { maxLength: 8 });

test('any writes read back as in one flat array, and the room they take is counted', () => {
  fc.assert(
    fc.property(writes, fc.nat(SIZE), fc.nat(SIZE), (played, x, y) => {
      const { file, model } = play(played);
      expect(file.length).toBe(model.length);
      expect(same(bytesOf(file), model.bytes.subarray(0, model.length))).toBe(true);
      const [from, to] = [Math.min(x, y, file.length), Math.min(Math.max(x, y), file.length)];
      expect(same(file.read(from, to - from).bytes(), model.bytes.subarray(from, to))).toBe(true);
      expect(file.storedBytes).toBe(model.isWritten.size);
      let missing = 0;
      for (let at = x; at < x + SECTOR; at++) if (!model.isWritten.has(at)) missing++;
      expect(file.missingIn(x, SECTOR)).toBe(missing);
    }),
    { numRuns: 60 },
  );
});

describe('power loss', () => {
  test('takes back all that was written since the last sync, if all is lost', () => {
    fc.assert(
      fc.property(writes, (played) => {
        const { file, model } = play(played);
        file.loseUnsynced(1, new RandomStream(1, 'loss'));
        expect(file.length).toBe(model.syncedLength);
        expect(same(bytesOf(file), model.synced.subarray(0, file.length))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('takes nothing, if nothing is lost', () => {
    fc.assert(
      fc.property(writes, (played) => {
        const { file, model } = play(played);
        file.loseUnsynced(0, new RandomStream(1, 'loss'));
        expect(same(bytesOf(file), model.bytes.subarray(0, model.length))).toBe(true);
        // What survived one power loss survives the next.
        file.loseUnsynced(1, new RandomStream(1, 'loss'));
        expect(same(bytesOf(file), model.bytes.subarray(0, model.length))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('else leaves each sector old or new, of growth a prefix, and what was synced', () => {
    let torn = 0;
    fc.assert(
      fc.property(writes, fc.integer(), (played, seed) => {
        const { file, model } = play(played);
        file.loseUnsynced(0.5, new RandomStream(seed, 'loss'));
        expect(file.length).toBeGreaterThanOrEqual(model.syncedLength);
        expect(file.length).toBeLessThanOrEqual(model.length);
        const bytes = bytesOf(file);
        const fates = new Set<string>();
        for (let from = 0; from < file.length; from += SECTOR) {
          // Beyond the synced length there is no old.
          const to = Math.min(from + SECTOR, file.length);
          const old = Math.min(to, Math.max(from, model.syncedLength));
          const isNew = same(bytes.subarray(from, old), model.bytes.subarray(from, old));
          const isOld = same(bytes.subarray(from, old), model.synced.subarray(from, old));
          expect(isNew || isOld).toBe(true);
          if (isNew !== isOld) fates.add(isNew ? 'new' : 'old');
          expect(same(bytes.subarray(old, to), model.bytes.subarray(old, to))).toBe(true);
        }
        if (fates.size === 2) torn++;
      }),
      { numRuns: 200 },
    );
    expect(torn).toBeGreaterThan(0);
  });

  test('a length that was set is kept, and what was written before it and not synced is a hole', () => {
    const file = new SparseFile();
    file.write(0, RealExtent.of(new Uint8Array(100).fill(1)));
    file.extendTo(1_000);
    file.loseUnsynced(1, new RandomStream(1, 'loss'));
    expect([file.length, file.storedBytes]).toEqual([1_000, 0]);
    expect(bytesOf(file)).toEqual(new Uint8Array(1_000));
  });

  test('of a file of terabytes costs no more than of a large one', () => {
    const file = new SparseFile();
    file.extendTo(2 ** 42);
    file.sync();
    file.write(0, new SyntheticExtent(FILM, 0, 2 ** 42));
    file.loseUnsynced(0.5, new RandomStream(1, 'loss'));
    expect(file.storedBytes).toBeGreaterThan(2 ** 40);
    expect(file.storedBytes).toBeLessThan(2 ** 42);
    expect(file.storedBytes % SECTOR).toBe(0);
  });
});

test('a torn write leaves whole sectors of what was there, and of growth a prefix', () => {
  let torn = 0;
  fc.assert(
    fc.property(writes, write, fc.integer(), (played, { offset, extent }, seed) => {
      const { file, model } = play(played);
      const old = model.bytes.slice();
      const oldLength = model.length;
      const at = Math.min(offset, oldLength);
      file.writeTorn(at, extent, new RandomStream(seed, 'tear'));
      model.write(at, extent);
      expect(file.length).toBeLessThanOrEqual(model.length);
      const bytes = bytesOf(file);
      const fates = new Set<string>();
      for (let from = 0; from < oldLength; from += SECTOR) {
        const to = Math.min(from + SECTOR, oldLength);
        const isNew = same(bytes.subarray(from, to), model.bytes.subarray(from, to));
        const isOld = same(bytes.subarray(from, to), old.subarray(from, to));
        expect(isNew || isOld).toBe(true);
        if (isNew !== isOld) fates.add(isNew ? 'new' : 'old');
      }
      expect(same(bytes.subarray(oldLength), model.bytes.subarray(oldLength, file.length))).toBe(true);
      if (fates.size === 2) torn++;
    }),
    { numRuns: 200 },
  );
  expect(torn).toBeGreaterThan(0);
});

test('corrupt sectors are wrong in every byte, the others right, and holes stay holes', () => {
  fc.assert(
    fc.property(writes, fc.nat(SIZE), fc.nat(SECTOR), (played, offset, length) => {
      const { file, model } = play(played);
      file.corrupt(offset, length);
      const bytes = bytesOf(file);
      const from = Math.floor(offset / SECTOR) * SECTOR;
      const to = Math.ceil((offset + length) / SECTOR) * SECTOR;
      for (let at = 0; at < file.length; at++) {
        const isWrong = at >= from && at < to && model.isWritten.has(at);
        if ((bytes[at] !== model.bytes[at]) !== isWrong) expect.unreachable(`byte ${at}`);
      }
      expect(file.storedBytes).toBe(model.isWritten.size);
    }),
    { numRuns: 60 },
  );
});

test('a file written block by block in any order is one run in the end', () => {
  const blocks = Array.from({ length: 64 }, (_, i) => i * SECTOR).sort(
    (a, b) => ((a * 7) % 13) - ((b * 7) % 13),
  );
  const file = new SparseFile();
  for (const at of blocks) file.write(at, new SyntheticExtent(FILM, at, SECTOR));
  expect(file.read(0, file.length)).toEqual(new SyntheticExtent(FILM, 0, 64 * SECTOR));
});
