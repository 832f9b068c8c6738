/** Which nodes a fault is done to, decided at the moment that it is. Pure; chance comes from the run's seed. */
import {
  type ClusterView,
  choicesOf,
  controlApiNode,
  Fault,
  type FaultPlan,
  type NodeChoice,
  type NodeSelector,
  WorkingRole,
} from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Compute } from '@skep/p2p-core/host';

/** A number for each label, the same in every run of one seed, on every runner. */
export type Draw = (label: string) => string;

export function drawBySeed(compute: Pick<Compute, 'hash'>, seed: string): Draw {
  const encoder = new TextEncoder();
  return (label) => toHex(compute.hash('sha256', encoder.encode(`${seed}/${label}`)));
}

/** The slot whose machine holds the lease, if one of the ring does. */
export function leaderSlot({ lease }: Pick<ClusterView, 'lease'>): string | undefined {
  const [slot, generation] = lease.held && lease.holder !== undefined ? lease.holder.split('@') : [];
  return generation === undefined ? undefined : slot;
}

/** Whether a selector can only be resolved while somebody leads. */
export function needsLeader(plan: FaultPlan): boolean {
  return selectorsOf(plan).some((selector) => choicesOf(selector).includes('leader'));
}

/**
 * The fault with its nodes named. `label` tells this choice by chance from the run's others. Throws ZodError
 * if what was chosen makes no fault, for instance a clock fault of the control API.
 */
export function resolveFault(plan: FaultPlan, view: ClusterView, draw: Draw, label: string): Fault {
  const named = Object.fromEntries(
    Object.entries(plan).map(([key, value]) =>
      isSelecting(key) ? [key, resolve(value as NodeSelector, view, draw, `${label}/${key}`)] : [key, value],
    ),
  );
  return Fault.parse(named);
}

function resolve(selector: NodeSelector, view: ClusterView, draw: Draw, label: string): string[] {
  const chosen = choicesOf(selector).flatMap((choice, index) =>
    nodesOf(choice, view, draw, `${label}/${index}`),
  );
  return [...new Set(chosen)];
}

function nodesOf(choice: NodeChoice, view: ClusterView, draw: Draw, label: string): string[] {
  if (typeof choice === 'object') {
    const drawn = slotsOf(view, choice.of).map((slot) => ({ slot, number: draw(`${label}/${slot}`) }));
    return drawn
      .sort((one, other) => (one.number < other.number ? -1 : 1))
      .slice(0, choice.some)
      .map(({ slot }) => slot);
  }
  if (isRole(choice)) return slotsOf(view, choice);
  if (choice !== 'leader') return [choice];
  const leader = leaderSlot(view);
  return leader === undefined ? [] : [leader];
}

function isRole(choice: string): choice is WorkingRole {
  return WorkingRole.safeParse(choice).success;
}

function slotsOf(view: ClusterView, role: WorkingRole): string[] {
  return view.nodes.filter((node) => node.role === role).map((node) => node.slot);
}

function selectorsOf(plan: FaultPlan): NodeSelector[] {
  return Object.entries(plan).flatMap(([key, value]) => (isSelecting(key) ? [value as NodeSelector] : []));
}

function isSelecting(key: string): boolean {
  return key === 'nodes' || key === 'from' || key === 'with';
}

/** How long a fault lasts by itself; 0 for one that is done in a moment. */
export function lastsMs(fault: Fault): number {
  return 'forMs' in fault ? fault.forMs : 0;
}

/** The slots whose machine the fault ends. */
export function slotsEnded(fault: Fault): string[] {
  if (fault.kind !== 'crash' && fault.kind !== 'restart') return [];
  return fault.nodes.filter((node) => node !== controlApiNode);
}
