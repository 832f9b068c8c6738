import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { METADATA_PIECE_LENGTH } from '../wire/extension-messages.ts';
import { MetadataExchange } from './metadata-exchange.ts';

const info = Uint8Array.from({ length: 3 * METADATA_PIECE_LENGTH + 100 }, (_, i) => (i * 31) & 0xff);
const sha1 = (bytes: Uint8Array) => new Uint8Array(createHash('sha1').update(bytes).digest());
const pieceOf = (bytes: Uint8Array, piece: number) =>
  bytes.subarray(piece * METADATA_PIECE_LENGTH, (piece + 1) * METADATA_PIECE_LENGTH);

function make() {
  const compute = { hash: (_: string, bytes: Uint8Array) => sha1(bytes), hmacSha256: sha1, parallelism: 1 };
  return new MetadataExchange<string>({ compute }, sha1(info));
}

/** Answers every request with `bytes` of its peer until something comes of it. */
function answer(exchange: MetadataExchange<string>, bytes: (peer: string) => Uint8Array, nowMs = 0) {
  for (let requests = exchange.requests(nowMs); requests.length > 0; requests = exchange.requests(nowMs)) {
    for (const { peer, piece } of requests) {
      const outcome = exchange.data(peer, piece, pieceOf(bytes(peer), piece));
      if (outcome.type !== 'more') return outcome;
    }
  }
  return undefined;
}

describe('fetching metadata', () => {
  test('from several peers, each piece once', () => {
    const exchange = make();
    exchange.addPeer('a', info.length);
    const first = exchange.requests(0);
    exchange.addPeer('b', info.length);
    expect(first.map(({ piece }) => piece)).toEqual([0, 1, 2, 3]);
    expect(exchange.requests(0)).toEqual([]);
    exchange.rejected('a', 2, 0);
    expect(exchange.requests(0)).toEqual([{ peer: 'b', piece: 2 }]);
  });

  test('ends with the bytes whose hash is the infohash', () => {
    const exchange = make();
    exchange.addPeer('a', info.length);
    expect(answer(exchange, () => info)).toEqual({ type: 'complete', infoBytes: info });
  });

  test('a peer that alone sent what is wrong is the culprit', () => {
    const exchange = make();
    exchange.addPeer('liar', info.length);
    expect(answer(exchange, () => new Uint8Array(info.length))).toEqual({ type: 'corrupt', culprit: 'liar' });
  });

  test('after a mixture that was wrong one peer at a time is tried, until it is right', () => {
    const exchange = make();
    exchange.addPeer('liar', info.length);
    const [first] = exchange.requests(0);
    exchange.rejected('liar', 3, 0);
    exchange.addPeer('honest', info.length);
    const bytes = (peer: string) => (peer === 'liar' ? new Uint8Array(info.length) : info);
    for (const piece of [0, 1, 2]) exchange.data('liar', piece, pieceOf(bytes('liar'), piece));
    expect(first!.peer).toBe('liar');
    expect(answer(exchange, bytes)).toEqual({ type: 'corrupt', culprit: undefined });
    const verdict = answer(exchange, bytes, 60_000);
    expect(verdict).toEqual({ type: 'corrupt', culprit: 'liar' });
    exchange.removePeer('liar');
    expect(answer(exchange, bytes, 60_000)).toEqual({ type: 'complete', infoBytes: info });
  });

  test.each([0, -1, 10_000_001, 2 ** 52])('a size of %d is not believed', (size) => {
    expect(make().addPeer('a', size)).toBe(false);
  });

  test('a wrong size hurts only who claims it', () => {
    const exchange = make();
    exchange.addPeer('liar', 9_000_000);
    exchange.addPeer('honest', info.length);
    expect(answer(exchange, () => info)).toMatchObject({ type: 'corrupt', culprit: 'liar' });
    exchange.removePeer('liar');
    // What was asked of the honest one meanwhile got lost: it is asked again after a rest.
    expect(exchange.requests(60_000)).toEqual([]);
    expect(answer(exchange, () => info, 66_000)).toMatchObject({ type: 'complete' });
  });

  test('what does not come in time is asked of another', () => {
    const exchange = make();
    exchange.addPeer('slow', info.length);
    exchange.requests(0);
    exchange.addPeer('quick', info.length);
    expect(exchange.requests(8_001).every(({ peer }) => peer === 'quick')).toBe(true);
  });

  test('of a peer that claims many sizes only the last is kept', () => {
    const exchange = make();
    for (let size = 1; size <= 5; size++) exchange.addPeer('liar', size * METADATA_PIECE_LENGTH);
    exchange.addPeer('liar', info.length);
    exchange.addPeer('liar', info.length);
    expect(exchange.assemblyCount).toBe(1);
    expect(exchange.requests(0)).toHaveLength(4);
    exchange.addPeer('liar', info.length);
    // Saying the same again does not make it be asked the same again.
    expect(exchange.requests(0)).toEqual([]);
  });

  test.each(['is silent', 'rejects'])(
    'a peer that is to give all of it, but %s, gives way to another',
    (how) => {
      const exchange = make();
      exchange.addPeer('liar', info.length);
      const asked = exchange.requests(0);
      exchange.rejected('liar', 3, 0);
      exchange.addPeer('honest', info.length);
      for (const { piece } of asked.slice(0, 3))
        exchange.data('liar', piece, new Uint8Array(METADATA_PIECE_LENGTH));
      expect(answer(exchange, () => info)).toEqual({ type: 'corrupt', culprit: undefined });
      // The liar is chosen as the next to give all of it, once it has rested.
      let nowMs = 10_000;
      let last: string | undefined;
      for (let round = 0; round < 4 && last !== 'honest'; round++) {
        const requests = exchange.requests(nowMs);
        last = requests[0]?.peer;
        if (last === 'liar' && how === 'rejects') exchange.rejected('liar', requests[0]!.piece, nowMs);
        if (last === 'honest') {
          for (const { piece } of requests.slice(0, 3)) exchange.data('honest', piece, pieceOf(info, piece));
          const { piece } = requests[3]!;
          expect(exchange.data('honest', piece, pieceOf(info, piece))).toMatchObject({ type: 'complete' });
        }
        nowMs += 8_001;
      }
      expect(last).toBe('honest');
    },
  );

  test('what nobody asked for is ignored', () => {
    const exchange = make();
    exchange.addPeer('a', info.length);
    expect(exchange.data('a', 0, pieceOf(info, 0))).toEqual({ type: 'more' });
    expect(exchange.data('stranger', 0, pieceOf(info, 0))).toEqual({ type: 'more' });
  });
});
