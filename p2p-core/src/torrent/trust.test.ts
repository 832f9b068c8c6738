import { describe, expect, test } from 'vitest';
import type { TorrentInfo } from '../metainfo/index.ts';
import { Bitfield } from './bitfield.ts';
import { judgePieces, MISSING_FILE } from './trust.ts';

/** Pieces of 10 bytes over files of 15, 0 and 20: piece 1 lies in the first and the third, 2 and 3 in the third. */
const info = {
  pieceLength: 10,
  pieceCount: 4,
  length: 35,
  files: [
    { path: 'a', length: 15 },
    { path: 'none', length: 0 },
    { path: 'b', length: 20 },
  ],
} as unknown as TorrentInfo;

const whole = [15, 0, 20].map((sizeBytes) => ({ sizeBytes, modifiedMs: 1_000 }));
const have = (...pieces: number[]) => {
  const field = new Bitfield(4);
  for (const piece of pieces) field.set(piece);
  return field;
};
const changed = (file: number, mark: object) =>
  whole.map((old, i) => (i === file ? { ...old, ...mark } : old));
const none = new Set<number>();

describe('with a snapshot', () => {
  const snapshot = { have: have(0, 1, 2), files: whole };

  test('its pieces are trusted while the files are as they were', () => {
    expect(judgePieces(info, { files: whole, snapshot, logged: none })).toEqual({
      trusted: [0, 1, 2],
      unproven: [],
    });
  });

  test('pieces that were only logged must be proven', () => {
    const logged = new Set([3, 99]);
    expect(judgePieces(info, { files: whole, snapshot, logged })).toEqual({
      trusted: [0, 1, 2],
      unproven: [3],
    });
  });

  test('a file that someone else changed makes its pieces doubtful, and no others', () => {
    const files = changed(2, { modifiedMs: 2_000 });
    expect(judgePieces(info, { files, snapshot, logged: none })).toEqual({ trusted: [0], unproven: [1, 2] });
  });

  test('a file that changed because we wrote to it is trusted', () => {
    const files = changed(2, { modifiedMs: 2_000 });
    const verdict = judgePieces(info, { files, snapshot, logged: new Set([3]) });
    expect(verdict).toEqual({ trusted: [0, 1, 2], unproven: [3] });
  });

  test('a file too short for a piece does not have it', () => {
    const files = changed(2, { sizeBytes: 7 });
    expect(judgePieces(info, { files, snapshot, logged: none })).toEqual({ trusted: [0], unproven: [1] });
  });
});

describe('without a snapshot', () => {
  test('all that can be there must be proven', () => {
    expect(judgePieces(info, { files: whole, logged: none })).toEqual({
      trusted: [],
      unproven: [0, 1, 2, 3],
    });
    const files = [whole[0]!, MISSING_FILE, MISSING_FILE];
    expect(judgePieces(info, { files, logged: new Set([2]) })).toEqual({ trusted: [], unproven: [0] });
  });
});
