/**
 * Decides whether the control API heals by itself: with a majority of the voters dead nobody can be elected,
 * so it takes the same lease by the same rule, and asks for redeployments as any leader does.
 *
 * Where a majority is dead by evidence, to wait proves nothing more: it acts as soon as nobody leads, which is when
 * the lease has ended, or when its holder is dead by evidence too. A holder that lives goes on healing.
 * Taking a lease that runs on is safe: a dead holder acts no more, and were the evidence wrong, its term would be
 * over, so that it is refused whatever it asks for, as any leader is after a later election.
 *
 * Of silence it is more careful than a leader, which has others confirm it. It waits for `watchdogMs` without a
 * leader, and silent bootstrap nodes count as dead only if, with those dead by evidence, they leave no majority, since
 * otherwise the ring can still elect; or if it could and has not for twice as long, as when its members do not hear
 * each other.
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
  const provenLeaderless = !lostVoters(state).canElect && (!isHeld(lease, now) || isHolderDead(state));
  if (!renewing && !provenLeaderless && isHeld(lease, now)) return nothing;
  const leaderlessMs = now - (renewing ? sinceMs : Math.max(lease.untilMs, sinceMs));
  if (!renewing && !provenLeaderless && leaderlessMs < about.spec.watchdogMs) return nothing;
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
  const lostMajority = !lostVoters(state, silent).canElect;
  const why = lostMajority
    ? 'silent, with a majority of the ring dead or silent'
    : 'silent, with a ring that elects nobody';
  return [...state.slots.values()]
    .filter(({ slot, role, held, leaving }) => {
      if (held || leaving || !state.about.spec.heal.includes(role)) return false;
      const silenceCounts = role === 'bootstrap' && (lostMajority || electsNobody);
      return isDead(state, slot) || (silenceCounts && silent.has(slot));
    })
    .map((row) => ({
      slot: row.slot,
      generation: row.generation,
      reason: currentMachine(state, row).reason ?? why,
    }));
}

/** How many voters are dead by evidence, or among the `silent`, and whether the rest can still elect. */
export function lostVoters(
  state: ClusterState,
  silent: ReadonlySet<string> = new Set(),
): { readonly lost: number; readonly canElect: boolean } {
  const voters = state.ring.members.filter((member) => member.voter);
  const lost = voters.filter(({ slot }) => isDead(state, slot) || silent.has(slot)).length;
  return { lost, canElect: (voters.length - lost) * 2 > voters.length };
}

function isDead(state: ClusterState, slot: string): boolean {
  const row = state.slots.get(slot);
  return row !== undefined && currentMachine(state, row).state === 'dead';
}

function isHolderDead({ lease, machines }: ClusterState): boolean {
  const machine = machines.get(lease.holder);
  return machine !== undefined && (machine.state === 'dead' || machine.gone);
}
