/**
 * Decides whether the control API heals by itself: with a majority of the voters dead nobody can be elected,
 * so after a time without a leader it takes the same lease by the same rule, and asks for redeployments as
 * any leader does.
 *
 * Of silence it is more careful than a leader, which has others confirm it: silent bootstrap nodes count as
 * dead only if, with those dead by evidence, they are a majority. Otherwise the ring can still elect.
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
 * began to listen; before that nobody could have renewed. Answers what to ask for, if anything.
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
  const victims = victimsOf(state, silent);
  if (victims.length === 0) return nothing;
  const renewing = lease.holder === watchdogHolder && isHeld(lease, now);
  if (!renewing) {
    const leaderlessSinceMs = Math.max(lease.untilMs, sinceMs);
    if (isHeld(lease, now) || now - leaderlessSinceMs < about.spec.watchdogMs) return nothing;
  }
  const term = renewing ? lease.term : lease.term + 1;
  const taken: Change = put.lease({ term, holder: watchdogHolder, untilMs: now + about.spec.leaseMs });
  return {
    answer: { term, victims },
    changes: [taken],
    guards: ['about'],
    events: renewing ? [] : [{ kind: 'lease-granted', data: { term, holder: watchdogHolder } }],
  };
}

function victimsOf(state: ClusterState, silent: ReadonlySet<string>): WatchdogOrder['victims'] {
  const { heal } = state.about.spec;
  const isDead = (slot: string): boolean => {
    const row = state.slots.get(slot);
    return row !== undefined && currentMachine(state, row).state === 'dead';
  };
  const voters = state.ring.members.filter((member) => member.voter);
  const lost = voters.filter(({ slot }) => isDead(slot) || silent.has(slot)).length;
  const silenceCounts = lost * 2 > voters.length;
  return [...state.slots.values()]
    .filter(({ slot, role, held }) => {
      if (held) return false;
      const counts = isDead(slot) || (silenceCounts && role === 'bootstrap' && silent.has(slot));
      return counts && heal.includes(role);
    })
    .map((row) => ({
      slot: row.slot,
      generation: row.generation,
      reason: currentMachine(state, row).reason ?? 'silent, with a majority of the ring dead or silent',
    }));
}
