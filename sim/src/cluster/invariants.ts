/**
 * What must hold of every cluster at every instant, whatever fails (design, "Ring and healing"): each as a
 * small object that is shown every commit of the store with its events, every change of the fleet, every
 * agent's request with its answer and every redeployment at the moment that it is asked for, and says what is
 * wrong. What is shown is the world's own truth, not what a part says of itself.
 */
import type { NewEvent } from '@skep/control-api';
import { effectsAreStampedAfterTheirCauses } from './causality-invariant.ts';
import type { ClusterWorld } from './cluster-world.ts';
import type { FleetChange, FleetMachine } from './fleet.ts';
import {
  leadersActWithinTheirLease,
  noLeaseIsShownForLonger,
  oldTermsAreRefused,
  oneElectedPerTerm,
  oneHolderPerTerm,
  oneVotePerTerm,
  votesAreAboveAdmission,
} from './leadership-invariants.ts';
import type { RowChange } from './ledger.ts';
import {
  aSpareLivesInOneSlot,
  budgetsAreKept,
  completeIsProven,
  generationsGoOneByOne,
  nothingIsForgotten,
  oldClustersAreRefused,
  oldGenerationsAreRefused,
  oneCredentialPerMachine,
  oneMachinePerGeneration,
  oneMachinePerSlot,
  onlyTheDeadAreCalledDead,
  onlyTheDeadAreReplaced,
} from './machine-invariants.ts';
import type { Shown } from './ring-datagrams.ts';
import { theRingChangesStepByStep, votersChangeByAMajority } from './size-invariants.ts';
import type { Ask } from './watched-host.ts';
import type { AgentRequest, Exchange } from './wire.ts';

/** What is wrong, in a sentence; undefined if nothing. */
export type Finding = string | undefined;

export interface Invariant {
  readonly id: string;
  onCommit?(world: ClusterWorld, change: RowChange): Finding;
  /** After the rows of its commit. */
  onEvent?(world: ClusterWorld, event: NewEvent): Finding;
  onFleet?(world: ClusterWorld, machine: FleetMachine, change: FleetChange): Finding;
  /** At a request's arrival; what it returns judges the answer. */
  onRequest?(world: ClusterWorld, request: AgentRequest): ((exchange: Exchange) => Finding) | undefined;
  /** A machine asks for a redeployment, now. */
  onAsk?(world: ClusterWorld, machine: FleetMachine, ask: Ask): Finding;
  /** A machine tells another who leads, now. */
  onShown?(world: ClusterWorld, machine: FleetMachine, shown: Shown): Finding;
  /** Looked at now and then: what must hold at any time. */
  assert?(world: ClusterWorld): Finding;
}

/** A new set for one run: some remember. */
export function safetyInvariants(): readonly Invariant[] {
  return [
    oneElectedPerTerm(),
    oneVotePerTerm(),
    votesAreAboveAdmission(),
    oneHolderPerTerm(),
    oldTermsAreRefused(),
    leadersActWithinTheirLease(),
    noLeaseIsShownForLonger(),
    oldGenerationsAreRefused(),
    generationsGoOneByOne(),
    oneMachinePerGeneration(),
    oneMachinePerSlot(),
    aSpareLivesInOneSlot(),
    oneCredentialPerMachine(),
    onlyTheDeadAreCalledDead(),
    onlyTheDeadAreReplaced(),
    budgetsAreKept(),
    nothingIsForgotten(),
    effectsAreStampedAfterTheirCauses(),
    oldClustersAreRefused(),
    theRingChangesStepByStep(),
    votersChangeByAMajority(),
    completeIsProven(),
  ];
}
