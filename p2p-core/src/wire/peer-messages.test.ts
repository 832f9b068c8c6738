import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../bytes.ts';
import {
  decodeHandshake,
  decodeMessage,
  encodeBlocks,
  encodeHandshake,
  encodeHaves,
  encodeMessage,
  encodePieceHeader,
  type OutgoingMessage,
  WireError,
} from './peer-messages.ts';

const bytes = (hex: string) => fromHex(hex.replaceAll(' ', ''))!;

/** Each message as BEP 3, 5, 6 and 10 write it. */
const VECTORS: [OutgoingMessage, string][] = [
  [{ type: 'keep-alive' }, '00000000'],
  [{ type: 'choke' }, '00000001 00'],
  [{ type: 'unchoke' }, '00000001 01'],
  [{ type: 'interested' }, '00000001 02'],
  [{ type: 'not-interested' }, '00000001 03'],
  [{ type: 'have', index: 0x01020304 }, '00000005 04 01020304'],
  [{ type: 'bitfield', bits: Uint8Array.of(0xff, 0x80) }, '00000003 05 ff80'],
  [{ type: 'request', index: 1, begin: 0x4000, length: 0x4000 }, '0000000d 06 00000001 00004000 00004000'],
  [{ type: 'cancel', index: 1, begin: 0x4000, length: 0x4000 }, '0000000d 08 00000001 00004000 00004000'],
  [{ type: 'port', port: 6881 }, '00000003 09 1ae1'],
  [{ type: 'suggest', index: 7 }, '00000005 0d 00000007'],
  [{ type: 'have-all' }, '00000001 0e'],
  [{ type: 'have-none' }, '00000001 0f'],
  [{ type: 'reject', index: 0xffffffff, begin: 0, length: 1 }, '0000000d 10 ffffffff 00000000 00000001'],
  [{ type: 'allowed-fast', index: 9 }, '00000005 11 00000009'],
  [{ type: 'extended', id: 3, payload: Uint8Array.of(0x64, 0x65) }, '00000004 14 03 6465'],
];

describe('messages', () => {
  test.each(VECTORS)('%o', (message, hex) => {
    expect(toHex(encodeMessage(message))).toBe(toHex(bytes(hex)));
    const cursor = { offset: 2 };
    const view = new Uint8Array([0xaa, 0xaa, ...bytes(hex), 0xbb]);
    expect(decodeMessage(view, cursor)).toEqual(message);
    expect(cursor.offset).toBe(view.length - 1);
  });

  test.each(VECTORS)('%o waits for its last byte', (_message, hex) => {
    const whole = bytes(hex);
    for (let length = 0; length < whole.length; length++) {
      const cursor = { offset: 0 };
      expect(decodeMessage(whole.subarray(0, length), cursor)).toBeUndefined();
      expect(cursor.offset).toBe(0);
    }
  });

  test('a piece is only its header', () => {
    const header = encodePieceHeader({ index: 2, begin: 0x8000, length: 0x4000 });
    expect(toHex(header)).toBe('0000400907' + '00000002' + '00008000');
    const cursor = { offset: 0 };
    expect(decodeMessage(header, cursor)).toEqual({ type: 'piece', index: 2, begin: 0x8000, length: 0x4000 });
    expect(cursor.offset).toBe(13);
  });

  test('an unknown message is only its header', () => {
    const cursor = { offset: 0 };
    expect(decodeMessage(bytes('00000064 63'), cursor)).toEqual({ type: 'unknown', id: 0x63, length: 99 });
    expect(cursor.offset).toBe(5);
  });

  test('runs of messages are the messages one after the other', () => {
    const block = { index: 1, begin: 2, length: 3 };
    const request = toHex(encodeMessage({ type: 'request', ...block }));
    expect(toHex(encodeBlocks('request', [block, block]))).toBe(request + request);
    expect(toHex(encodeHaves([5, 6]))).toBe('000000050400000005' + '000000050400000006');
  });

  test.each([
    ['a choke with a body', '00000002 00'],
    ['a short have', '00000004 04'],
    ['a long request', '0000000e 06'],
    ['an empty bitfield', '00000001 05'],
    ['a piece without a payload', '00000009 07'],
    ['a giant piece', '7fffffff 07'],
    ['a giant bitfield', '00200000 05'],
    ['an extended message without an id', '00000001 14'],
    ['a giant extended message', '00100000 14'],
    ['a giant unknown message', 'ffffffff 63'],
  ])('%s is refused at its fifth byte', (_name, hex) => {
    expect(() => decodeMessage(bytes(hex), { offset: 0 })).toThrow(WireError);
  });

  test('any bytes give messages, a WireError, or a wait, and always progress', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (view) => {
        const cursor = { offset: 0 };
        try {
          for (let before = -1; before < cursor.offset; ) {
            before = cursor.offset;
            if (decodeMessage(view, cursor) === undefined) return cursor.offset === before;
          }
          return false;
        } catch (error) {
          return error instanceof WireError;
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the handshake', () => {
  const infoHash = new Uint8Array(20).fill(1);
  const peerId = new Uint8Array(20).fill(2);
  const supports = { extensions: true, fast: true, dht: true };

  test('is 19, the name, eight reserved bytes, infohash, peer id', () => {
    const expected = `13${toHex(new TextEncoder().encode('BitTorrent protocol'))}0000000000100005${'01'.repeat(20)}${'02'.repeat(20)}`;
    const encoded = encodeHandshake({ infoHash, peerId, supports });
    expect(toHex(encoded)).toBe(expected);
    expect(decodeHandshake(encoded)).toEqual({ infoHash, peerId, supports });
  });

  test('tells which extensions are offered', () => {
    fc.assert(
      fc.property(fc.record({ extensions: fc.boolean(), fast: fc.boolean(), dht: fc.boolean() }), (flags) => {
        expect(decodeHandshake(encodeHandshake({ infoHash, peerId, supports: flags }))?.supports).toEqual(
          flags,
        );
      }),
    );
  });

  test('waits while it is cut short, and is refused at its first wrong byte', () => {
    const whole = encodeHandshake({ infoHash, peerId, supports });
    for (let length = 0; length < 68; length++)
      expect(decodeHandshake(whole.subarray(0, length))).toBeUndefined();
    expect(() => decodeHandshake(Uint8Array.of(0x13, 0x41))).toThrow(WireError);
  });
});
