/**
 * Loaded before the control API's own program (`node --import`): its machines are as hosts in a network are.
 * Around the production launcher and its decisions, three things differ from processes of one computer:
 *
 * - A host that stands still is out of reach: to stop it does nothing, and is said to have proven it gone.
 * - Each generation has an address of its own, since the old one may still be in use. The ring and the nodes learn it
 *   as they learn any other.
 * - Each generation has a disk of its own.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { Clusters } from '../../control-api/src/clusters.ts';
import { ringAddress } from '../../control-api/src/decisions/cluster-creation.ts';
import type { Change, ClusterState, Decision } from '../../control-api/src/decisions/decision.ts';
import type { SlotRow } from '../../control-api/src/decisions/rows.ts';
import { ProcessLauncher } from '../../control-api/src/launchers/process.ts';
import { ProcessDirectories } from '../../control-api/src/launchers/process-directories.ts';
import { findFreePorts } from '../../control-api/src/launchers/process-ports.ts';

const mostGenerations = 200;
/** Health is always served on 127.0.0.1, so that there it is the port that must differ. */
const healthPorts = [...(await freePorts())];

async function freePorts(): Promise<readonly number[]> {
  const host = createNodeHost({ workers: 1 });
  try {
    return (await findFreePorts(host.random, '127.0.0.1', mostGenerations, new Set())) ?? [];
  } finally {
    await host.close();
  }
}

const { stop } = ProcessLauncher.prototype;
ProcessLauncher.prototype.stop = async function (machine, options) {
  const living = await this.list(machine.clusterUid);
  const pid = living.find((each) => each.machine.token === machine.token)?.name;
  if (pid === undefined || !standsStill(pid)) await stop.call(this, machine, options);
};

function standsStill(pid: string): boolean {
  try {
    return /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const { data } = ProcessDirectories.prototype;
ProcessDirectories.prototype.data = function (machine: Parameters<typeof data>[0] & { generation?: number }) {
  const { generation = 1 } = machine;
  return generation === 1 ? data.call(this, machine) : join(this.slot(machine), `data-${generation}`);
};

const { transact } = Clusters.prototype;
Clusters.prototype.transact = function (record, decide) {
  return transact.call(this, record, (state: ClusterState, now: number) =>
    elsewhere(state, decide(state, now)),
  ) as never;
};

/** The decision, with a slot that moves on to its next generation moved to another address as well. */
function elsewhere<A>(state: ClusterState, decision: Decision<A>): Decision<A> {
  const moved = new Map<string, SlotRow>();
  const changes = decision.changes?.map((change): Change => {
    if (change.table !== 'slots' || change.value === undefined) return change;
    const slot = change.value;
    if (slot.generation <= (state.slots.get(slot.slot)?.generation ?? slot.generation)) return change;
    const value = { ...slot, addresses: nextAddresses(slot) };
    moved.set(slot.slot, value);
    return { ...change, value };
  });
  if (changes === undefined || moved.size === 0) return decision;
  return {
    ...decision,
    changes: changes.map((change): Change => {
      if (change.table !== 'ring' || change.value === undefined) return change;
      const members = change.value.members.map((member) => {
        const slot = moved.get(member.slot);
        return slot === undefined ? member : { ...member, address: ringAddress(slot.addresses) };
      });
      return { ...change, value: { ...change.value, members } };
    }),
  };
}

function nextAddresses({ addresses, generation }: SlotRow): SlotRow['addresses'] {
  const healthPort = healthPorts.pop();
  if (healthPort === undefined) throw new Error(`more than ${mostGenerations} machines were replaced`);
  return { ...addresses, listen: { ...addresses.listen, host: `127.0.1.${generation}` }, healthPort };
}
