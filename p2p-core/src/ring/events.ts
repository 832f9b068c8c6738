/** What the ring tells its owner: facts for the journal, each with its place in the order of all nodes' events. */
import type { StandingChange } from './detector.ts';
import type { DeathCause, MemberId } from './member.ts';

export type RingFact =
  | { readonly type: 'member-suspected'; readonly member: MemberId }
  | { readonly type: 'member-refuted'; readonly member: MemberId; readonly incarnation: number }
  | { readonly type: 'member-left'; readonly member: MemberId }
  /**
   * `detail` says what the evidence was, where this node saw it itself. Of a silence: how long it was, and how many
   * others had said so beside the first.
   */
  | {
      readonly type: 'member-dead';
      readonly member: MemberId;
      readonly cause: DeathCause;
      readonly detail?: string;
      readonly silentMs?: number;
      readonly confirmations?: number;
    }
  | { readonly type: 'election-started'; readonly term: number; readonly phase: 'pre-vote' | 'vote' }
  | { readonly type: 'vote-granted'; readonly term: number; readonly candidate: MemberId }
  /** This node's vote record is missing or damaged although it has voted: it will not vote in this generation. */
  | { readonly type: 'vote-record-lost'; readonly detail: string }
  | { readonly type: 'vote-not-saved'; readonly term: number; readonly detail: string }
  | { readonly type: 'elected'; readonly term: number }
  | { readonly type: 'leader-changed'; readonly term: number; readonly leader: MemberId | undefined }
  /** This node leads and leaves: it has asked `to` to stand in its place. */
  | { readonly type: 'leader-transfer'; readonly term: number; readonly to: MemberId }
  | { readonly type: 'lease-granted'; readonly term: number; readonly durationMs: number }
  | { readonly type: 'lease-refused'; readonly term: number; readonly currentTerm: number }
  | { readonly type: 'lease-lost'; readonly term: number; readonly reason: string }
  | {
      readonly type: 'redeployment-asked';
      readonly slot: string;
      readonly generation: number;
      readonly term: number;
      readonly reason: string;
      readonly cause: DeathCause;
      readonly silentMs?: number;
    }
  | {
      readonly type: 'redeployment-answered';
      readonly slot: string;
      readonly generation: number;
      readonly outcome: 'accepted' | 'refused' | 'unreachable';
      readonly code?: string;
    }
  | { readonly type: 'configuration-adopted'; readonly version: number }
  /** A newer generation of this node's own slot exists: this node must stop itself. */
  | { readonly type: 'generation-over'; readonly member: MemberId; readonly newGeneration: number };

/** `atMs` is this node's monotonic clock. */
export type RingEvent = RingFact & { readonly lamport: number; readonly atMs: number };

/** `evidence`: what it was, where this node saw it itself. */
export function factOf(change: StandingChange, evidence: string | undefined): RingFact {
  const { member, incarnation, standing, silentMs, confirmations } = change;
  switch (standing) {
    case 'alive':
      return { type: 'member-refuted', member, incarnation };
    case 'suspect':
      return { type: 'member-suspected', member };
    case 'left':
      return { type: 'member-left', member };
    case 'dead':
      return { type: 'member-dead', member, cause: 'evidence', ...(evidence && { detail: evidence }) };
    case 'silent':
      return {
        type: 'member-dead',
        member,
        cause: 'silence',
        ...(silentMs === undefined ? {} : { silentMs }),
        ...(confirmations === undefined ? {} : { confirmations }),
      };
  }
}
