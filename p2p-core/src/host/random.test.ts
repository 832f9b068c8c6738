import { expect, test } from 'vitest';
import type { Random } from './host.ts';
import { randomInt, shuffle } from './random.ts';

function scripted(...floats: number[]): Random {
  return { bytes: (length) => new Uint8Array(length), float: () => floats.shift()! };
}

test('randomInt covers its range and never reaches the bound', () => {
  expect(randomInt(scripted(0), 6)).toBe(0);
  expect(randomInt(scripted(1 - 2 ** -53), 6)).toBe(5);
  for (const bound of [0, -1, 1.5, Number.NaN])
    expect(() => randomInt(scripted(0), bound)).toThrow(RangeError);
});

test('shuffle is Fisher-Yates: each draw picks among those not placed yet', () => {
  expect(shuffle(scripted(0, 0.5, 0.99), ['a', 'b', 'c', 'd'])).toEqual(['d', 'c', 'b', 'a']);
  expect(shuffle(scripted(), ['only'])).toEqual(['only']);
});
