/** Invariants of who leads: votes, elections, terms, the lease. */
import { formatMachineId, type MachineId } from '@skep/contract';
import type { Invariant } from './invariants.ts';

/** A slot@generation is one voter, over all reboots. */
export function oneVotePerTerm(): Invariant {
  const votes = new Map<string, string>();
  return {
    id: 'a voter votes once a term',
    onEvent(_world, { clusterUid, kind, slot, generation, data }) {
      // A candidate's own vote is told of as its candidacy, which it makes known once the vote is durable.
      const isOwn = kind === 'election-started' && data.phase === 'vote';
      if (kind !== 'vote-granted' && !isOwn) return undefined;
      const voter = `${slot}@${generation}`;
      const candidate = isOwn ? voter : String(data.candidate);
      const key = `${voter} in term ${data.term}`;
      const before = votes.get(`${clusterUid} ${key}`);
      votes.set(`${clusterUid} ${key}`, candidate);
      return before === undefined || before === candidate
        ? undefined
        : `${key} voted for ${before}, then for ${candidate}`;
    },
  };
}

/** Changes of the ring's size raise it later; a vote that was given before may be told of after. */
export function votesAreAboveAdmission(): Invariant {
  const admitted = new Map<string, number>();
  return {
    id: 'a generation votes only above the term that admitted it',
    onCommit(_world, change) {
      if (change.table !== 'ring' || change.after === undefined) return undefined;
      for (const member of change.after.members) {
        const name = `${change.uid} ${formatMachineId(member)}`;
        admitted.set(name, admitted.get(name) ?? member.admittedAtTerm);
      }
      return undefined;
    },
    onEvent(_world, { clusterUid, kind, slot, generation, data }) {
      if (kind !== 'vote-granted') return undefined;
      const admittedAtTerm = admitted.get(`${clusterUid} ${slot}@${generation}`);
      if (admittedAtTerm === undefined || Number(data.term) > admittedAtTerm) return undefined;
      return `${slot}@${generation} voted in term ${data.term}, and was admitted at ${admittedAtTerm}`;
    },
  };
}

/**
 * Of those that have not been replaced: the votes of a dead generation may not be known to who admits its successor,
 * which may then be elected in the same term. The lease is refused to the one that was fenced.
 */
export function oneElectedPerTerm(): Invariant {
  const elected = new Map<string, MachineId[]>();
  return {
    id: 'at most one is elected a term',
    onEvent(world, { clusterUid, kind, slot, generation, data }) {
      if (kind !== 'elected' || slot === undefined || generation === undefined) return undefined;
      const winner = { slot, generation };
      const term = `${clusterUid} ${data.term}`;
      const others = (elected.get(term) ?? []).filter((other) => !isSame(other, winner));
      elected.set(term, [...others, winner]);
      const present = others.find(
        (other) => world.ledger.slots.get(other.slot)?.generation === other.generation,
      );
      if (present === undefined || world.ledger.uid !== clusterUid) return undefined;
      return `${formatMachineId(present)} and ${formatMachineId(winner)} were both elected in term ${data.term}`;
    },
  };
}

function isSame(one: MachineId, other: MachineId): boolean {
  return one.slot === other.slot && one.generation === other.generation;
}

/** By the world's clock: what a leader's own clock made it believe is its own affair. */
export function leadersActWithinTheirLease(): Invariant {
  const endsMs = new Map<string, number>();
  return {
    id: 'a leader acts only while its lease runs',
    onCommit(world, change) {
      if (change.table !== 'lease' || change.after === undefined) return undefined;
      const { term, holder } = change.after;
      endsMs.set(`${change.uid} ${holder} in term ${term}`, world.nowMs + world.spec.leaseMs);
      return undefined;
    },
    onAsk(world, { ref }, { slot, generation, term }) {
      const leader = `${formatMachineId(ref)} in term ${term}`;
      const endMs = endsMs.get(`${ref.clusterUid} ${leader}`);
      if (endMs !== undefined && world.nowMs < endMs) return undefined;
      const since = endMs === undefined ? 'it never had' : `ended ${Math.round(world.nowMs - endMs)} ms ago`;
      return `${leader} asked to replace ${slot}@${generation} under a lease that ${since}`;
    },
  };
}

/** On its way from node to node a lease seems to last longer by the time of each way. */
const shownSlackMs = 2_000;

/** Whoever is told of a lease waits for its end before another may lead: so it must have one, whoever passes it on. */
export function noLeaseIsShownForLonger(): Invariant {
  /** By what its holder said of it, and by the world's clock. */
  const endsMs = new Map<string, number>();
  return {
    id: 'nobody says of a lease that it runs for longer than its holder does',
    onShown(world, { ref }, { from, holder, term, leaseMs }) {
      const lease = `${ref.clusterUid} ${holder} in term ${term}`;
      const endMs = endsMs.get(lease) ?? 0;
      if (from === holder) endsMs.set(lease, Math.max(endMs, world.nowMs + leaseMs));
      const overMs = world.nowMs + leaseMs - endMs;
      if (from === holder || leaseMs <= 0 || overMs <= shownSlackMs) return undefined;
      return `${from} says that the lease of ${holder} in term ${term} runs for ${leaseMs} ms, ${Math.round(overMs)} ms too long`;
    },
  };
}

export function oneHolderPerTerm(): Invariant {
  const holders = new Map<string, string>();
  return {
    id: 'one lease holder per term',
    onCommit(_world, change) {
      if (change.table !== 'lease' || change.after === undefined) return undefined;
      const { term, holder } = change.after;
      const before = holders.get(`${change.uid} ${term}`);
      holders.set(`${change.uid} ${term}`, holder);
      if (before !== undefined && before !== holder) {
        return `term ${term} was given to ${before}, then to ${holder}`;
      }
      if (change.before !== undefined && change.before.term > term) {
        return `the lease went back from term ${change.before.term} to ${term}`;
      }
      return undefined;
    },
  };
}

export function oldTermsAreRefused(): Invariant {
  return {
    id: 'nothing is done under an old term',
    onRequest(world, request) {
      if (request.kind === 'report' || request.kind === 'join') return undefined;
      const { term: current = 0 } = world.ledger.lease ?? {};
      if (request.term >= current) return undefined;
      return ({ status, answer }) => {
        const accepted = request.kind === 'lease' ? answer?.granted === true : status < 300;
        if (!accepted) return undefined;
        return `a ${request.kind} of ${formatMachineId(request.machine)} under term ${request.term} was accepted when ${current} was the lease's`;
      };
    },
  };
}
