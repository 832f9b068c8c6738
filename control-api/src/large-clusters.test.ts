/** What takes more than one commit is whole or not at all in the end, wherever the control API dies in between. */
import { ClusterSpec } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clusters } from './clusters.ts';
import { decideCreateCluster, slotCount } from './decisions/cluster-creation.ts';
import type { Row, Write } from './ports/store.ts';
import { MemoryStore } from './stores/memory.ts';
import { letDie } from './testing/dying-store.ts';
import { createVirtualHost } from './testing/virtual-host.ts';
import { adminToken, createWorld, type World } from './testing/world.ts';

const peers = 100;
const nodes = peers + 3;
const params = { cluster: 'bees' };
const body = { name: 'bees', peers, heal: [] };
/** Longer than a cluster that is being made is waited for. */
const givenUpMs = 700_000;

let world: World;
beforeEach(async () => {
  // Nobody joins here.
  world = await createWorld(1, { joinTimeoutMs: 1e9 });
});
afterEach(async () => {
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

const admin = () => world.client(adminToken);
/** One step of many that a large cluster takes; not those that are of one machine. */
const isStep = (writes: readonly Write[]) =>
  writes.length > 12 || writes.some(({ key }) => key.startsWith('gone/'));
const allLaunched = () => world.until(async () => (await world.launcher.list()).length === nodes);
const uidsIn = (rows: readonly Row[]) =>
  new Set(rows.filter(({ key }) => key.startsWith('cluster/')).map(({ key }) => key.split('/')[1]));

/** Has the control API die at a step, and start anew on what is in the store then. */
async function dieAt(at: number, made: boolean, meanwhile: () => Promise<unknown>): Promise<void> {
  const death = letDie(world.store, { at, counts: isStep, made });
  await meanwhile().catch(() => undefined);
  await world.until(() => death.dead());
  death.revive();
  await world.restart();
}

const places = (steps: number) =>
  Array.from({ length: steps }, (_, index) => [
    ['before', index + 1, false] as const,
    ['after', index + 1, true] as const,
  ]).flat();

// The leftovers' row, five batches of slots, and the commit that makes it a cluster.
describe.each(places(7))('a control API that dies %s step %i of making a cluster', (_, step, made) => {
  it('leaves a cluster or nothing', async () => {
    await dieAt(step, made, () => admin().createCluster({ body }));
    const isThere = step === 7 && made;
    expect((await admin().listClusters({})).map(({ name }) => name)).toEqual(isThere ? ['bees'] : []);
    if (!isThere) await admin().createCluster({ body });
    await allLaunched();
    await world.advance(givenUpMs);
    const rows = await world.store.list('');
    expect(uidsIn(rows).size).toBe(1);
    expect(rows.filter(({ key }) => key.startsWith('gone/'))).toEqual([]);
    expect((await admin().getCluster({ params })).nodes).toHaveLength(nodes);
  });
});

// Two batches of machines to stop, the end, three batches of rows, and the leftovers' row.
describe.each(places(7))('a control API that dies %s step %i of deleting a cluster', (_, step, made) => {
  it('leaves nothing', async () => {
    await admin().createCluster({ body });
    await allLaunched();
    await dieAt(step, made, () => admin().deleteCluster({ params }));
    if (step === 1 && !made) await admin().deleteCluster({ params });
    await world.until(async () => (await world.store.list('')).length === 0);
    expect(await world.launcher.list()).toEqual([]);
    expect(await admin().listClusters({})).toEqual([]);
  });
});

describe.each(places(8))(
  'a control API that dies %s step %i of restarting many machines',
  (_, step, made) => {
    it('restarts each once, if the fault was injected', async () => {
      await admin().createCluster({ body });
      await allLaunched();
      const slots = (await world.nodes('bees')).map(({ slot }) => slot);
      await dieAt(step, made, () =>
        admin().injectFault({ params, body: { kind: 'restart', nodes: slots, disk: 'keep' } }),
      );
      const isInjected = step > 1 || made;
      await world.advance(30_000);
      const generations = new Set((await world.nodes('bees')).map(({ generation }) => generation));
      expect([...generations]).toEqual([isInjected ? 2 : 1]);
      expect(await admin().listFaults({ params })).toHaveLength(isInjected ? 1 : 0);
      const [fault] = await world.store.list(`cluster/${[...uidsIn(await world.store.list(''))][0]}/faults/`);
      expect(fault?.value ?? {}).not.toHaveProperty('left');
      expect(world.launcher.mostAlive).toBe(1);
    });
  },
);

it('a cluster whose making was given up by another control API is refused, and swept', async () => {
  const { host, advance } = createVirtualHost();
  const store = new MemoryStore();
  const [slow, other] = [0, 1].map(() => new Clusters({ host, store, journal: store }));
  const commit = store.commit.bind(store);
  const held = Promise.withResolvers<void>();
  store.commit = async (writes, events) => {
    if (writes.some(({ key }) => key.startsWith('name/'))) await held.promise;
    return commit(writes, events);
  };
  const spec = ClusterSpec.parse(body);
  const addresses = await world.launcher.allocate(slotCount(spec));
  const made = slow!.create('bees', 'f'.repeat(32), decideCreateCluster(spec, 'f'.repeat(32), addresses, 1));
  await advance(1_000);
  await other!.sweep();
  expect((await store.list('cluster/')).length).toBeGreaterThan(nodes * 3);
  await advance(givenUpMs);
  await other!.sweep();
  expect(await store.list('')).toEqual([]);
  held.resolve();
  await expect(made).rejects.toThrow(/took too long to be made/);
  expect(await store.list('')).toEqual([]);
});
