/**
 * Decides whether the control API heals by itself: with a majority of the voters dead nobody can be elected,
 * so after a time without a leader it takes the same lease by the same rule, and asks for redeployments as
 * any leader does.
 *
 * Of silence it is more careful than a leader, which has others confirm it: silent bootstrap nodes count as
 * dead only if, with those dead by evidence, they are a majority, since otherwise the ring can still elect; or if
 * it could and has not for twice as long, as when its members do not hear each other.
 */
import { type Change, type ClusterState, currentMachine, type Decided, put } from './decision.ts';
import { isHeld } from './lease.ts';

export const watchdogHolder = 'watchdog';

export interface WatchdogOrder {
  readonly term: number;
  readonly victims: readonly {
    readonly slot: string;
    readonly generation: number;
    readonly reason: string;
  }[];
}

/**
 * `silent`: bootstrap slots unheard for longer than any pause must last. `sinceMs`: when this control API
 * began to listen, before which nobody could have renewed, or when it last saw a node lead, if that was later.
 * Answers what to ask for, if anything.
 */
export function decideWatchdog(
  state: ClusterState,
  silent: ReadonlySet<string>,
  sinceMs: number,
  now: number,
): Decided<WatchdogOrder | undefined> {
  const nothing = { answer: undefined };
  const { about, lease } = state;
  if (about.state === 'deleting') return nothing;
  const renewing = lease.holder === watchdogHolder && isHeld(lease, now);
  if (!renewing && isHeld(lease, now)) return nothing;
  const leaderlessMs = now - (renewing ? sinceMs : Math.max(lease.untilMs, sinceMs));
  if (!renewing && leaderlessMs < about.spec.watchdogMs) return nothing;
  const victims = victimsOf(state, silent, leaderlessMs >= 2 * about.spec.watchdogMs);
  if (victims.length === 0) return nothing;
  const term = renewing ? lease.term : lease.term + 1;
  const taken: Change = put.lease({ term, holder: watchdogHolder, untilMs: now + about.spec.leaseMs });
  return {
    answer: { term, victims },
    changes: [taken],
    guards: ['about'],
    events: renewing ? [] : [{ kind: 'lease-granted', data: { term, holder: watchdogHolder } }],
  };
}

function victimsOf(
  state: ClusterState,
  silent: ReadonlySet<string>,
  electsNobody: boolean,
): WatchdogOrder['victims'] {
  const { heal } = state.about.spec;
  const isDead = (slot: string): boolean => {
    const row = state.slots.get(slot);
    return row !== undefined && currentMachine(state, row).state === 'dead';
  };
  const voters = state.ring.members.filter((member) => member.voter);
  const lost = voters.filter(({ slot }) => isDead(slot) || silent.has(slot)).length;
  const lostMajority = lost * 2 > voters.length;
  const why = lostMajority
    ? 'silent, with a majority of the ring dead or silent'
    : 'silent, with a ring that elects nobody';
  return [...state.slots.values()]
    .filter(({ slot, role, held, leaving }) => {
      if (held || leaving || !heal.includes(role)) return false;
      const silenceCounts = role === 'bootstrap' && (lostMajority || electsNobody);
      return isDead(slot) || (silenceCounts && silent.has(slot));
    })
    .map((row) => ({
      slot: row.slot,
      generation: row.generation,
      reason: currentMachine(state, row).reason ?? why,
    }));
}
