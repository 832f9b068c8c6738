import { expect, test } from 'vitest';
import type { Clock, PieceBuffer } from '../host/host.ts';
import { Bitfield } from './bitfield.ts';
import { Downloads } from './downloads.ts';
import type { Peer } from './peer.ts';
import { Picker } from './picker.ts';
import { BLOCK_LENGTH } from './picks.ts';
import type { PieceStore } from './piece-store.ts';
import { RateLimit } from './rate.ts';
import { RequestPipeline } from './request-pipeline.ts';

test('a peer that stops in the middle of a block is left, however little else was asked of it', () => {
  let nowMs = 0;
  const clock = { now: () => nowMs } as Clock;
  const allocate = (length: number): PieceBuffer => ({ length, release: () => {} });
  const picker = new Picker<Peer>(
    { random: { bytes: (n) => new Uint8Array(n), float: () => 0 }, allocate, have: new Bitfield(1) },
    { pieceCount: 1, pieceLength: BLOCK_LENGTH, length: BLOCK_LENGTH, maxPieces: 2 },
  );
  const events = { onVerified: () => {}, onCorrupt: () => {}, onStoreError: () => {} };
  const store = {} as PieceStore;
  const downloads = new Downloads({ clock, picker, store, limit: new RateLimit(), events });
  const reasons: string[] = [];
  const connection = {
    isClosed: false,
    sendBytes: () => {},
    close: (reason: string) => reasons.push(reason),
  };
  const peer = { connection, amInterested: true, pipeline: new RequestPipeline(0) } as unknown as Peer;
  peer.picks = picker.addPeer(peer, Bitfield.full(1));
  peer.picks.isChoking = false;
  downloads.addPeer(peer);
  downloads.fill(peer);
  nowMs = 15_000;
  expect(downloads.arriving(peer, { index: 0, begin: 0, length: BLOCK_LENGTH }).discard).toBeUndefined();
  nowMs = 44_999;
  downloads.tick(nowMs);
  expect(reasons).toEqual([]);
  nowMs = 45_000;
  downloads.tick(nowMs);
  expect(reasons).toEqual(['The peer stopped in the middle of a block.']);
});
