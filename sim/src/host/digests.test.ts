/** Digests agree where bytes do, and nowhere else; hashing them for real changes nothing else. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Digests } from './digests.ts';
import type { Extent } from './extent.ts';
import { joinExtents, partsOf, RealExtent, SyntheticExtent, SyntheticSources, Zeros } from './extent.ts';

const sources = new SyntheticSources();
const film = sources.of('film');
const synthetic = (offset: number, length: number) => new SyntheticExtent(film, offset, length);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const modelled = new Digests('modelled');
const sha1 = (extent: Extent) => hex(modelled.of('sha1', extent));

/** Short runs of few sources, so that any two often have parts, or all, in common. */
const run: fc.Arbitrary<Extent> = fc.oneof(
  fc
    .tuple(fc.constantFrom('film', 'song'), fc.nat(3), fc.nat(3), fc.boolean())
    .map(
      ([seed, offset, length, isCorrupt]) =>
        new SyntheticExtent(sources.of(seed), offset * 8, length * 8, isCorrupt),
    ),
  fc.nat(2).map((length) => new Zeros(length * 8, true)),
  fc
    .tuple(fc.nat(1), fc.nat(2))
    .map(([byte, length]) => RealExtent.of(new Uint8Array(length * 8).fill(byte))),
);
const extent = fc.array(run, { maxLength: 3 }).map(joinExtents);

describe('modelled digests', () => {
  test('are equal where the bytes are, and only there', () => {
    let equal = 0;
    fc.assert(
      fc.property(extent, extent, fc.constantFrom('sha1', 'sha256'), (a, b, algorithm) => {
        const areEqual = hex(a.bytes()) === hex(b.bytes());
        if (areEqual && a.length > 0) equal++;
        const digests = [a, b].map((each) => hex(modelled.of(algorithm, each)));
        expect(digests[0] === digests[1]).toBe(areEqual);
      }),
      { numRuns: 3_000 },
    );
    expect(equal).toBeGreaterThan(5);
  });

  test('do not depend on how an extent was cut and joined on its way', () => {
    const whole = synthetic(100, 1_000);
    const rejoined = joinExtents([whole.sub(0, 1), whole.sub(1, 600), whole.sub(600, 1_000)]);
    expect(sha1(rejoined)).toBe(sha1(whole));
    expect(sha1(synthetic(0, 5_000).sub(100, 1_100))).toBe(sha1(whole));
  });

  test('have their own lengths', () => {
    expect(modelled.of('sha1', synthetic(0, 9)).length).toBe(20);
    expect(modelled.of('sha256', synthetic(0, 9)).length).toBe(32);
  });

  test('cannot be forged: no bytes have one, neither the content itself nor its description', () => {
    const target = synthetic(0, 64);
    const attempts = [target.bytes(), new TextEncoder().encode(JSON.stringify([['good', 'film', 0, 64]]))];
    for (const algorithm of ['sha1', 'sha256'] as const) {
      const digest = hex(modelled.of(algorithm, target));
      for (const bytes of attempts) {
        expect(hex(modelled.of(algorithm, RealExtent.of(bytes)))).not.toBe(digest);
        expect(createHash(algorithm).update(bytes).digest('hex')).not.toBe(digest);
      }
    }
  });

  test('of other content than the right one, at the right place, are others', () => {
    const right = sha1(synthetic(64, 64));
    const wrong = [
      synthetic(64, 64).corrupted(),
      synthetic(65, 64),
      synthetic(64, 63),
      new SyntheticExtent(sources.of('song'), 64, 64),
      joinExtents([synthetic(64, 32), synthetic(0, 32)]),
      joinExtents([synthetic(64, 63), synthetic(127, 1).corrupted()]),
      joinExtents([synthetic(64, 63), new Zeros(1, false)]),
      joinExtents([synthetic(96, 32), synthetic(64, 32)]),
    ];
    expect(wrong.map(sha1)).not.toContain(right);
    expect(new Set(wrong.map(sha1)).size).toBe(wrong.length);
  });
});

describe('real digests', () => {
  test('are SHA-1 and SHA-256 of the bytes; of real bytes, in a modelled world too', () => {
    const real = new Digests('real');
    fc.assert(
      fc.property(extent, fc.constantFrom('sha1', 'sha256'), (each, algorithm) => {
        const expected = createHash(algorithm).update(each.bytes()).digest('hex');
        expect(hex(real.of(algorithm, withSourcesOf(each)))).toBe(expected);
        if (!partsOf(each).some((part) => part instanceof SyntheticExtent))
          expect(hex(modelled.of(algorithm, each))).toBe(expected);
      }),
    );
  });
});

test('a digest is computed once for all who hold the content', () => {
  const piece = synthetic(0, 2 ** 18);
  expect(modelled.of('sha1', piece)).toBe(modelled.of('sha1', synthetic(0, 2 ** 18)));
  const bytes = RealExtent.of(new Uint8Array(300));
  const rejoined = joinExtents([bytes.sub(100, 150), bytes.sub(150, 200)]);
  expect(modelled.of('sha1', bytes.sub(100, 200))).toBe(modelled.of('sha1', rejoined));
});

/** The same bytes in sources of their own: digests are kept with sources, which belong to one world. */
function withSourcesOf(extent: Extent): Extent {
  const others = new SyntheticSources();
  return joinExtents(
    partsOf(extent).map((part) =>
      part instanceof SyntheticExtent
        ? new SyntheticExtent(others.of(part.source.seed), part.offset, part.length, part.isCorrupt)
        : part,
    ),
  );
}
