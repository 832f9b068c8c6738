import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex } from '../bytes.ts';
import { decodeBencode, type EncodableValue, encodeBencode } from '../wire/bencode.ts';
import { encodeMetainfo, MetainfoError, parseInfo, parseMetainfo, pieceLengthAt } from './index.ts';

const compute = {
  hash: (algorithm: string, bytes: Uint8Array) =>
    new Uint8Array(createHash(algorithm).update(bytes).digest()),
};
const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

type Fields = Record<string, EncodableValue | undefined>;
const hashes = (count: number) => new Uint8Array(count * 20).fill(1);
const single: Fields = { name: 'a.bin', length: 40_000, 'piece length': 16_384, pieces: hashes(3) };
const several: Fields = {
  name: 'dir',
  'piece length': 16_384,
  pieces: hashes(1),
  files: [
    { length: 10, path: ['sub', 'x'] },
    { length: 0, path: ['empty'] },
    { length: 20, path: ['y'] },
  ],
};
const torrent = (info: Fields, outer: Fields = {}) => encodeBencode({ ...outer, info });

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(MetainfoError);
    const { code, message } = error as MetainfoError;
    expect(message).toMatch(/^[A-Z].*\.$/);
    return code;
  }
  return 'accepted';
}

describe('info dictionary', () => {
  test('a single file', () => {
    const info = parseInfo(compute, encodeBencode(single));
    expect(info).toMatchObject({
      name: 'a.bin',
      length: 40_000,
      pieceLength: 16_384,
      pieceCount: 3,
      files: [{ path: 'a.bin', length: 40_000 }],
      private: false,
    });
    expect([0, 1, 2].map((index) => pieceLengthAt(info, index))).toEqual([16_384, 16_384, 7232]);
    for (const index of [-1, 3, 0.5]) expect(() => pieceLengthAt(info, index)).toThrow(RangeError);
  });

  test('several files, private', () => {
    const info = parseInfo(compute, encodeBencode({ ...several, private: 1 }));
    expect(info.files).toEqual([
      { path: 'dir/sub/x', length: 10 },
      { path: 'dir/empty', length: 0 },
      { path: 'dir/y', length: 20 },
    ]);
    expect(info).toMatchObject({ name: 'dir', length: 30, pieceCount: 1, private: true });
  });

  test('names in UTF-8 are preferred where old clients put them, and broken text is kept readable', () => {
    const info = parseInfo(
      compute,
      encodeBencode({
        ...several,
        name: latin1('d\xfcr'),
        files: [
          { length: 1, path: [latin1('\xfc')], 'path.utf-8': ['ü'] },
          { length: 1, path: [latin1('a\xff')] },
        ],
        'name.utf-8': 'dür',
      }),
    );
    expect(info.files.map((file) => file.path)).toEqual(['dür/ü', 'dür/a\ufffd']);
  });

  test.each<[string, Fields, string]>([
    ['no pieces', { pieces: undefined }, 'invalid'],
    ['v2 only', { pieces: undefined, 'meta version': 2, 'file tree': {} }, 'v2-unsupported'],
    ['hybrid', { 'meta version': 2, 'file tree': {} }, 'accepted'],
    ['pieces not bytes', { pieces: [] }, 'invalid'],
    ['odd pieces', { pieces: new Uint8Array(59) }, 'invalid'],
    ['too few hashes', { pieces: hashes(2) }, 'invalid'],
    ['too many hashes', { pieces: hashes(4) }, 'invalid'],
    ['piece length 0', { 'piece length': 0 }, 'invalid'],
    ['piece length negative', { 'piece length': -1 }, 'invalid'],
    ['piece length text', { 'piece length': '16384' }, 'invalid'],
    ['piece length huge', { 'piece length': 2 ** 40, pieces: hashes(1) }, 'invalid'],
    ['no name', { name: undefined }, 'invalid'],
    ['name a number', { name: 5 }, 'invalid'],
    ['no length', { length: undefined }, 'invalid'],
    ['negative length', { length: -5 }, 'invalid'],
    ['zero length', { length: 0, pieces: '' }, 'invalid'],
    ['both length and files', { files: several.files }, 'invalid'],
    ['private text', { private: 'yes' }, 'invalid'],
    ['private 0', { private: 0 }, 'accepted'],
    ['no files', { length: undefined, files: [] }, 'invalid'],
    ['files a dictionary', { length: undefined, files: {} }, 'invalid'],
    ['file a number', { length: undefined, files: [1] }, 'invalid'],
    ['file without path', { length: undefined, files: [{ length: 40_000 }] }, 'invalid'],
    ['file with empty path', { length: undefined, files: [{ length: 40_000, path: [] }] }, 'invalid'],
    ['path of numbers', { length: undefined, files: [{ length: 40_000, path: [1] }] }, 'invalid'],
    ['file without length', { length: undefined, files: [{ path: ['a'] }] }, 'invalid'],
    ['deep path', { length: undefined, files: [{ length: 40_000, path: Array(101).fill('a') }] }, 'invalid'],
    ['long path', { length: undefined, files: [{ length: 40_000, path: ['a'.repeat(3000)] }] }, 'invalid'],
    [
      'lengths that overflow',
      {
        length: undefined,
        files: [
          { length: Number.MAX_SAFE_INTEGER, path: ['a'] },
          { length: Number.MAX_SAFE_INTEGER, path: ['b'] },
        ],
      },
      'invalid',
    ],
  ])('%s: %s', (_, fields, code) => {
    expect(codeOf(() => parseInfo(compute, encodeBencode({ ...single, ...fields })))).toBe(code);
  });

  test('more names than can be checked in a moment are refused', () => {
    const files = `d6:lengthi1e4:pathl${'1:a'.repeat(100)}ee`.repeat(6001);
    const info = `d5:filesl${files}e4:name1:n12:piece lengthi16384e6:pieces20:${'h'.repeat(20)}e`;
    expect(() => parseInfo(compute, latin1(info))).toThrow(/more than 600000 names/);
  });

  test('bytes that are no dictionary', () => {
    for (const text of ['', 'le', 'i1e', 'd1:a', 'd1:ai1eex', 'x']) {
      expect(codeOf(() => parseInfo(compute, latin1(text)))).toBe('invalid');
    }
    expect(codeOf(() => parseInfo(compute, new Uint8Array(10_000_001)))).toBe('too-large');
  });
});

