/** The congestion window as RFC 5681 and its kin have it. */
import { expect, test } from 'vitest';
import { SEGMENT_BYTES } from './chunk.ts';
import { CongestionWindow, INITIAL_WINDOW_BYTES } from './congestion-window.ts';

const MOST = 2 ** 20;

/** Acknowledges a full window, as one round trip does. */
function roundTrip(window: CongestionWindow): void {
  window.onAcked(window.bytes, window.bytes);
}

test('slow start doubles ten segments each round trip, up to what the receiver takes', () => {
  const window = new CongestionWindow(MOST);
  const sizes = [window.bytes];
  for (let round = 0; round < 8; round++) {
    roundTrip(window);
    sizes.push(window.bytes);
  }
  expect(sizes.slice(0, 7)).toEqual([1, 2, 4, 8, 16, 32, 64].map((n) => n * INITIAL_WINDOW_BYTES));
  expect(sizes.at(-1)).toBe(MOST);
});

test('a loss halves it, once for all that was under way, and it grows by a segment a round trip then', () => {
  const window = new CongestionWindow(MOST);
  for (let round = 0; round < 4; round++) roundTrip(window);
  const before = window.bytes;
  window.onLoss(500_000, 600_000);
  window.onLoss(599_999, 700_000);
  expect(window.bytes).toBe(before / 2);
  roundTrip(window);
  expect(window.bytes).toBe(before / 2 + SEGMENT_BYTES);
  window.onLoss(600_000, 800_000);
  expect(window.bytes).toBe((before / 2 + SEGMENT_BYTES) / 2);
});

test('silence costs all but a segment, and slow start goes to half of what was', () => {
  const window = new CongestionWindow(MOST);
  for (let round = 0; round < 4; round++) roundTrip(window);
  const before = window.bytes;
  window.onTimeout(600_000);
  expect(window.bytes).toBe(SEGMENT_BYTES);
  for (let round = 0; round < 7; round++) roundTrip(window);
  expect(window.bytes).toBeGreaterThanOrEqual(before / 2);
  expect(window.bytes).toBeLessThan(before / 2 + 2 * SEGMENT_BYTES + SEGMENT_BYTES * 2 ** 6);
});

test('what it does not hold back does not make it grow; idleness makes it shrink to where it began', () => {
  const window = new CongestionWindow(MOST);
  window.onAcked(1_000, INITIAL_WINDOW_BYTES / 2);
  expect(window.bytes).toBe(INITIAL_WINDOW_BYTES);
  for (let round = 0; round < 3; round++) roundTrip(window);
  window.onIdle(199, 200);
  expect(window.bytes).toBe(8 * INITIAL_WINDOW_BYTES);
  window.onIdle(400, 200);
  expect(window.bytes).toBe(2 * INITIAL_WINDOW_BYTES);
  window.onIdle(1e9, 200);
  expect(window.bytes).toBe(INITIAL_WINDOW_BYTES);
});
