/**
 * Decides who leads. A term is given to one holder, once: acquiring needs a higher term than the lease has
 * ever had, so elections may disagree as they like and the lease does not. Expiry plays no part in
 * acquiring; it only bounds how long a holder is listened to, and when the watchdog may act.
 */
import { formatMachineId, type LeaseAnswer, type LeaseRequest } from '@skep/contract';
import { type ClusterState, type Decision, put, refuse } from './decision.ts';
import type { LeaseRow } from './rows.ts';

/** Whether the lease is still running. */
export function isHeld(lease: LeaseRow, now: number): boolean {
  return lease.term > 0 && now < lease.untilMs;
}

/** `request.holder` must be the caller. */
export function decideLease(state: ClusterState, request: LeaseRequest, now: number): Decision<LeaseAnswer> {
  const { about, lease } = state;
  const { slot, generation } = request.holder;
  const holder = formatMachineId(request.holder);
  const row = state.slots.get(slot);
  if (row?.role !== 'bootstrap') {
    return refuse('forbidden', `${slot} is no bootstrap node: only those lead`);
  }
  if (row.generation !== generation) {
    return refuse(
      'generation-over',
      `${holder} is over: ${slot} is in generation ${row.generation}`,
      row.generation,
    );
  }
  if (about.state === 'deleting') {
    return refuse('cluster-deleting', `${about.name} is being deleted: nobody leads it any more`);
  }
  const member = state.ring.members.find((candidate) => candidate.slot === slot);
  if (member === undefined) return refuse('forbidden', `${holder} is no member of the ring any more`);
  const own = lease.term === request.term && lease.holder === holder;
  const higher = request.action === 'acquire' && request.term > lease.term && member.voter;
  if (!own && !higher) {
    return {
      answer: { granted: false, term: lease.term },
      events:
        request.action === 'acquire'
          ? [{ kind: 'lease-refused', slot, generation, data: { term: request.term, current: lease.term } }]
          : [],
    };
  }
  // Acquiring one's own lease again is an answer that was lost, and counts as renewing.
  const { leaseMs } = about.spec;
  return {
    answer: { granted: true, term: request.term, durationMs: leaseMs },
    changes: [put.lease({ term: request.term, holder, untilMs: now + leaseMs })],
    // The fence must not have passed in between; it changes the ring whenever it passes a bootstrap slot.
    guards: ['ring', 'about'],
    events: own ? [] : [{ kind: 'lease-granted', slot, generation, data: { term: request.term } }],
  };
}
