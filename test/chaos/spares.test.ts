/** Warm spares on real processes: whose process serves a slot is told by the process list. */
import { existsSync } from 'node:fs';
import type { NodeView } from '@skep/contract';
import { isAlive } from '@skep/p2p-core/process-identity';
import { afterEach, expect, it } from 'vitest';
import { ChaosCluster, type Spec } from './cluster.ts';
import { settled } from './settled.ts';
import { until } from './waiting.ts';

const quick: Spec = {
  bootstrap: 3,
  peers: 0,
  spares: 1,
  graceMs: 3_000,
  leaseMs: 2_000,
  watchdogMs: 2_000,
  // A spare unheard for two of these is left alone, and a busy machine makes processes wait.
  reportIntervalMs: 2_000,
  orphanMs: 60_000,
};
const timeout = 180_000;

let cluster: ChaosCluster;

afterEach(async () => {
  expect(await cluster.end()).toEqual({ processes: [], files: [] });
});

/** Once the slot has a machine of this generation that serves. */
function serving(slot: string, generation: number): Promise<NodeView> {
  return until(
    `${slot}@${generation} to serve`,
    async () =>
      (await cluster.nodes())?.find(
        (node) => node.slot === slot && node.generation === generation && node.state === 'serving',
      ),
    { state: () => cluster.describe() },
  );
}

async function replacements(): Promise<string[]> {
  const rows = await cluster.redeployments();
  return rows.map(({ id, spare, attempts }) => `${id} by ${spare ?? 'a launch'}, ${attempts}`).sort();
}

it('a killed node’s slot is served by the process of the spare, and the pool is made up', {
  timeout,
}, async () => {
  cluster = await ChaosCluster.start(quick);
  const spare = (await cluster.processOf('spare-1'))!;
  await cluster.signal('bootstrap-2', 'SIGKILL');
  expect((await serving('bootstrap-2', 2)).machine, await cluster.describe()).toBe(String(spare.pid));
  const refilled = await serving('spare-1', 2);
  expect(refilled.machine).not.toBe(String(spare.pid));
  await settled(cluster);
  expect(await replacements()).toEqual(['bootstrap-2@2 by spare-1, 1']);

  // The control API that comes back knows whose process it is.
  await cluster.killApi();
  await cluster.startApi();
  expect((await settled(cluster)).map(({ slot, generation }) => `${slot}@${generation}`).sort()).toEqual([
    'bootstrap-1@1',
    'bootstrap-2@2',
    'bootstrap-3@1',
    'spare-1@2',
  ]);

  // And notices its end, as that of any other. Only a spare that it has heard can take over.
  await until('every node to be heard', async () =>
    (await cluster.nodes())?.every(({ heardAgoMs }) => heardAgoMs !== undefined),
  );
  await cluster.signal('bootstrap-2', 'SIGKILL');
  expect((await serving('bootstrap-2', 3)).machine, await cluster.describe()).toBe(refilled.machine);
  await serving('spare-1', 3);
  expect(isAlive(spare)).toBe(false);
  await settled(cluster);
});

it('a spare that is killed is made good without a redeployment; what one spare cannot serve is launched', {
  timeout,
}, async () => {
  cluster = await ChaosCluster.start({ ...quick, bootstrap: 5 });
  await cluster.signal('spare-1', 'SIGKILL');
  const { machine } = await serving('spare-1', 2);
  await settled(cluster);
  expect(await replacements()).toEqual([]);

  await cluster.signalAll(['bootstrap-4', 'bootstrap-5'], 'SIGKILL');
  const healed = await Promise.all([serving('bootstrap-4', 2), serving('bootstrap-5', 2)]);
  expect(healed.filter((node) => node.machine === machine)).toHaveLength(1);
  await serving('spare-1', 3);
  await settled(cluster);
  const of = (await cluster.redeployments()).map(({ spare }) => spare ?? 'launched').sort();
  expect(of).toEqual(['launched', 'spare-1']);
});

it('a spare, and what was one, remove themselves when the control API is gone for good', {
  timeout,
}, async () => {
  cluster = await ChaosCluster.start({ ...quick, reportIntervalMs: 500, orphanMs: 4_000 });
  await cluster.signal('bootstrap-2', 'SIGKILL');
  await serving('bootstrap-2', 2);
  await serving('spare-1', 2);
  await cluster.killApi();
  await until('every machine to end itself', () => cluster.machines().length === 0);
  expect(existsSync(cluster.directory)).toBe(false);
});
