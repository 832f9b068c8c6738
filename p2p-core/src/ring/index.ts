/** The ring of bootstrap nodes: they watch each other, elect who leads, and the leader has dead slots redeployed. */
export {
  checkConfiguration,
  type RingConfiguration,
  RingError,
  type RingErrorCode,
  type RingMember,
} from './configuration.ts';
export type { RingEvent, RingFact } from './events.ts';
export type { RedeploymentAnswer, RedeploymentRequest, SlotDeath } from './healer.ts';
export { LamportClock } from './lamport.ts';
export type { LeaseAnswer } from './leadership.ts';
export type { DeathCause, MemberId, MemberState } from './member.ts';
export { type Authority, createRing, type Ring, type RingComponents, type RingOptions } from './ring.ts';
export type { DropCause, RingMemberStatus, RingStatus } from './step.ts';
export { DEFAULT_TIMING, type RingTiming } from './timing.ts';
