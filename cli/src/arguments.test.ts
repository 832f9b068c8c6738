import { describe, expect, it } from 'vitest';
import {
  absolutePath,
  collected,
  parseHostAndPort,
  parseHttpUrl,
  parsePieceLength,
  parseRate,
  parseSize,
  parseTracker,
  parseWhole,
} from './arguments.ts';

describe('sizes and rates', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['64K', 65_536],
    ['1.5M', 1_572_864],
    ['2g', 2_147_483_648],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'M', '-1', '1e3', '2MB', '2 M', '0x10', '.5M', '1.', '1,5M', 'Infinity', '9999999999999T'])(
    'refuses %j',
    (text) => expect(() => parseSize(text)).toThrow(),
  );

  it('takes no limit so low that nothing moves, and 0 for none', () => {
    expect(parseRate('0')).toBe(0);
    expect(parseRate('1K')).toBe(1024);
    expect(() => parseRate('10')).toThrow(/least/);
  });

  it('takes powers of two for pieces', () => {
    expect(parsePieceLength('256K')).toBe(262_144);
    for (const text of ['8K', '32M', '100K', '0']) expect(() => parsePieceLength(text)).toThrow();
  });
});

describe('numbers and addresses', () => {
  it('takes whole numbers within bounds, in digits only', () => {
    expect(parseWhole(1, 10)('10')).toBe(10);
    for (const text of ['0', '11', '1.0', '+1', ' 1', '1e0', '']) {
      expect(() => parseWhole(1, 10)(text)).toThrow(/from 1 to 10/);
    }
  });

  it.each([
    ['127.0.0.1:6881', { host: '127.0.0.1', port: 6881 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['router.example.org:1', { host: 'router.example.org', port: 1 }],
  ])('reads %s', (text, address) => expect(parseHostAndPort(text)).toEqual(address));

  it.each([
    '',
    '127.0.0.1',
    ':80',
    'a:0',
    'a:65536',
    '1.2.3:80',
    '1.2.3.4.5:80',
    '256.0.0.1:1',
    '::1:80',
    'a b:80',
    '-a:80',
  ])('refuses %j', (text) => expect(() => parseHostAndPort(text)).toThrow(/HOST:PORT/));

  it('takes HTTP addresses only, and leaves those of trackers as they are', () => {
    expect(parseHttpUrl('http://127.0.0.1:7700/')).toBe('http://127.0.0.1:7700');
    expect(parseTracker('http://t.example/announce/')).toBe('http://t.example/announce/');
    for (const text of ['', 'udp://t.example', 'file:///etc/passwd', 't.example']) {
      expect(() => parseHttpUrl(text)).toThrow();
    }
  });

  it('collects what is repeated, in order', () => {
    const collect = collected(parseWhole(0, 9));
    expect(collect('2', collect('1'))).toEqual([1, 2]);
  });

  it('makes paths absolute and refuses what is none', () => {
    expect(absolutePath('/a/b')).toBe('/a/b');
    expect(absolutePath('b').endsWith('/b')).toBe(true);
    for (const text of ['', 'a\0b']) expect(() => absolutePath(text)).toThrow();
  });
});
