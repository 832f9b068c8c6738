import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeExtensionHandshake,
  decodeMetadataMessage,
  encodeExtensionHandshake,
  encodeMetadataMessage,
} from './extension-messages.ts';

const ascii = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder('latin1').decode(bytes);

describe('the extension handshake', () => {
  test('is written as in BEP 10', () => {
    const handshake = {
      ids: new Map([['ut_metadata', 1]]),
      listenPort: 6881,
      metadataSize: 31235,
      requestQueue: 5,
      client: 'x',
    };
    const encoded = encodeExtensionHandshake(handshake);
    expect(text(encoded)).toBe('d1:md11:ut_metadatai1ee13:metadata_sizei31235e1:pi6881e4:reqqi5e1:v1:xe');
    expect(decodeExtensionHandshake(encoded)).toEqual(handshake);
  });

  test('leaves out what is not of its type or range', () => {
    const payload = ascii('d1:md1:ai300e1:bi0e1:ci7ee13:metadata_sizei-1e1:pi70000e4:reqq1:x1:vi1ee');
    const told = decodeExtensionHandshake(payload)!;
    expect([...told.ids]).toEqual([['c', 7]]);
    expect({ ...told, ids: undefined }).toEqual({});
  });

  test.each(['', 'i1e', 'le', 'd1:m', 'd'.repeat(500)])('%j is none', (payload) => {
    expect(decodeExtensionHandshake(ascii(payload))).toBeUndefined();
  });
});

describe('ut_metadata', () => {
  test.each([
    [{ type: 'request', piece: 0 } as const, 'd8:msg_typei0e5:piecei0ee'],
    [{ type: 'reject', piece: 3 } as const, 'd8:msg_typei2e5:piecei3ee'],
    [
      { type: 'data', piece: 0, totalSize: 34256, data: ascii('xxxxxxxx') } as const,
      'd8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx',
    ],
  ])('%o as in BEP 9', (message, expected) => {
    expect(text(encodeMetadataMessage(message))).toBe(expected);
    expect(decodeMetadataMessage(ascii(expected))).toEqual(message);
  });

  test.each([
    'd8:msg_typei9e5:piecei0ee',
    'd8:msg_typei0e5:piecei-1ee',
    'd8:msg_typei1e5:piecei0e10:total_sizei5ee',
    'd5:piecei0ee',
  ])('%s is none', (payload) => {
    expect(decodeMetadataMessage(ascii(payload))).toBeUndefined();
  });

  test('any bytes are taken without a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        decodeMetadataMessage(bytes);
        decodeExtensionHandshake(bytes);
      }),
    );
  });
});
