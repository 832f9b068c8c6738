/** What can happen to a ring machine, what it then wants done, and how it stands. */
import type { Address } from '../host/index.ts';
import type { PersistOutput } from './ballot.ts';
import type { RingConfiguration } from './configuration.ts';
import type { ElectionRole } from './election.ts';
import type { RingEvent } from './events.ts';
import type { RedeploymentAnswer, RedeploymentRequest, SlotDeath } from './healer.ts';
import type { LeadershipOutput, LeaseAnswer } from './leadership.ts';
import type { MemberId, MemberState } from './member.ts';
import type { DropReason, Envelope } from './messages.ts';

export type RingInput =
  /** To be told at `nextDueMs`. */
  | { readonly type: 'wake' }
  /** An authentic datagram. */
  | { readonly type: 'received'; readonly envelope: Envelope }
  | { readonly type: 'persisted'; readonly seq: number }
  | { readonly type: 'persist-failed'; readonly seq: number; readonly detail: string }
  /** `answer` undefined: the authority could not be reached. */
  | { readonly type: 'lease-answered'; readonly request: number; readonly answer: LeaseAnswer | undefined }
  | {
      readonly type: 'redeployment-answered';
      readonly request: number;
      readonly answer: RedeploymentAnswer | undefined;
    }
  | { readonly type: 'connection-refused'; readonly member: MemberId; readonly startedMs: number }
  | { readonly type: 'death-observed'; readonly member: MemberId; readonly evidence: string }
  /** All slots outside the ring that are known dead or silent now. */
  | { readonly type: 'slot-deaths'; readonly deaths: readonly SlotDeath[] }
  | { readonly type: 'authority-reachable'; readonly reachable: boolean }
  | { readonly type: 'configure'; readonly configuration: RingConfiguration }
  /** Pings every other member now, whoever's turn it is. */
  | { readonly type: 'ping-all' }
  | { readonly type: 'leave' };

export type RingOutput =
  | { readonly type: 'send'; readonly address: Address; readonly envelope: Envelope }
  | { readonly type: 'connect'; readonly member: MemberId; readonly address: Address }
  | PersistOutput
  | Extract<LeadershipOutput, { type: 'lease' }>
  | { readonly type: 'redeploy'; readonly request: number; readonly redeployment: RedeploymentRequest }
  /** What `leave` began is over. */
  | { readonly type: 'gone' }
  | { readonly type: 'event'; readonly event: RingEvent };

export interface RingMemberStatus {
  readonly member: MemberId;
  readonly state: MemberState;
  readonly incarnation: number;
  /** When it last answered a ping that this node sent it, by the host's monotonic clock; undefined if it never did. */
  readonly lastAnswerMs: number | undefined;
}

export interface RingStatus {
  readonly self: MemberId;
  readonly term: number;
  readonly role: ElectionRole;
  readonly leader: MemberId | undefined;
  /** This node leads, and its lease lets it act now. */
  readonly leading: boolean;
  readonly configurationVersion: number;
  /** The others in ring order. */
  readonly members: readonly RingMemberStatus[];
  readonly lamport: number;
  /** Datagrams not acted on, by reason. */
  readonly dropped: Readonly<Record<DropCause, number>>;
}

export type DropCause = DropReason | 'unknown-member' | 'old-generation' | 'not-for-us' | 'replayed';
