/**
 * Who is in the ring, and which of two claims about a member wins.
 *
 * Claims form a total order (incarnation first, then the graver standing), so merging them is commutative,
 * associative and idempotent: gossip may arrive in any order, any number of times. Only the member itself
 * raises its incarnation, and that is how it refutes a wrong claim (SWIM, section 4.2).
 */

/** One machine's life: a slot has one generation after another, numbered from 1. */
export interface MemberId {
  readonly slot: string;
  readonly generation: number;
}

export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

/** What death was learnt from: positive evidence is acted on at once, silence only after the grace. */
export type DeathCause = 'evidence' | 'silence';

/** State and cause in one, in rising gravity; the index is what goes over the wire. */
export const STANDINGS = ['alive', 'suspect', 'silent', 'dead', 'left'] as const;
export type Standing = (typeof STANDINGS)[number];

/** A claim about a member, as gossip carries it. */
export interface Claim {
  readonly member: MemberId;
  readonly incarnation: number;
  readonly standing: Standing;
  /** Of `suspect` and `silent`: who says so of its own probes. */
  readonly accuser?: MemberId;
  /** Of `suspect` and `silent`: for how long nobody is known to have heard the member. */
  readonly silentMs?: number;
}

/** Whether `claim` overrides what is held of the same member. */
export function outranks(
  claim: Pick<Claim, 'incarnation' | 'standing'>,
  held: Pick<Claim, 'incarnation' | 'standing'>,
): boolean {
  if (claim.incarnation !== held.incarnation) return claim.incarnation > held.incarnation;
  return STANDINGS.indexOf(claim.standing) > STANDINGS.indexOf(held.standing);
}

export function stateOf(standing: Standing): MemberState {
  return standing === 'silent' ? 'dead' : standing;
}

/** Dead by evidence or by silence outlasting the grace. */
export function isDead(standing: Standing): boolean {
  return standing === 'dead' || standing === 'silent';
}

/** `slot@generation`: the key of a member in maps, and its name in messages to people. */
export function formatMember(member: MemberId): string {
  return `${member.slot}@${member.generation}`;
}

export function sameMember(a: MemberId | undefined, b: MemberId | undefined): boolean {
  return a !== undefined && b !== undefined && a.slot === b.slot && a.generation === b.generation;
}
