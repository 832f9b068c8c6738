import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareBytes, concatBytes, equalBytes, fromHex, toHex } from './bytes.ts';

const anyBytes = fc.uint8Array({ maxLength: 40 });

test('hexadecimal text round-trips and agrees with Buffer', () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      expect(toHex(bytes)).toBe(Buffer.from(bytes).toString('hex'));
      expect(fromHex(toHex(bytes))).toEqual(bytes);
      expect(fromHex(toHex(bytes).toUpperCase())).toEqual(bytes);
    }),
  );
});

test.each(['0', 'abc', '0g', 'g0', '0x12', ' 12', '１２', '`0', '@a', '/1', ':1'])(
  'fromHex refuses %j',
  (text) => {
    expect(fromHex(text)).toBeUndefined();
  },
);

test('order and equality agree with Buffer', () => {
  fc.assert(
    fc.property(anyBytes, anyBytes, (left, right) => {
      expect(Math.sign(compareBytes(left, right))).toBe(Buffer.compare(left, right));
      expect(equalBytes(left, right)).toBe(Buffer.compare(left, right) === 0);
      expect(equalBytes(left, left.slice())).toBe(true);
    }),
  );
});

test('concatBytes copies its parts in order', () => {
  const first = Uint8Array.of(1, 2);
  const whole = concatBytes([first, new Uint8Array(), Uint8Array.of(3)]);
  expect(whole).toEqual(Uint8Array.of(1, 2, 3));
  first[0] = 9;
  expect(whole[0]).toBe(1);
  expect(concatBytes([])).toEqual(new Uint8Array());
});
