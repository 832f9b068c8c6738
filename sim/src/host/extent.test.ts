import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, RealExtent, SyntheticExtent, SyntheticSource, Zeros } from './extent.ts';

const SYNTHETIC = new SyntheticSource('a film');

/** Extents of every kind but rows. */
const runs = fc
  .record({
    kind: fc.constantFrom('real', 'synthetic', 'zeros'),
    length: fc.nat(100),
    isCorrupt: fc.boolean(),
  })
  .chain(({ kind, length, isCorrupt }) => {
    const good: fc.Arbitrary<Extent> =
      kind === 'real'
        ? fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => RealExtent.of(bytes))
        : kind === 'zeros'
          ? fc.constant(new Zeros(length, true))
          : fc.nat(2 ** 40).map((offset) => new SyntheticExtent(SYNTHETIC, offset, length));
    return good.map((extent) => (isCorrupt ? extent.corrupted() : extent));
  });

const extents = fc.oneof(runs, fc.array(runs, { maxLength: 4 }).map(joinExtents));

describe('extents', () => {
  test('a cut has the bytes of that part, and neighbours that were cut apart join again', () => {
    fc.assert(
      fc.property(extents, fc.nat(100), fc.nat(100), (extent, x, y) => {
        const [from, to] = [Math.min(x, y, extent.length), Math.min(Math.max(x, y), extent.length)];
        const parts = [extent.sub(0, from), extent.sub(from, to), extent.sub(to, extent.length)];
        expect(parts[1]!.bytes()).toEqual(extent.bytes().slice(from, to));
        const whole = joinExtents(parts);
        expect(whole.bytes()).toEqual(extent.bytes());
        expect(partsOf(whole).length).toBe(partsOf(extent).length);
      }),
    );
  });

  test('a corrupt one is wrong in every byte, and no other for being corrupted twice', () => {
    fc.assert(
      fc.property(runs, (extent) => {
        const once = extent.corrupted();
        expect(once.corrupted().bytes()).toEqual(once.bytes());
        if (once !== extent) expect(once.bytes().some((byte, i) => byte === extent.bytes()[i])).toBe(false);
      }),
    );
  });

  test('nothing joins but what follows in one source and state', () => {
    const at = (offset: number) => new SyntheticExtent(SYNTHETIC, offset, 10);
    expect(at(0).joined(at(11))).toBeUndefined();
    expect(at(10).joined(at(0))).toBeUndefined();
    expect(at(0).joined(at(10).corrupted())).toBeUndefined();
    expect(at(0).joined(new SyntheticExtent(new SyntheticSource('another'), 10, 10))).toBeUndefined();
    expect(at(0).joined(RealExtent.of(at(10).bytes()))).toBeUndefined();
    const bytes = RealExtent.of(new Uint8Array(20));
    expect(bytes.sub(0, 10).joined(RealExtent.of(new Uint8Array(10)))).toBeUndefined();
    expect(bytes.sub(0, 9).joined(bytes.sub(10, 20))).toBeUndefined();
  });
});

describe('synthetic content', () => {
  test('a seed has the same bytes for ever', () => {
    const start = new SyntheticSource('a film').bytes(0, 8);
    const far = new SyntheticSource('a film').bytes(2 ** 42 + 3, 8);
    expect([Buffer.from(start).toString('hex'), Buffer.from(far).toString('hex')]).toEqual([
      'ddc79555179f3cab',
      '8291f5672d83c9bd',
    ]);
  });

  test('it looks like noise, near the start and beyond 32 bits, and differs by seed and place', () => {
    for (const offset of [0, 2 ** 34, 2 ** 45]) {
      const counts = new Float64Array(256);
      for (const byte of SYNTHETIC.bytes(offset, 2 ** 18)) counts[byte]!++;
      // Chi-squared with 255 degrees of freedom: beyond 390 in one case of ten million.
      const chiSquared = counts.reduce((sum, count) => sum + (count - 1_024) ** 2 / 1_024, 0);
      expect(chiSquared).toBeGreaterThan(140);
      expect(chiSquared).toBeLessThan(390);
    }
    const windows = [0, 4, 2 ** 20, 2 ** 34, 2 ** 34 + 4, 2 ** 45].map((at) =>
      SYNTHETIC.bytes(at, 16).join(),
    );
    windows.push(new SyntheticSource('a fiim').bytes(0, 16).join());
    expect(new Set(windows).size).toBe(windows.length);
  });
});