describe('torrent file', () => {
  test('the infohash is over the bytes as found, keys out of order and unknown keys included', () => {
    const hash20 = `20:${'h'.repeat(20)}`;
    const infoText = `d4:name1:a6:pieces${hash20}1:zi7e6:lengthi5e12:piece lengthi16384ee`;
    const bytes = latin1(`d8:announce8:http://t4:info${infoText}7:unknowni1ee`);
    const metainfo = parseMetainfo(compute, bytes);
    expect(toHex(metainfo.info.infoHash)).toBe(createHash('sha1').update(latin1(infoText)).digest('hex'));
    bytes.fill(0);
    const again = parseMetainfo(compute, encodeMetainfo(metainfo));
    expect(again).toEqual(metainfo);
    expect(again.info.infoBytes).toEqual(latin1(infoText));
  });

  test('fields around the info dictionary', () => {
    const metainfo = parseMetainfo(
      compute,
      torrent(single, {
        announce: 'http://unused/announce',
        'announce-list': [
          ['http://a/announce', ' http://b/ann ', ''],
          [],
          ['udp://c:1', 'http://a/announce'],
        ],
        nodes: [
          ['127.0.0.1', 6881],
          ['router.example', 1],
          ['bad', 0],
        ],
        comment: 'ä',
        'created by': 'skep',
        'creation date': 1_700_000_000,
      }),
    );
    expect(metainfo).toMatchObject({
      trackers: [['http://a/announce', 'http://b/ann'], ['udp://c:1']],
      nodes: [
        { host: '127.0.0.1', port: 6881 },
        { host: 'router.example', port: 1 },
      ],
      comment: 'ä',
      createdBy: 'skep',
      createdAtMs: 1_700_000_000_000,
    });
    expect(parseMetainfo(compute, encodeMetainfo(metainfo))).toEqual(metainfo);
    const keys = [...(decodeBencode(encodeMetainfo(metainfo)).value as Map<string, unknown>).keys()];
    expect(keys).toEqual(keys.toSorted());
    const onlyAnnounce = parseMetainfo(
      compute,
      torrent(single, { announce: 'http://a', 'announce-list': [[]] }),
    );
    expect(onlyAnnounce.trackers).toEqual([['http://a']]);
  });

  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(), 'empty'],
    ['a web page', latin1('<html>'), 'not-a-torrent'],
    ['a number', latin1('i1e'), 'not-a-torrent'],
    ['no info', latin1('de'), 'not-a-torrent'],
    ['info a string', latin1('d4:info1:ae'), 'not-a-torrent'],
    ['something after it', latin1('deX'), 'not-a-torrent'],
    ['cut short', torrent(single).slice(0, -30), 'truncated'],
    ['too large', new Uint8Array(10_000_001).fill(0x64), 'too-large'],
    ['announce a number', torrent(single, { announce: 1 }), 'invalid'],
    ['announce-list flat', torrent(single, { 'announce-list': ['http://a'] }), 'invalid'],
    ['announce-list of numbers', torrent(single, { 'announce-list': [[1]] }), 'invalid'],
    ['nodes wrong', torrent(single, { nodes: [['a']] }), 'invalid'],
    ['comment a list', torrent(single, { comment: [] }), 'invalid'],
    ['creation date text', torrent(single, { 'creation date': 'today' }), 'invalid'],
  ])('%s', (_, bytes, code) => {
    expect(codeOf(() => parseMetainfo(compute, bytes))).toBe(code);
  });

  test('damaged files are parsed or refused with a MetainfoError', () => {
    const valid = torrent(several, {
      announce: 'http://a',
      nodes: [['h', 1]],
      'announce-list': [['http://b']],
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
        (changes) => {
          const bytes = valid.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          codeOf(() => parseMetainfo(compute, bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
