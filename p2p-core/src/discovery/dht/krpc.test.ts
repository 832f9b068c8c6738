/** The KRPC codec against the examples of BEP 5, against the general decoder, and against junk. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BencodeDict, decodeBencode } from '../../wire/bencode.ts';
import { encodeKrpc, type KrpcMessage, type KrpcQuery, type KrpcResponse } from './krpc.ts';
import { decodeKrpc } from './krpc-decoder.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const id = latin1('abcdefghij0123456789');
const other = latin1('mnopqrstuvwxyz123456');
const transactionId = latin1('aa');
const query = { kind: 'query', transactionId, id, readOnly: false } as const;
const response = { kind: 'response', transactionId } as const;

/** The examples printed in BEP 5. */
const published: [string, KrpcMessage][] = [
  ['d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe', { ...query, method: 'ping' }],
  ['d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re', { ...response, id: other }],
  [
    'd1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe',
    { ...query, method: 'find_node', target: other },
  ],
  [
    'd1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe',
    { ...query, method: 'get_peers', infoHash: other },
  ],
  [
    'd1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re',
    { ...response, id, token: latin1('aoeusnth'), values: [latin1('axje.u'), latin1('idhtnm')] },
  ],
  [
    'd1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe',
    {
      ...query,
      method: 'announce_peer',
      infoHash: other,
      port: 0,
      impliedPort: true,
      token: latin1('aoeusnth'),
    },
  ],
  [
    'd1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee',
    { kind: 'error', transactionId, code: 201, message: 'A Generic Error Ocurred' },
  ],
];

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const fields = {
  transactionId: fc.uint8Array({ minLength: 1, maxLength: 32 }),
  id: bytesOf(20),
};
const queries: fc.Arbitrary<KrpcQuery> = fc
  .tuple(
    fc.record({ ...fields, readOnly: fc.boolean() }),
    fc.oneof(
      fc.record({ method: fc.constant('ping' as const) }),
      fc.record({ method: fc.constant('find_node' as const), target: bytesOf(20) }),
      fc.record({ method: fc.constant('get_peers' as const), infoHash: bytesOf(20) }),
      fc.record({
        method: fc.constant('announce_peer' as const),
        infoHash: bytesOf(20),
        token: fc.uint8Array({ maxLength: 64 }),
        port: fc.integer({ min: 1, max: 65535 }),
        impliedPort: fc.constant(false),
      }),
    ),
  )
  .map(([common, rest]) => ({ kind: 'query', ...common, ...rest }));
const nodeInfo = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.integer({ min: 0, max: 8 }).chain((count) => bytesOf(count * length));
const responses: fc.Arbitrary<KrpcResponse> = fc.record(
  {
    kind: fc.constant('response' as const),
    ...fields,
    nodes: nodeInfo(26),
    nodes6: nodeInfo(38),
    token: fc.uint8Array({ maxLength: 64 }),
    values: fc.array(fc.oneof(bytesOf(6), bytesOf(18)), { maxLength: 50 }),
  },
  { requiredKeys: ['kind', 'transactionId', 'id'] },
);
const errors: fc.Arbitrary<KrpcMessage> = fc.record({
  kind: fc.constant('error' as const),
  transactionId: fields.transactionId,
  code: fc.integer({ min: 0, max: 999 }),
  message: fc.string({ unit: 'binary-ascii', maxLength: 100 }),
});
const messages = fc.oneof(queries, responses, errors);

describe('KRPC', () => {
  it.each(published)('reads the example of BEP 5: %s', (text, message) => {
    expect(decodeKrpc(latin1(text))).toEqual(message);
  });

  it.each(published)('writes what means the same, with its version: %s', (text, message) => {
    const expected = decodeBencode(latin1(text)).value as BencodeDict;
    const written = decodeBencode(encodeKrpc(message).slice()).value as BencodeDict;
    expect(written.get('v')).toEqual(latin1('SK01'));
    written.delete('v');
    const body = expected.get('a');
    // With an implied port the example's port means nothing.
    if (body instanceof Map && body.has('implied_port')) body.set('port', 0);
    expect(written).toEqual(expected);
  });

  it('reads back whatever it wrote, and writes canonical bencode', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const datagram = encodeKrpc(message).slice();
        expect(decodeKrpc(datagram)).toEqual(message);
        const decoded = decodeBencode(datagram);
        expect(decoded.end).toBe(datagram.length);
        const keys = [...(decoded.value as BencodeDict).keys()];
        expect(keys).toEqual([...keys].sort());
      }),
      { numRuns: 300 },
    );
  });

  it('never throws on damaged messages, and gives sizes that were promised', () => {
    fc.assert(
      fc.property(
        messages,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
        fc.nat(),
        (message, flips, cut) => {
          const datagram = encodeKrpc(message).slice();
          for (const [at, byte] of flips) datagram[at % datagram.length] = byte;
          const decoded = decodeKrpc(datagram.subarray(0, datagram.length - (cut % 3)));
          if (decoded === undefined) return;
          expect(decoded.transactionId.length).toBeLessThanOrEqual(32);
          if (decoded.kind === 'query') expect(decoded.id.length).toBe(20);
          if (decoded.kind === 'response') expect((decoded.nodes?.length ?? 0) % 26).toBe(0);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('never throws on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeKrpc(Uint8Array.of(0x64, ...bytes))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('survives nesting as deep as a datagram goes', () => {
    const depth = 20_000;
    const nest = `${'l'.repeat(depth)}${'e'.repeat(depth)}`;
    const text = `d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:x${nest}1:y1:qe`;
    expect(decodeKrpc(latin1(text))).toMatchObject({ method: 'ping' });
    expect(decodeKrpc(latin1(`d1:x${'l'.repeat(60_000)}`))).toBeUndefined();
  });

  it.each([
    ['two dictionaries', 'd1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:rede'],
    ['no transaction id', 'd1:rd2:id20:mnopqrstuvwxyz123456e1:y1:re'],
    ['an overlong transaction id', `d1:rd2:id20:mnopqrstuvwxyz123456e1:t33:${'a'.repeat(33)}1:y1:re`],
    ['a response with a short id', 'd1:rd2:id19:mnopqrstuvwxyz12345e1:t2:aa1:y1:re'],
    ['nodes of a length that no nodes have', 'd1:rd2:id20:mnopqrstuvwxyz1234565:nodes3:abce1:t2:aa1:y1:re'],
    ['a length with a leading zero', 'd1:rd2:id020:mnopqrstuvwxyz123456e1:t2:aa1:y1:re'],
    ['a length beyond the end', 'd1:rd2:id20:mnopqrstuvwxyz123456e1:t9:aa1:y1:re'],
    ['an unknown kind', 'd1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:xe'],
    ['a query without arguments', 'd1:q4:ping1:t2:aa1:y1:qe'],
  ])('takes nothing from %s', (_, text) => {
    expect(decodeKrpc(latin1(text))).toBeUndefined();
  });

  it.each([
    ['an unknown method', 'd1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:aa1:y1:qe', 204],
    ['a short id', 'd1:ad2:id2:abe1:q4:ping1:t2:aa1:y1:qe', 203],
    ['a missing target', 'd1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t2:aa1:y1:qe', 203],
    [
      'port 0',
      'd1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe',
      203,
    ],
  ])('rejects a query with %s by code', (_, text, code) => {
    expect(decodeKrpc(latin1(text))).toMatchObject({ kind: 'rejected', code, transactionId });
  });

  it('refuses to write what no datagram should hold', () => {
    expect(() => encodeKrpc({ ...response, id, nodes: new Uint8Array(26 * 100) })).toThrow(RangeError);
  });
});
