/** The network of a scenario as the simulated world has it: the same figures as on any other runner. */
import { type FaultNode, latencyBetweenMs, linkOf, type NetworkSpec, type Role } from '@skep/contract';
import type { FleetOptions } from '../cluster/index.ts';
import type { FabricOptions } from '../host/index.ts';

/** Processes of one machine talk through its loopback, and never in no time. */
const leastLatencyMs = 0.05;

/** `nodeAt`: who stands at an address; undefined for whoever is not part of the cluster, and near the control API. */
export function networkOptions(
  spec: NetworkSpec | undefined,
  nodeAt: (address: string) => FaultNode | undefined,
): FabricOptions {
  if (spec === undefined) return { latencyMs: leastLatencyMs };
  const { latencyMs, jitterMs, lossRate } = spec;
  return {
    latencyMs:
      typeof latencyMs === 'number' ? Math.max(leastLatencyMs, latencyMs) : latencyByPair(spec, nodeAt),
    ...(jitterMs === undefined ? {} : { jitterMs }),
    ...(lossRate === undefined ? {} : { lossRate }),
  };
}

/** Asked for every packet, so what was worked out for a pair is kept. */
function latencyByPair(
  spec: NetworkSpec,
  nodeAt: (address: string) => FaultNode | undefined,
): (from: string, to: string) => number {
  const known = new Map<string, Map<string, number>>();
  return (from, to) => {
    const latencyMs = known.get(from)?.get(to);
    if (latencyMs !== undefined) return latencyMs;
    const [one, other] = [nodeAt(from), nodeAt(to)];
    // Perhaps not part of the cluster yet.
    if (one === undefined || other === undefined) return leastLatencyMs;
    const ms = Math.max(leastLatencyMs, latencyBetweenMs(spec, one, other));
    const row = known.get(from) ?? new Map<string, number>();
    known.set(from, row.set(to, ms));
    return ms;
  };
}

export function linkOptions(spec: NetworkSpec | undefined): Pick<FleetOptions, 'linkOf'> {
  if (spec?.links === undefined) return {};
  return { linkOf: (slot) => linkOf(spec, slot.slice(0, slot.indexOf('-')) as Role, slot) ?? {} };
}
