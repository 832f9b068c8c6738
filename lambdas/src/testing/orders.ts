/** Orders for machines, as the control API would give them. */
import { createHash } from 'node:crypto';
import type { MachineOrder } from '@skep/contract';
import { machineRef } from '@skep/control-api';

export const testUid = 'c'.repeat(32);
export const testSubnets = [
  { subnetId: 'subnet-a', zone: 'eu-north-1a', cidr: '10.0.0.0/24' },
  { subnetId: 'subnet-b', zone: 'eu-north-1b', cidr: '10.0.1.0/24' },
];
export const hashing = {
  hash: (algorithm: string, bytes: Uint8Array) =>
    new Uint8Array(createHash(algorithm).update(bytes).digest()),
};

export function machineOrder(
  machine: { slot?: string; generation?: number; attempt?: number; clusterUid?: string } = {},
  rest: { address?: string; placement?: MachineOrder['placement'] } = {},
): MachineOrder {
  const { slot = 'peer-1', generation = 1, attempt = 1, clusterUid = testUid } = machine;
  return {
    machine: machineRef(hashing, { clusterUid, slot, generation, attempt }),
    config: {
      apiUrl: 'https://control.skep.internal:7700',
      cluster: 'bees',
      clusterUid,
      slot,
      role: slot.startsWith('bootstrap') ? 'bootstrap' : 'peer',
      generation,
      attempt,
      joinSecret: 'a'.repeat(64),
      listen: { host: rest.address ?? '10.0.0.4', port: 6_881 },
      healthPort: 6_883,
      reportIntervalMs: 1_000,
      graceMs: 6_000,
      orphanMs: 60_000,
      uploadBytesPerSecond: 0,
      downloadBytesPerSecond: 0,
    },
    ...(rest.placement === undefined ? {} : { placement: rest.placement }),
  };
}
