/** What a node knows of another member. */
import type { Address } from '../host/index.ts';
import { formatMember, isDead, type MemberId, type Standing } from './member.ts';
import type { Suspicion } from './suspicion.ts';

export interface Peer {
  readonly id: MemberId;
  /** `formatMember` of it. */
  readonly key: string;
  address: Address;
  incarnation: number;
  standing: Standing;
  /** Heard by this node, or by one that gossiped of it. */
  known: boolean;
  lastHeardMs: number;
  /** When it last answered a ping that this node sent it. */
  lastAnswerMs: number | undefined;
  /** When the first of this node's probes was sent that have gone unanswered since it was last heard. */
  silentSinceMs: number | undefined;
  /** While it is suspect, and after a verdict by silence. */
  suspicion: Suspicion | undefined;
  lastConnectMs: number;
  lastCall: LastCall | undefined;
}

/** A leader's own pings, close together, before it acts on a silence. */
export interface LastCall {
  sent: number;
  nextMs: number;
}

export function newPeer({ slot, generation, address }: MemberId & { address: Address }): Peer {
  const id = { slot, generation };
  return {
    id,
    key: formatMember(id),
    address,
    incarnation: 0,
    standing: 'alive',
    known: false,
    lastHeardMs: Number.NEGATIVE_INFINITY,
    lastAnswerMs: undefined,
    silentSinceMs: undefined,
    suspicion: undefined,
    lastConnectMs: Number.NEGATIVE_INFINITY,
    lastCall: undefined,
  };
}

/** It is heard: what was held against it for its silence begins anew. */
export function notSilent(peer: Peer, now: number): void {
  peer.lastHeardMs = now;
  peer.silentSinceMs = undefined;
  peer.lastCall = undefined;
  peer.known = true;
}

/** It has refuted the silence that this node remembers, which must not count when the next one begins. */
export function notSuspected(peer: Peer): void {
  peer.suspicion = undefined;
  peer.silentSinceMs = undefined;
  peer.lastCall = undefined;
}

/** So much of what this node takes for its silence was this node's own. */
export function silentForLess(peer: Peer, now: number, byMs: number): void {
  peer.lastHeardMs = Math.min(now, peer.lastHeardMs + byMs);
  peer.lastCall = undefined;
  if (peer.silentSinceMs !== undefined) peer.silentSinceMs = Math.min(now, peer.silentSinceMs + byMs);
  peer.suspicion?.startsLater(Math.min(now, peer.suspicion.sinceMs + byMs));
}

/** Suspected, or of those whose silence has not been long yet. */
export function isDoubted(peer: Peer): boolean {
  return peer.standing === 'suspect' || (peer.silentSinceMs !== undefined && isUp(peer));
}

/** Neither dead nor gone, as far as is known. */
export function isUp(peer: Peer): boolean {
  return !isDead(peer.standing) && peer.standing !== 'left';
}
