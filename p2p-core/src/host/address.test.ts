import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressFamily,
  decodeCompactAddresses,
  encodeCompactAddress,
  formatAddress,
  formatIp,
  parseAddress,
  parseIp,
} from './address.ts';

describe('addresses', () => {
  test.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s is spelled %s (RFC 5952)', (text, canonical) => {
    expect(formatIp(parseIp(text)!)).toBe(canonical);
  });

  test.each([
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    '1.2.3.4::',
    'fe80::1%eth0',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    'localhost',
    '1:2:3:4:5:6:7:8:',
    ':1:2:3:4:5:6:7:8',
  ])('%j is not an IP literal', (text) => {
    expect(parseIp(text)).toBeUndefined();
    expect(addressFamily(text)).toBeUndefined();
  });

  test('text survives a round trip, whatever the address', () => {
    const ip = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(ip, fc.integer({ min: 0, max: 65535 }), (bytes, port) => {
        const address = { host: formatIp(bytes), port };
        expect(parseAddress(formatAddress(address))).toEqual(address);
        expect(parseIp(address.host)).toEqual(bytes);
      }),
    );
  });

  test.each([
    '1.2.3.4',
    '1.2.3.4:65536',
    '1.2.3.4:-1',
    '::1:80',
    '[::1]',
    '[1.2.3.4]:80',
    'a:80',
    '1.2.3.4:+8',
  ])('%j is not an address', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('compact form is as BEP 23 and BEP 7 lay it out', () => {
    expect(encodeCompactAddress({ host: '10.0.0.1', port: 6881 })).toEqual(
      Uint8Array.of(10, 0, 0, 1, 0x1a, 0xe1),
    );
    expect(encodeCompactAddress({ host: '::1', port: 258 })).toEqual(
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2),
    );
    expect(() => encodeCompactAddress({ host: 'example.org', port: 1 })).toThrow(RangeError);
    expect(() => encodeCompactAddress({ host: '1.2.3.4', port: 65536 })).toThrow(RangeError);
  });

  test('a torn tail and port 0 are left out', () => {
    const bytes = Uint8Array.of(10, 0, 0, 1, 0x1a, 0xe1, 10, 0, 0, 2, 0, 0, 10, 0, 0, 3, 0, 80, 10, 0, 0);
    expect(decodeCompactAddresses(bytes, 4)).toEqual([
      { host: '10.0.0.1', port: 6881 },
      { host: '10.0.0.3', port: 80 },
    ]);
    expect(decodeCompactAddresses(encodeCompactAddress({ host: '::1', port: 258 }), 6)).toEqual([
      { host: '::1', port: 258 },
    ]);
  });
});
