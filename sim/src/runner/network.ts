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
  const { jitterMs, lossRate } = spec;
  return {
    latencyMs: (from, to) => {
      const [one, other] = [nodeAt(from), nodeAt(to)];
      if (one === undefined || other === undefined) return leastLatencyMs;
      return Math.max(leastLatencyMs, latencyBetweenMs(spec, one, other));
    },
    ...(jitterMs === undefined ? {} : { jitterMs }),
    ...(lossRate === undefined ? {} : { udpLossRate: lossRate }),
  };
}

export function linkOptions(spec: NetworkSpec | undefined): Pick<FleetOptions, 'linkOf'> {
  if (spec?.links === undefined) return {};
  return { linkOf: (slot) => linkOf(spec, slot.slice(0, slot.indexOf('-')) as Role, slot) ?? {} };
}
