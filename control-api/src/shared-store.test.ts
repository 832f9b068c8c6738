/** Two control APIs on one store, as while a watchdog stands in for one that is cut off from it. */
import { ClusterSpec } from '@skep/contract';
import { beforeEach, expect, it } from 'vitest';
import type { ClusterRecord } from './cluster-record.ts';
import { Clusters } from './clusters.ts';
import { decideCreateCluster, slotCount } from './decisions/cluster-creation.ts';
import { type ClusterState, type Decision, put, refuse } from './decisions/decision.ts';
import { MemoryStore } from './stores/memory.ts';
import { MemoryLauncher } from './testing/memory-launcher.ts';
import { createVirtualHost, type VirtualHost } from './testing/virtual-host.ts';

const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 1, peers: 1 });
const uid = 'f'.repeat(32);

let virtual: VirtualHost;
let store: MemoryStore;
beforeEach(async () => {
  virtual = createVirtualHost();
  store = new MemoryStore();
  const addresses = await new MemoryLauncher().allocate(slotCount(spec));
  const maker = new Clusters({ host: virtual.host, store, journal: store });
  await maker.create(spec.name, uid, decideCreateCluster(spec, uid, addresses, 1));
});

async function open(isShared: boolean): Promise<{ clusters: Clusters; record: ClusterRecord }> {
  const clusters = new Clusters({ host: virtual.host, store, journal: store }, { isShared });
  await clusters.load();
  return { clusters, record: clusters.byName(spec.name)! };
}

const moveOn = (state: ClusterState): Decision<undefined> => {
  const slot = state.slots.get('peer-1')!;
  const machine = { ...state.machines.get('peer-1@1')!, generation: 2 };
  return { answer: undefined, changes: [put.slot({ ...slot, generation: 2 }), put.machine(machine)] };
};
const admit = (state: ClusterState): Decision<string> =>
  state.slots.get('peer-1')!.generation === 2
    ? { answer: 'admitted' }
    : refuse('generation-over', 'another generation has the slot');

it.each([
  [true, 'admitted'],
  [false, 'generation-over'],
])('of a shared store (%s) nothing is refused by what is remembered only', async (isShared, outcome) => {
  const [one, other] = [await open(isShared), await open(isShared)];
  await virtual.advance(2_000);
  await other.clusters.transact(other.record, moveOn);
  const answer = await one.clusters
    .transact(one.record, admit)
    .catch((error: { refusal: { code: string } }) => error.refusal.code);
  expect(answer).toBe(outcome);
});

it('what has just been read is refused at once, and nothing while the store cannot be read', async () => {
  const { clusters, record } = await open(true);
  let reads = 0;
  const { list } = store;
  store.list = (prefix) => {
    reads += 1;
    return list.call(store, prefix);
  };
  await expect(clusters.transact(record, admit)).rejects.toMatchObject({
    refusal: { code: 'generation-over' },
  });
  expect(reads).toBe(0);
  await virtual.advance(2_000);
  await expect(clusters.transact(record, admit)).rejects.toMatchObject({
    refusal: { code: 'generation-over' },
  });
  expect(reads).toBe(1);
  await virtual.advance(2_000);
  store.list = () => Promise.reject(new Error('cut off'));
  await expect(clusters.transact(record, admit)).rejects.toThrow('cut off');
});

it('rows that were read in parts, between which a machine was replaced, are read again', async () => {
  const [one, other] = [await open(true), await open(true)];
  const { list } = store;
  let lists = 0;
  store.list = async (prefix) => {
    lists += 1;
    const before = await list.call(store, prefix);
    if (lists > 1) return before;
    await other.clusters.transact(other.record, moveOn);
    const after = await list.call(store, prefix);
    // Machines are in an earlier part than slots.
    return [
      ...before.filter(({ key }) => key.includes('/machines/')),
      ...after.filter(({ key }) => !key.includes('/machines/')),
    ];
  };
  await one.clusters.refresh();
  expect(lists).toBe(2);
  expect(await one.clusters.transact(one.record, admit)).toBe('admitted');
});

it('what another one did is known once all is read again', async () => {
  const [one, other] = [await open(true), await open(true)];
  await other.clusters.transact(other.record, moveOn);
  expect(one.record.slots.get('peer-1')?.generation).toBe(1);
  await one.clusters.refresh();
  expect(one.record.slots.get('peer-1')?.generation).toBe(2);
});
