import bencode from 'bencode';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BencodeError,
  type BencodeValue,
  bytesOf,
  type DecodeLimits,
  decodeBencode,
  dictOf,
  encodeBencode,
  integerOf,
  listOf,
  textOf,
} from './bencode.ts';

const bytesOfText = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const textOfBytes = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const decode = (text: string, limits?: DecodeLimits): BencodeValue =>
  decodeBencode(bytesOfText(text), limits).value;

function failure(bytes: Uint8Array, limits?: DecodeLimits): BencodeError {
  try {
    decodeBencode(bytes, limits);
  } catch (error) {
    expect(error).toBeInstanceOf(BencodeError);
    return error as BencodeError;
  }
  throw new Error('decoded what it should have refused');
}

const { value: valueArbitrary } = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.maxSafeInteger().map((integer) => integer + 0),
    fc.uint8Array({ maxLength: 30 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc
      .array(fc.tuple(fc.uint8Array({ maxLength: 20 }).map(textOfBytes), tie('value')), { maxLength: 6 })
      .map((entries) => new Map(entries)),
  ),
}));

/** The value as npm bencode's decoder gives it: plain objects, keys read as UTF-8 (hex if they are not). */
function asOracleGives(value: BencodeValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, entry]) => [key, asOracleGives(entry)]));
  }
  return Array.isArray(value) ? value.map(asOracleGives) : value;
}

describe('decoding', () => {
  test.each<[string, BencodeValue]>([
    ['i0e', 0],
    ['i-1e', -1],
    ['i9007199254740991e', Number.MAX_SAFE_INTEGER],
    ['i-9007199254740991e', Number.MIN_SAFE_INTEGER],
    ['0:', new Uint8Array()],
    ['4:spam', bytesOfText('spam')],
    ['le', []],
    ['de', new Map()],
    ['l4:spam4:eggse', [bytesOfText('spam'), bytesOfText('eggs')]],
    ['d4:spaml1:a1:bee', new Map([['spam', [bytesOfText('a'), bytesOfText('b')]]])],
    ['lllededeelee', [[[], new Map(), new Map()], []]],
    [
      'd0:i1e1:\xffi2ee',
      new Map([
        ['', 1],
        ['\xff', 2],
      ]),
    ],
    [
      'd1:bi1e1:ai2ee',
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    ],
  ])('%j', (text, value) => {
    expect(decode(text)).toEqual(value);
  });

  test.each<[string, BencodeError['code']]>([
    ['', 'truncated'],
    ['i', 'truncated'],
    ['i-', 'truncated'],
    ['i12', 'truncated'],
    ['l', 'truncated'],
    ['d', 'truncated'],
    ['d1:a', 'truncated'],
    ['d1:ai1e', 'truncated'],
    ['4', 'truncated'],
    ['4:', 'truncated'],
    ['4:spa', 'truncated'],
    ['99999999999999999999999999999999999999:a', 'truncated'],
    ['e', 'syntax'],
    ['x', 'syntax'],
    ['-1:a', 'syntax'],
    ['+1:a', 'syntax'],
    ['01:a', 'syntax'],
    ['00:', 'syntax'],
    ['1a', 'syntax'],
    ['ie', 'syntax'],
    ['i-e', 'syntax'],
    ['i+1e', 'syntax'],
    ['i1.5e', 'syntax'],
    ['i01e', 'syntax'],
    ['i00e', 'syntax'],
    ['i-0e', 'syntax'],
    ['i-01e', 'syntax'],
    ['i--1e', 'syntax'],
    ['di1ei2ee', 'syntax'],
    ['dlei1ee', 'syntax'],
    ['d1:ae', 'syntax'],
    ['i9007199254740992e', 'integer-range'],
    ['i-9007199254740992e', 'integer-range'],
    [`i${'9'.repeat(400)}e`, 'integer-range'],
    ['d1:ai1e1:ai1ee', 'duplicate-key'],
    ['ld1:ai1e1:b0:1:aleee', 'duplicate-key'],
    ['i1ei2e', 'trailing-bytes'],
    ['lee', 'trailing-bytes'],
  ])('refuses %j as %s', (text, code) => {
    expect(failure(bytesOfText(text)).code).toBe(code);
  });

  test('tells where values of the top-level dictionary lie, and only of that one', () => {
    const text = 'd4:infod1:ai1ee4:listl0:e1:ni-5e1:s3:abce';
    const { ranges } = decodeBencode(bytesOfText(text));
    const slices = [...ranges].map(([key, { start, end }]) => [key, text.slice(start, end)]);
    expect(slices).toEqual([
      ['info', 'd1:ai1ee'],
      ['list', 'l0:e'],
      ['n', 'i-5e'],
      ['s', '3:abc'],
    ]);
    expect(decodeBencode(bytesOfText('ld1:ai1eee')).ranges.size).toBe(0);
  });

  test('stops at the end of the value where trailing bytes are allowed', () => {
    const { value, end } = decodeBencode(bytesOfText('d1:ai1eeXXXX'), { allowTrailing: true });
    expect(value).toEqual(new Map([['a', 1]]));
    expect(end).toBe(8);
  });

  test('limits are exact', () => {
    expect(decode('lllleeee', { maxDepth: 4 })).toEqual([[[[]]]]);
    expect(failure(bytesOfText('lllleeee'), { maxDepth: 3 }).code).toBe('too-deep');
    expect(decode('d1:al0:i1eee', { maxTokens: 5 })).toBeInstanceOf(Map);
    expect(failure(bytesOfText('d1:al0:i1eee'), { maxTokens: 4 }).code).toBe('too-many-tokens');
    expect(decode('3:abc', { maxBytes: 5 })).toEqual(bytesOfText('abc'));
    expect(failure(bytesOfText('3:abc'), { maxBytes: 4 }).code).toBe('too-large');
    expect(failure(bytesOfText('l'.repeat(1_000_000))).code).toBe('too-deep');
    expect(failure(bytesOfText(`l${'i0e'.repeat(3_000_000)}e`)).code).toBe('too-many-tokens');
    expect(failure(new Uint8Array(10_000_001)).code).toBe('too-large');
  });

  test('byte strings are plain views into the input, also of a Buffer or a part of one', () => {
    const buffer = Buffer.from('..4:spam..').subarray(2, 8);
    const value = decodeBencode(buffer).value as Uint8Array;
    expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype);
    expect(value).toEqual(bytesOfText('spam'));
    buffer[2] = 0x53;
    expect(textOf(value)).toBe('Spam');
  });

  test('very long keys and keys that share a place of the cache stay apart', () => {
    const long = 'k'.repeat(100_000);
    expect([...(decode(`d100000:${long}i1ee`) as Map<string, unknown>).keys()]).toEqual([long]);
    for (let index = 0; index < 3000; index++) {
      const key = `key${index}`;
      expect([...(decode(`d${key.length}:${key}i1ee`) as Map<string, unknown>).keys()]).toEqual([key]);
    }
  });
});

