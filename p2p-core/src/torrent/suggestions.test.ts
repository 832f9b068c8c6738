import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Suggestions } from './suggestions.ts';

function seedOf(pieceCount: number, chance = 0) {
  const had = new Array<number>(pieceCount).fill(0);
  const suggestions = new Suggestions<string>({ pieceCount, availability: (index) => had[index]!, chance });
  return { had, suggestions };
}

describe('a seed suggests', () => {
  test('each piece to one peer, as far ahead as it is asked to', () => {
    const { suggestions } = seedOf(6);
    expect(suggestions.advise('a', 2)).toEqual([0, 1]);
    expect(suggestions.advise('b', 2)).toEqual([2, 3]);
    expect(suggestions.advise('a', 2)).toEqual([]);
    suggestions.asked('a', 0);
    expect(suggestions.advise('a', 2)).toEqual([4]);
  });

  test('nothing that somebody has, and nothing once all is had', () => {
    const { had, suggestions } = seedOf(3, 0.5);
    had[1] = 1;
    expect(suggestions.advise('a', 5)).toEqual([2, 0]);
    had.fill(1);
    expect(suggestions.advise('b', 5)).toEqual([]);
  });

  test('to others what a peer that is gone was to fetch', () => {
    const { suggestions } = seedOf(2);
    expect(suggestions.advise('a', 5)).toEqual([0, 1]);
    expect(suggestions.advise('b', 1)).toEqual([]);
    suggestions.drop('a');
    expect(suggestions.advise('b', 1)).toEqual([0]);
  });

  test('again what has become rare, after a while', () => {
    const { had, suggestions } = seedOf(2);
    had.fill(1);
    expect(suggestions.advise('a', 1)).toEqual([]);
    had[1] = 0;
    expect(suggestions.advise('a', 1)).toEqual([]);
    suggestions.renew();
    expect(suggestions.advise('a', 1)).toEqual([1]);
  });
});

test('whatever peers do, no piece is promised to two of them', () => {
  const peer = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    fc.record({ do: fc.constant('advise' as const), peer, ahead: fc.nat(4) }),
    fc.record({ do: fc.constant('asked' as const), peer, index: fc.nat(9) }),
    fc.record({ do: fc.constant('drop' as const), peer }),
    fc.record({ do: fc.constant('has' as const), index: fc.nat(9) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      (steps, chance) => {
        const { had, suggestions } = seedOf(10, chance);
        const owner = new Map<number, string>();
        for (const each of steps) {
          if (each.do === 'has') had[each.index] = 1;
          else if (each.do === 'asked') suggestions.asked(each.peer, each.index);
          else if (each.do === 'drop') {
            suggestions.drop(each.peer);
            for (const [index, of] of owner) if (of === each.peer) owner.delete(index);
          } else {
            for (const index of suggestions.advise(each.peer, each.ahead)) {
              expect(had[index]).toBe(0);
              expect(owner.has(index)).toBe(false);
              owner.set(index, each.peer);
            }
          }
        }
      },
    ),
  );
});
