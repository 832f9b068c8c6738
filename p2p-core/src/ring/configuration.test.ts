import { describe, expect, it } from 'vitest';
import {
  checkConfiguration,
  majorityOf,
  type RingConfiguration,
  type RingMember,
  replacesConfiguration,
  successorsOf,
} from './configuration.ts';

function member(slot: string, generation = 1, over: Partial<RingMember> = {}): RingMember {
  return {
    slot,
    generation,
    address: { host: '127.0.0.1', port: 7_000 },
    voter: true,
    admittedAtTerm: 0,
    ...over,
  };
}
function ring(version: number, ...members: RingMember[]): RingConfiguration {
  return { version, members };
}

describe('a ring configuration', () => {
  it.each([
    ['a version that is no count', ring(-1, member('a'))],
    ['a slot twice', ring(1, member('a'), member('a', 2))],
    ['a slot with a space', ring(1, member('a b'))],
    ['a slot without a name', ring(1, member(''))],
    ['generation 0', ring(1, member('a', 0))],
    ['port 0', ring(1, member('a', 1, { address: { host: '::1', port: 0 } }))],
    ['a term that is no count', ring(1, member('a', 1, { admittedAtTerm: Number.NaN }))],
    ['too many members', ring(1, ...Array.from({ length: 129 }, (_, index) => member(`n${index}`)))],
  ])('is refused with %s', (_, configuration) => {
    expect(() => checkConfiguration(configuration)).toThrow(
      expect.objectContaining({ code: 'bad-configuration' }),
    );
  });

  it('takes the place of an older one only, one slot a version, generations never going back', () => {
    const now = ring(4, member('a'), member('b', 2), member('c'));
    expect(replacesConfiguration(now, ring(4, member('a')))).toBe(false);
    expect(replacesConfiguration(now, ring(5, member('a'), member('b', 3), member('c')))).toBe(true);
    expect(replacesConfiguration(now, ring(5, member('a'), member('b', 2)))).toBe(true);
    expect(replacesConfiguration(now, ring(6, member('a', 2), member('b', 3), member('c')))).toBe(true);
    const jump = expect.objectContaining({ code: 'configuration-jump' });
    expect(() => replacesConfiguration(now, ring(5, member('a', 2), member('b', 3), member('c')))).toThrow(
      jump,
    );
    expect(() => replacesConfiguration(now, ring(9, member('a'), member('b', 1), member('c')))).toThrow(jump);
    expect(replacesConfiguration(ring(0), ring(1, member('a'), member('b')))).toBe(true);
  });

  it('counts a majority of all voters', () => {
    const observer = member('z', 1, { voter: false });
    const sizes = [1, 2, 3, 4, 5].map((size) =>
      majorityOf(ring(1, observer, ...Array.from({ length: size }, (_, index) => member(`n${index}`)))),
    );
    expect(sizes).toEqual([1, 2, 2, 3, 3]);
  });

  it('has an order by slot, closed to a ring', () => {
    const configuration = ring(1, member('c'), member('a'), member('d'), member('b'));
    const after = (slot: string) => successorsOf(configuration, member(slot)).map((next) => next.slot);
    expect(after('b')).toEqual(['c', 'd', 'a']);
    expect(after('d')).toEqual(['a', 'b', 'c']);
  });
});
