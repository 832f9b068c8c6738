import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joinSlices, SparseFile } from './sparse-file.ts';

const SIZE = 300;
const write = fc.record({
  offset: fc.nat(200),
  parts: fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 3 }),
  isSynced: fc.boolean(),
});

test('any writes read back as in one flat array, and the room they take is counted', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
      const file = new SparseFile();
      const flat = new Uint8Array(SIZE);
      const isWritten = new Set<number>();
      file.extendTo(SIZE);
      for (const { offset, parts } of writes) {
        const bytes = joinSlices(parts);
        const missing = Array.from(bytes, (_, i) => offset + i).filter((at) => !isWritten.has(at)).length;
        expect(file.missingIn(offset, bytes.length)).toBe(missing);
        file.write(offset, parts);
        flat.set(bytes, offset);
        for (let i = 0; i < bytes.length; i++) isWritten.add(offset + i);
        expect(joinSlices(file.slices(0, SIZE))).toEqual(flat);
        expect(joinSlices(file.slices(offset, 50))).toEqual(flat.slice(offset, offset + 50));
        expect(file.storedBytes).toBe(isWritten.size);
      }
    }),
  );
});

test('power loss takes back what was written since the last sync, and no more', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
      const file = new SparseFile();
      let durable = new Uint8Array(0);
      for (const { offset, parts, isSynced } of writes) {
        file.write(offset, parts);
        if (!isSynced) continue;
        file.sync();
        durable = new Uint8Array(joinSlices(file.slices(0, file.length)));
      }
      file.loseUnsynced(() => true);
      expect(file.length).toBe(durable.length);
      expect(joinSlices(file.slices(0, file.length))).toEqual(durable);
    }),
  );
});

test('of appends, power loss leaves a prefix', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.boolean()), { maxLength: 20 }),
      (appends) => {
        const file = new SparseFile();
        for (const [bytes] of appends) file.write(file.length, [bytes]);
        const fates = appends.map(([, isLost]) => isLost);
        file.loseUnsynced(() => fates.shift() === true);
        const firstLost = appends.findIndex(([, isLost]) => isLost);
        const kept = appends.slice(0, firstLost < 0 ? appends.length : firstLost).map(([bytes]) => bytes);
        expect(joinSlices(file.slices(0, file.length))).toEqual(joinSlices(kept));
      },
    ),
  );
});
