/**
 * What the Engine's objects of a cluster are called, and what their labels say. Names follow from the machine alone,
 * so the Engine, which refuses a second container of one name, sees to it that a token has at most one.
 */
import type { Compute } from '@skep/p2p-core/host';
import { type MachineRef, machineRef } from '../ports/launcher.ts';

export const labels = {
  /** Which control API the object belongs to: several may share an Engine. */
  owner: 'skep.control-api',
  cluster: 'skep.cluster',
  clusterName: 'skep.cluster-name',
  slot: 'skep.slot',
  generation: 'skep.generation',
  attempt: 'skep.attempt',
  token: 'skep.token',
  /** Name of the volume that is the slot's disk. */
  disk: 'skep.disk',
  /** On a container that is never started: its token will have no machine. */
  calledOff: 'skep.called-off',
} as const;

export type Labels = Readonly<Record<string, string>>;

/** Enough of a random uid to tell clusters apart, and short enough to read. */
const shownUidLength = 12;

export function networkName(clusterUid: string): string {
  return `skep-${clusterUid.slice(0, shownUidLength)}`;
}

/** `skep-0123456789ab-peer-1-2.1`: cluster, slot, generation, attempt. */
export function containerName({ clusterUid, slot, generation, attempt }: Omit<MachineRef, 'token'>): string {
  return `${networkName(clusterUid)}-${slot}-${generation}.${attempt}`;
}

export function machineLabels(owner: string, machine: MachineRef): Labels {
  return {
    [labels.owner]: owner,
    [labels.cluster]: machine.clusterUid,
    [labels.slot]: machine.slot,
    [labels.generation]: String(machine.generation),
    [labels.attempt]: String(machine.attempt),
    [labels.token]: machine.token,
  };
}

/** The machine that labels speak of; undefined if they are nobody's of ours. */
export function machineOf(compute: Pick<Compute, 'hash'>, from: Labels): MachineRef | undefined {
  const clusterUid = from[labels.cluster];
  const slot = from[labels.slot];
  const generation = Number(from[labels.generation]);
  const attempt = Number(from[labels.attempt]);
  if (clusterUid === undefined || slot === undefined) return undefined;
  if (!Number.isSafeInteger(generation) || !Number.isSafeInteger(attempt)) return undefined;
  const machine = machineRef(compute, { clusterUid, slot, generation, attempt });
  return machine.token === from[labels.token] ? machine : undefined;
}
