import { ClusterSpec, Order, type SelfTestCheck, tableKeys } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Orders } from './orders.ts';
import { commitLimits, type Json } from './ports/store.ts';
import { letDie } from './testing/dying-store.ts';
import { adminToken, createWorld, type World } from './testing/world.ts';

const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 1, peers: 1 });
const create = { kind: 'create-cluster', spec } as const;
const test = { kind: 'run-tests', cluster: 'bees' } as const;

let world: World;
let orders: Orders;
let troubles: string[];
beforeEach(async () => {
  world = await createWorld();
  troubles = [];
  orders = take();
});
afterEach(async () => {
  orders.stop();
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

/** A control API's taking of orders. */
function take(): Orders {
  const taking = new Orders(
    { clock: world.host.clock, store: world.store, client: world.client(adminToken) },
    { onTrouble: (message) => troubles.push(message) },
  );
  taking.start();
  return taking;
}

async function give(id: string, ask: Order['ask'], askedAtMs = world.host.clock.wallTime()): Promise<void> {
  const put = { ask, askedAtMs, state: 'asked' } as unknown as Json;
  await world.store.commit([{ key: tableKeys.order(id), expectedVersion: 0, put }]);
}

async function look(id: string): Promise<Order | undefined> {
  const row = await world.store.get(tableKeys.order(id));
  return row && Order.parse(row.value);
}

async function outcome(id: string): Promise<Order> {
  await world.until(async () => ['done', 'failed'].includes((await look(id))!.state));
  return (await look(id))!;
}

const uids = async () => (await world.client(adminToken).listClusters({})).map(({ uid }) => uid);

describe('an order to create a cluster', () => {
  it('is carried out, and answered with its uid', async () => {
    await give('a', create);
    expect(await outcome('a')).toMatchObject({ state: 'done', clusterUid: expect.any(String) });
    expect(await uids()).toEqual([(await look('a'))!.clusterUid]);
  });

  it('is done if there is that very cluster, and fails if there is another of its name', async () => {
    await give('a', create);
    const { clusterUid } = await outcome('a');
    await give('b', create);
    expect(await outcome('b')).toMatchObject({ state: 'done', clusterUid });
    await give('c', { ...create, spec: { ...spec, peers: 2 } });
    expect(await outcome('c')).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('take another name'),
    });
    expect(await uids()).toEqual([clusterUid]);
  });

  // The order is taken, the cluster made, the order answered.
  it.each(
    [1, 2, 3].flatMap((at) => [
      [at, false],
      [at, true],
    ]) as [number, boolean][],
  )('makes one cluster, though the control API dies at commit %i (made: %s)', async (at, made) => {
    const counts = (writes: readonly { key: string }[]) =>
      writes.some(({ key }) => /^(order|name)\//.test(key));
    await give('a', create);
    const death = letDie(world.store, { at, counts, made });
    await world.until(() => death.dead());
    orders.stop();
    death.revive();
    await world.restart();
    orders = take();
    const { state, clusterUid } = await outcome('a');
    expect(state).toBe('done');
    expect(await uids()).toEqual([clusterUid]);
  });

  it('is carried out once by two control APIs', async () => {
    const other = take();
    await give('a', create);
    const { clusterUid } = await outcome('a');
    await world.advance(5_000);
    expect(await uids()).toEqual([clusterUid]);
    other.stop();
  });

  it('is tried again when the store fails, and not tried when nobody waits any more', async () => {
    const commit = world.store.commit.bind(world.store);
    await give('a', create);
    await give('b', create, world.host.clock.wallTime() - 3_600_000);
    await world.store.commit([{ key: tableKeys.order('c'), expectedVersion: 0, put: 'nonsense' }]);
    world.store.commit = async () => {
      throw new Error('full');
    };
    await world.advance(5_000);
    world.store.commit = commit;
    expect((await outcome('a')).state).toBe('done');
    expect(await look('b')).toBeUndefined();
    expect(await world.store.get(tableKeys.order('c'))).toBeUndefined();
    expect(troubles.join()).toContain('order/a is tried again');
    expect(troubles.join()).toContain('order/b is dropped');
  });
});

describe('an order to run the tests', () => {
  const check: SelfTestCheck = { name: 'clock', outcome: 'passed', detail: 'It is right.', tookMs: 3 };

  it('is answered with the results of every node', async () => {
    await give('a', create);
    await outcome('a');
    const agents = [];
    for (const slot of ['bootstrap-1', 'peer-1']) agents.push(await (await world.agent(slot)).serve());
    await give('b', test);
    await world.until(async () => (await look('b'))!.state === 'working');
    await world.advance(100);
    for (const agent of agents) {
      agent.revision = '';
      const { commands } = await agent.report();
      const { id } = commands!.find(({ kind }) => kind === 'self-test') as { id: string };
      await agent.report('serving', { selfTest: { id, checks: [check] } });
    }
    expect(await outcome('b')).toMatchObject({
      state: 'done',
      results: [
        { slot: 'bootstrap-1', outcome: 'passed', checks: [check] },
        { slot: 'peer-1', outcome: 'passed', checks: [check] },
      ],
    });
  });

  it('fails if there is no such cluster', async () => {
    await give('a', test);
    expect(await outcome('a')).toMatchObject({ state: 'failed', message: expect.stringContaining('bees') });
  });

  it('leaves out what a row has no room for, and nothing that failed', async () => {
    orders.stop();
    const checks = [{ ...check, detail: 'x'.repeat(400) }];
    const results = Array.from({ length: 1_000 }, (_, index) => {
      const outcome = index % 10 === 9 ? ('failed' as const) : ('passed' as const);
      return { slot: `peer-${index + 1}`, generation: 1, outcome, checks };
    });
    const run = { id: 'f'.repeat(16), state: 'done', startedAtMs: 1, untilMs: 2, nodes: 1_000, results };
    const client = { ...world.client(adminToken), runTests: async () => run, getTests: async () => run };
    orders = new Orders(
      { clock: world.host.clock, store: world.store, client: client as never },
      { onTrouble: () => undefined },
    );
    orders.start();
    await give('a', test);
    const { results: kept, message } = await outcome('a');
    expect(kept!.filter((result) => result.outcome === 'failed')).toHaveLength(100);
    expect(JSON.stringify(kept).length).toBeLessThan(commitLimits.valueBytes / 3);
    expect(message).toMatch(/of 1000 results are left out/);
  });
});
