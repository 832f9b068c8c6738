/** From the spec of a cluster, and what flags say beside it, to what there will be of instances and for how long. */
import type { ClusterSpec } from '@skep/contract';
import type { DeploymentSize } from './cost.ts';

/** What a deployment is made of where neither spec nor flags say otherwise; infra/ has the same. */
export const deploymentDefaults = {
  instanceTypes: { arm64: 't4g.small', x86_64: 't3.small' },
  volumeGiB: 30,
  zones: 3,
  hours: 8,
} as const;

export type Architecture = keyof typeof deploymentDefaults.instanceTypes;

export interface SizeOptions {
  readonly region: string;
  readonly hours?: number | undefined;
  /** @default arm64 */
  readonly architecture?: Architecture | undefined;
  readonly controlInstanceType?: string | undefined;
  readonly contentBytes?: number | undefined;
  readonly loadBalancer?: boolean | undefined;
}

/** Nodes are of the first instance type that the spec names: the others are for when that cannot be had. */
export function deploymentSize(spec: ClusterSpec, options: SizeOptions): DeploymentSize {
  const { placement, leaseMs } = spec;
  const usualType = deploymentDefaults.instanceTypes[options.architecture ?? 'arm64'];
  const instanceType = placement?.instanceTypes?.[0] ?? usualType;
  return {
    region: options.region,
    hours: options.hours ?? deploymentDefaults.hours,
    controlInstanceType: options.controlInstanceType ?? usualType,
    nodes: [
      { role: 'bootstrap', count: spec.bootstrap, instanceType },
      { role: 'index', count: spec.index, instanceType },
      { role: 'peer', count: spec.peers, instanceType },
    ],
    volumeGiB: deploymentDefaults.volumeGiB,
    zones: placement?.zones?.length ?? deploymentDefaults.zones,
    leaseMs,
    contentBytes: options.contentBytes ?? 0,
    loadBalancer: options.loadBalancer === true,
  };
}
