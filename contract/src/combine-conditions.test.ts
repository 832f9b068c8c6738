import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combineConditions } from './combine-conditions.ts';
import { Conditions, type PathConditions } from './conditions.ts';

const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];

describe('combineConditions', () => {
  it('is nothing for nothing', () => {
    expect(combineConditions([])).toEqual({});
    expect(
      combineConditions([{}, { link: {}, paths: [], clock: {}, disk: {} }, { clock: { skewMs: 0 } }]),
    ).toEqual({});
  });

  it('adds times up, takes the lowest rate, and lets chances be independent', () => {
    expect(
      combineConditions([
        { link: { upBytesPerSecond: 100 }, clock: { skewMs: 70 }, disk: { delayMs: 1, readErrorRate: 0.5 } },
        {
          link: { upBytesPerSecond: 50, downBytesPerSecond: 7 },
          clock: { skewMs: -20 },
          disk: { full: true, delayMs: 2, readErrorRate: 0.5, bytesPerSecond: 9 },
        },
      ]),
    ).toEqual({
      link: { upBytesPerSecond: 50, downBytesPerSecond: 7 },
      clock: { skewMs: 50 },
      disk: { full: true, delayMs: 3, readErrorRate: 0.75, bytesPerSecond: 9 },
    });
  });

  it('keeps for each remote what every layer does to it', () => {
    const base = [
      { with: [a, b], delayMs: 40 },
      { with: 'any' as const, delayMs: 5 },
    ];
    const partition = [{ with: [b, c], cut: 'out' as const }];
    expect(combineConditions([{ paths: base }, { paths: partition }])).toEqual({
      paths: [
        { with: [a], delayMs: 40 },
        { with: [b], delayMs: 40, cut: 'out' },
        { with: [c], delayMs: 5, cut: 'out' },
        { with: 'any', delayMs: 5 },
      ],
    });
  });

  it('spares a remote that a layer spares', () => {
    const paths: PathConditions[] = [{ with: [a] }, { with: 'any', cut: 'both' }];
    expect(combineConditions([{ paths }])).toEqual({ paths });
  });

  it.each([
    ['in', 'in', 'in'],
    ['in', 'out', 'both'],
    ['both', 'out', 'both'],
  ] as const)('cuts %s and %s come to %s', (one, other, both) => {
    const layers = [one, other].map((cut) => ({ paths: [{ with: 'any' as const, cut }] }));
    expect(combineConditions(layers).paths).toEqual([{ with: 'any', cut: both }]);
  });

  it('does to any remote what the layers do to it one by one', () => {
    const path = fc.record(
      {
        with: fc.oneof(
          fc.constant('any' as const),
          fc.uniqueArray(fc.constantFrom(a, b, c), { minLength: 1 }),
        ),
        delayMs: fc.integer({ min: 1, max: 9 }),
        cut: fc.constantFrom('in' as const, 'out' as const, 'both' as const),
      },
      { requiredKeys: ['with'] },
    );
    const layers = fc.array(fc.record({ paths: fc.array(path, { maxLength: 4 }) }), { maxLength: 4 });
    const decides = (paths: readonly PathConditions[], remote: string) =>
      paths.find((candidate) => candidate.with === 'any' || candidate.with.includes(remote));
    fc.assert(
      fc.property(layers, (all) => {
        const whole = Conditions.parse(combineConditions(all));
        for (const remote of [a, b, c, '10.0.0.4']) {
          const parts = all.map((layer) => decides(layer.paths, remote));
          const end = decides(whole.paths ?? [], remote);
          expect(end?.delayMs ?? 0).toBe(parts.reduce((total, part) => total + (part?.delayMs ?? 0), 0));
          for (const way of ['in', 'out'] as const) {
            const isCut = (part: PathConditions | undefined) => part?.cut === 'both' || part?.cut === way;
            expect(isCut(end)).toBe(parts.some(isCut));
          }
        }
      }),
    );
  });
});
