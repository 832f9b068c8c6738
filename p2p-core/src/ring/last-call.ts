/**
 * When a silence has lasted long enough, and the last call: before a leader acts on a silence, it pings the silent one
 * itself, again and again, in the last second before the verdict.
 */
import type { Peer } from './peer.ts';
import { MAX_DISTRUST } from './prober.ts';

const PINGS = 8;
const CALL_MS = 1_000;

/** Since when nobody has heard a suspect, as far as this node knows. */
export function silenceStartMs(peer: Peer): number {
  return Math.max(peer.lastHeardMs, peer.suspicion?.sinceMs ?? Number.NEGATIVE_INFINITY);
}

/** When a suspect is called dead, if it is not heard; later, the more this node doubts itself. */
export function verdictMs(peer: Peer, distrust: number): number {
  const timeoutMs = peer.suspicion?.timeoutMs ?? Number.POSITIVE_INFINITY;
  return silenceStartMs(peer) + timeoutMs * (1 + distrust / MAX_DISTRUST);
}

/** When `callLast` is due. */
export function nextCallMs(peer: Peer): number {
  if (peer.standing === 'suspect' && peer.silentSinceMs === undefined) return Number.POSITIVE_INFINITY;
  const call = peer.lastCall;
  if (call === undefined) return verdictMs(peer, 0) - CALL_MS;
  return call.sent <= PINGS ? call.nextMs : Number.POSITIVE_INFINITY;
}

/** Goes on with the last call of `peer`. Returns whether it is to be pinged now; the last ping's answer is waited for `timeoutMs`. */
export function callLast(now: number, peer: Peer, timeoutMs: number): boolean {
  if (peer.standing === 'dead' || now < nextCallMs(peer)) return false;
  peer.lastCall ??= { sent: 0, nextMs: now };
  const call = peer.lastCall;
  call.sent += 1;
  call.nextMs = now + (call.sent === PINGS ? timeoutMs : CALL_MS / PINGS);
  return call.sent <= PINGS;
}

export function calledInVain(now: number, { lastCall }: Peer): boolean {
  return lastCall !== undefined && lastCall.sent >= PINGS && now >= lastCall.nextMs;
}