describe('encoding', () => {
  test('what is encoded decodes to itself', () => {
    fc.assert(
      fc.property(valueArbitrary, (value) => {
        expect(decodeBencode(encodeBencode(value)).value).toEqual(value);
      }),
    );
  });

  test('agrees with npm bencode on what is valid', () => {
    fc.assert(
      fc.property(valueArbitrary, (value) => {
        const asciiOnly = (entry: BencodeValue): BencodeValue => {
          if (entry instanceof Map) {
            // __proto__ is where plain objects, and so the oracle, go wrong.
            const safe = [...entry].map(([key, inner]): [string, BencodeValue] => [
              toHexKey(key),
              asciiOnly(inner),
            ]);
            return new Map(safe);
          }
          return Array.isArray(entry) ? entry.map(asciiOnly) : entry;
        };
        const encoded = encodeBencode(asciiOnly(value));
        expect(bencode.decode(encoded)).toEqual(asOracleGives(decodeBencode(encoded).value));
        expect(bencode.encode(bencode.decode(encoded))).toEqual(encoded);
      }),
    );
  });

  test('sorts keys by bytes, takes objects and maps, leaves out undefined', () => {
    expect(textOfBytes(encodeBencode({ b: 'é', a: [1, 'x'], z: undefined, ab: new Map([['q', 0]]) }))).toBe(
      'd1:ali1e1:xe2:abd1:qi0ee1:b2:\xc3\xa9e',
    );
    const keys = ['\xff', '\x80', 'z', '', 'a', '\xe9x', 'é'.normalize('NFC')];
    expect(textOfBytes(encodeBencode(new Map(keys.map((key, index) => [key, index]))))).toBe(
      'd0:i3e1:ai4e1:zi2e1:\x80i1e1:\xe9i6e2:\xe9xi5e1:\xffi0ee',
    );
  });

  test.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, true, null, undefined, { Ā: 1 }, [null]])(
    'refuses %j',
    (value) => {
      expect(() => encodeBencode(value as number)).toThrow(BencodeError);
    },
  );
});

function toHexKey(key: string): string {
  return Buffer.from(key, 'latin1').toString('hex');
}

describe('typed readers', () => {
  const values: BencodeValue[] = [1, bytesOfText('text'), [2], new Map([['k', 3]])];
  test('each takes its own type only', () => {
    expect(values.map(integerOf)).toEqual([1, undefined, undefined, undefined]);
    expect(values.map(bytesOf)).toEqual([undefined, values[1], undefined, undefined]);
    expect(values.map(textOf)).toEqual([undefined, 'text', undefined, undefined]);
    expect(values.map(listOf)).toEqual([undefined, undefined, values[2], undefined]);
    expect(values.map(dictOf)).toEqual([undefined, undefined, undefined, values[3]]);
    for (const read of [integerOf, bytesOf, textOf, listOf, dictOf]) expect(read(undefined)).toBeUndefined();
  });

  test('text is strict UTF-8, nothing stripped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        expect(textOf(new TextEncoder().encode(text))).toBe(text);
      }),
    );
    expect(textOf(Uint8Array.of(0xff))).toBeUndefined();
    expect(textOf(Uint8Array.of(0xed, 0xa0, 0x80))).toBeUndefined();
    expect(textOf(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa');
  });
});

describe('hostile input', () => {
  test('random bytes out of the alphabet of bencode decode to one value or give a BencodeError', () => {
    const alphabet = fc.constantFrom(...bytesOfText('deil0123456789:-\xff'));
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 60 }), (characters) => {
        const bytes = Uint8Array.from(characters);
        let value: BencodeValue;
        try {
          value = decodeBencode(bytes).value;
        } catch (error) {
          expect(error).toBeInstanceOf(BencodeError);
          return;
        }
        // Strict: what is accepted has one spelling, but for the order of keys.
        expect(encodeBencode(value).length).toBe(bytes.length);
      }),
      { numRuns: 3000 },
    );
  });

  test('mutations and truncations of valid input never throw anything else', () => {
    fc.assert(
      fc.property(valueArbitrary, fc.nat(), fc.integer({ min: 0, max: 255 }), (value, where, byte) => {
        const encoded = encodeBencode(value);
        const at = where % encoded.length;
        expect(failure(encoded.slice(0, at)).code).toBe('truncated');
        encoded[at] = byte;
        try {
          decodeBencode(encoded);
        } catch (error) {
          expect(error).toBeInstanceOf(BencodeError);
        }
      }),
    );
  });
});
