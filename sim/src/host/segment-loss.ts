/**
 * What random loss costs a stream: time and window, never bytes. A loss that enough segments follow is noticed
 * from them and mended within a round trip; any other only by silence, and then the window begins anew.
 */
import type { Chunk } from './chunk.ts';
import { SEGMENT_BYTES } from './chunk.ts';
import type { RandomStream } from './random-stream.ts';
import type { SendStream } from './send-stream.ts';

/** As many segments must be under way for a loss to be noticed from what comes after it (RFC 5681, 3.2). */
const FAST_RETRANSMIT_BYTES = 4 * SEGMENT_BYTES;
/** How many timeouts in a row one lost segment may cost. */
const MAX_TIMEOUTS = 6;

/** By how much a chunk, and what comes after it, is late where each segment is lost with a chance of `lossRate`. */
export function lossDelayMs(
  sender: SendStream,
  chunk: Chunk,
  lossRate: number,
  random: RandomStream,
): number {
  if (lossRate <= 0) return 0;
  const segments = Math.ceil(chunk.lengthBytes / SEGMENT_BYTES);
  if (!random.chance(1 - (1 - lossRate) ** segments)) return 0;
  const { window, flightBytes, sentBytes } = sender;
  if (flightBytes >= FAST_RETRANSMIT_BYTES && !random.chance(lossRate)) {
    window.onLoss(chunk.offset, sentBytes);
    return sender.roundTripMs();
  }
  window.onTimeout(sentBytes);
  const timeoutMs = sender.retransmitMs();
  let delayMs = timeoutMs;
  for (let tries = 1; tries < MAX_TIMEOUTS && random.chance(lossRate); tries++)
    delayMs += timeoutMs * 2 ** tries;
  return delayMs;
}
