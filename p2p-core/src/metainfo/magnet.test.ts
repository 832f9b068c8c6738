import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex } from '../bytes.ts';
import { formatMagnet, MetainfoError, parseMagnet } from './index.ts';

const HEX = 'c12fe1c06bba254a9dc9f519b335aa7c1367a88a';
const BASE32 = 'YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK';

test.each([
  [`magnet:?xt=urn:btih:${HEX}`],
  [`MAGNET:?xt=urn:BTIH:${HEX.toUpperCase()}`],
  [`  magnet:?xt=urn:btih:${BASE32}\n`],
  [`magnet:?xt=urn:btih:${BASE32.toLowerCase()}`],
  [`magnet:?xt=urn%3Abtih%3A${HEX}&xt=urn:btmh:1220aa&so=0,2&junk&=`],
  [`magnet:?dn=a&xt.1=urn:sha1:ABC&xt.2=urn:btih:${HEX}&xt=urn:btih:${BASE32}`],
])('the infohash of %j', (text) => {
  expect(toHex(parseMagnet(text).infoHash)).toBe(HEX);
});

test('names, trackers and peers', () => {
  const magnet = parseMagnet(
    `magnet:?xt=urn:btih:${HEX}&dn=A+b%2Bc%20%C3%A4&tr=http%3A%2F%2Fa%2Fx%3Fk%3D1&tr.1=udp://b:1&tr=udp://b:1&tr=` +
      '&x.pe=127.0.0.1:80&x.pe=[2001:DB8::1]:6881&x.pe=Localhost:1&x.pe=127.0.0.1:80',
  );
  expect(magnet).toEqual({
    infoHash: magnet.infoHash,
    displayName: 'A b+c ä',
    trackers: ['http://a/x?k=1', 'udp://b:1'],
    peers: [
      { host: '127.0.0.1', port: 80 },
      { host: '2001:db8::1', port: 6881 },
      { host: 'localhost', port: 1 },
    ],
  });
});

test.each<[string, string, RegExp]>([
  ['', 'not-a-magnet', /begin/],
  ['http://x', 'not-a-magnet', /begin/],
  ['magnet:?', 'not-a-magnet', /no infohash/],
  ['magnet:?dn=x', 'not-a-magnet', /no infohash/],
  ['magnet:?xt=urn:btih:1234', 'not-a-magnet', /40 hex/],
  [`magnet:?xt=urn:btih:${HEX.slice(0, 39)}g`, 'not-a-magnet', /40 hex/],
  [`magnet:?xt=urn:btih:${BASE32.slice(0, 31)}1`, 'not-a-magnet', /base32/],
  [`magnet:?xt=urn:btih:${HEX}&xt=urn:btih:${'0'.repeat(40)}`, 'not-a-magnet', /two/],
  ['magnet:?xt=urn:btmh:1220caf1', 'v2-unsupported', /v2/],
  [`magnet:?xt=urn:btih:${HEX}&dn=%zz`, 'not-a-magnet', /percent-encoding of 'dn'/],
  [`magnet:?xt=urn:btih:${HEX}&tr=%ff`, 'not-a-magnet', /percent-encoding of 'tr'/],
  [`magnet:?xt=urn:btih:${HEX}&x.pe=1.2.3.4`, 'not-a-magnet', /peer/],
  [`magnet:?xt=urn:btih:${HEX}&x.pe=1.2.3.999:5`, 'not-a-magnet', /peer/],
  [`magnet:?xt=urn:btih:${HEX}&x.pe=host:0`, 'not-a-magnet', /peer/],
  [`magnet:?xt=urn:btih:${HEX}&x.pe=host:65536`, 'not-a-magnet', /peer/],
  [`magnet:?xt=urn:btih:${HEX}&dn=${'a'.repeat(70_000)}`, 'not-a-magnet', /longer/],
])('refuses %j', (text, code, message) => {
  let error: unknown;
  try {
    parseMagnet(text);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(MetainfoError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
});

test('what is formatted is parsed back', () => {
  const url = fc.webUrl({ withQueryParameters: true });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
      fc.uniqueArray(url, { maxLength: 4 }),
      fc.uniqueArray(fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })), {
        maxLength: 3,
        selector: String,
      }),
      (infoHash, displayName, trackers, addresses) => {
        const peers = addresses.map(([host, port]) => ({ host, port }));
        const magnet = { infoHash, ...(displayName === undefined ? {} : { displayName }), trackers, peers };
        expect(parseMagnet(formatMagnet(magnet))).toEqual(magnet);
      },
    ),
  );
});
