import type { Fault } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type * as z from 'zod';
import { StoreError } from './ports/store.ts';
import { adminToken, createWorld, viewerToken, type World } from './testing/world.ts';

const params = { cluster: 'bees' };
const slots = ['bootstrap-1', 'peer-1', 'peer-2'];

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

async function createServing(overrides: object = { network: {} }) {
  const body = { name: 'bees', bootstrap: 1, peers: 2, heal: [], ...overrides };
  await world.client(adminToken).createCluster({ body });
  const agents = await Promise.all(slots.map(async (slot) => (await world.agent(slot)).serve()));
  return { bootstrap: agents[0]!, peer: agents[1]!, other: agents[2]! };
}

type Injection = z.input<typeof Fault>;
const inject = (body: Injection) => world.client(adminToken).injectFault({ params, body });
const states = async () =>
  (await world.client(viewerToken).listFaults({ params })).map(({ id, state }) => `${id} ${state}`);
const partition: Injection = {
  kind: 'partition',
  nodes: ['peer-1'],
  from: ['peer-2'],
  way: 'both',
  forMs: 3_000,
};

describe('faults', () => {
  it('are injected by admins, listed to viewers newest first, ended early, and told of', async () => {
    await createServing();
    const body = JSON.stringify(partition);
    const path = '/v1/clusters/bees/faults';
    expect((await world.request('POST', path, { token: viewerToken, body })).status).toBe(403);
    const response = await world.request('POST', path, { token: adminToken, body });
    expect(response.status).toBe(201);
    const first = (await response.json()) as { injectedAtMs: number };
    expect(first).toEqual({
      id: '1',
      fault: partition,
      state: 'active',
      injectedAtMs: expect.any(Number),
      untilMs: first.injectedAtMs + 3_000,
    });
    await inject({ kind: 'pause', nodes: ['peer-2'], forMs: 60_000 });
    expect(await states()).toEqual(['2 active', '1 active']);
    await world.advance(1_000);
    const fault = { cluster: 'bees', fault: '2' };
    const cancelled = await world.client(adminToken).cancelFault({ params: fault });
    expect(cancelled).toMatchObject({ state: 'cancelled' });
    expect(cancelled).not.toHaveProperty('machines');
    expect(await world.client(adminToken).cancelFault({ params: fault })).toEqual(cancelled);
    expect((await world.request('DELETE', `${path}/9`, { token: adminToken })).status).toBe(404);
    await world.advance(2_001);
    expect(await states()).toEqual(['2 cancelled', '1 over']);
    const events = await world.client(viewerToken).listEvents({ params });
    expect(
      events.filter(({ kind }) => kind.startsWith('fault-')).map(({ kind, data }) => [kind, data]),
    ).toEqual([
      ['fault-injected', { fault: '1', kind: 'partition', nodes: 'peer-1', forMs: 3_000 }],
      ['fault-injected', { fault: '2', kind: 'pause', nodes: 'peer-2', forMs: 60_000 }],
      ['fault-over', { fault: '2', kind: 'pause', cancelled: true }],
      ['fault-over', { fault: '1', kind: 'partition', cancelled: false }],
    ]);
    const lamports = events.map(({ lamport }) => lamport);
    expect(lamports).toEqual(lamports.toSorted((one, other) => one - other));
  });

  it.each([
    ['no such kind', { kind: 'flood', nodes: ['peer-1'] }],
    ['nobody', { kind: 'crash', nodes: [] }],
    ['no end', { kind: 'pause', nodes: ['peer-1'] }],
    ['nothing that gets worse', { kind: 'degrade', nodes: ['peer-1'], forMs: 5 }],
    ['what no disk has', { kind: 'disk', nodes: ['peer-1'], forMs: 5, lossRate: 1 }],
    ['more than all of it', { kind: 'degrade', nodes: ['peer-1'], forMs: 5, lossRate: 1.5 }],
  ])('are refused with %s', async (_, fault) => {
    await createServing();
    const body = JSON.stringify(fault);
    const response = await world.request('POST', '/v1/clusters/bees/faults', { token: adminToken, body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'bad-request' });
  });

  it('of network, clock and disk need a network, and say so', async () => {
    await createServing({});
    await expect(inject(partition)).rejects.toMatchObject({
      status: 409,
      problem: { code: 'fault-not-possible', detail: expect.stringContaining('network') },
    });
    expect(world.launcher.living('peer-1')!.config.shaped).toBeUndefined();
  });
});

describe('a control API', () => {
  it('can give every cluster a network, so that every fault can be done', async () => {
    world = await createWorld(1, { alwaysShaped: true });
    await createServing({});
    expect(await inject(partition)).toMatchObject({ state: 'active' });
  });

  it('that does not know its own address is not named in vain', async () => {
    world = await createWorld(1, { baseUrl: () => 'http://nowhere.invalid' });
    await createServing();
    expect(world.troubles.join()).toContain('faults cannot name the control API');
    await expect(inject({ ...partition, from: ['control-api'] })).rejects.toMatchObject({
      problem: { code: 'fault-not-possible' },
    });
    expect(await inject({ ...partition, from: undefined })).toMatchObject({ state: 'active' });
  });
});

describe('what nodes endure', () => {
  it('rides on the answer to a held report as soon as it begins, and again as soon as it ends', async () => {
    const { peer, other, bootstrap } = await createServing();
    expect(peer.launched.config.shaped).toBe(true);
    await Promise.all([peer.report(), other.report(), bootstrap.report()]);
    const address = (agent: typeof peer) => agent.launched.config.listen.host;
    const held = peer.report('serving', { waitMs: 60_000 });
    await inject(partition);
    await world.advance(10);
    const commands = (await held).commands!;
    expect(commands.find(({ kind }) => kind === 'endure')).toEqual({
      kind: 'endure',
      base: {},
      faults: [
        {
          id: '1',
          conditions: { paths: [{ with: [address(other)], cut: 'both' }] },
          forMs: 3_000,
          ageMs: expect.any(Number),
        },
      ],
    });
    expect((await other.report()).commands!.map(({ kind }) => kind)).toContain('endure');
    expect((await bootstrap.report()).commands).toBeUndefined();
    const after = peer.report('serving', { waitMs: 60_000 });
    await world.advance(3_000);
    expect((await after).commands!.map(({ kind }) => kind)).not.toContain('endure');
  });

  it('is told with the ways to the control API at the address that agents reach it at', async () => {
    const { peer } = await createServing({ network: { latencyMs: 20 } });
    const { commands } = await (async () => {
      peer.revision = '';
      return peer.report();
    })();
    const endure = commands!.find((command) => command.kind === 'endure')!;
    expect(endure.base.paths).toContainEqual({ with: ['10.9.9.9'], delayMs: 40 });
    expect(endure.base.paths).toContainEqual({ with: 'any', delayMs: 20 });
  });
});

it('can name the control API once the name that machines know it by leads somewhere', async () => {
  const named = await createWorld(1, { baseUrl: () => 'https://control-api.internal:7700' });
  await named.client(adminToken).createCluster({ body: { name: 'bees', network: {} } });
  const body: Injection = { kind: 'partition', nodes: ['control-api'], way: 'both', forMs: 100 };
  const cut = () => named.client(adminToken).injectFault({ params, body });
  await expect(cut()).rejects.toMatchObject({ problem: { code: 'fault-not-possible' } });
  Object.assign(named.host, { net: { resolve: async () => ['10.64.16.9'] } });
  await named.advance(5_000);
  expect(await cut()).toMatchObject({ state: 'active' });
  expect(named.troubles.filter((trouble) => trouble.includes('until its address is known'))).toHaveLength(1);
  await Promise.all([named.api.stop(), named.advance(2_000)]);
});

describe('machines', () => {
  it('that crash are dead, as by any failure', async () => {
    await createServing();
    await inject({ kind: 'crash', nodes: ['peer-1', 'peer-2'] });
    await world.until(async () => (await world.node('bees', 'peer-2')).state === 'dead');
    expect((await world.node('bees', 'peer-1')).state).toBe('dead');
    expect(await states()).toEqual(['1 over']);
  });

  it('that are paused go on at the time, also when another control API has come meanwhile', async () => {
    await createServing({});
    await inject({ kind: 'pause', nodes: ['peer-1'], forMs: 10_000 });
    await world.until(() => world.launcher.paused().length > 0);
    expect(world.launcher.paused()).toEqual(['peer-1']);
    await world.restart(2_000);
    expect(world.launcher.paused()).toEqual(['peer-1']);
    await world.advance(9_000);
    expect(world.launcher.paused()).toEqual([]);
    expect(await states()).toEqual(['1 over']);
  });

  it('that are paused go on at once when their time came while nobody was there', async () => {
    await createServing({});
    await inject({ kind: 'pause', nodes: ['peer-1'], forMs: 3_000 });
    await world.until(() => world.launcher.paused().length > 0);
    await world.restart(20_000);
    await world.advance(100);
    expect(world.launcher.paused()).toEqual([]);
  });

  it('go on although the store fails when it is time', async () => {
    await createServing({});
    await inject({ kind: 'pause', nodes: ['peer-1'], forMs: 1_000 });
    await world.until(() => world.launcher.paused().length > 0);
    const commit = world.store.commit.bind(world.store);
    world.store.commit = async () => {
      throw new StoreError('full');
    };
    await world.advance(5_000);
    expect(world.launcher.paused()).toEqual(['peer-1']);
    expect(world.troubles.join()).toContain('could not be done or ended yet');
    world.store.commit = commit;
    await world.advance(1_000);
    expect(world.launcher.paused()).toEqual([]);
  });

  it('that are restarted have a successor at once, with an empty disk if it was lost', async () => {
    const { peer, other } = await createServing();
    await inject({ kind: 'restart', nodes: ['peer-1'], disk: 'lose' });
    await inject({ kind: 'restart', nodes: ['peer-2'], disk: 'keep' });
    await world.until(() => world.launcher.living('peer-1')?.machine.generation === 2);
    await world.until(() => world.launcher.living('peer-2')?.machine.generation === 2);
    expect(world.launcher.living('peer-1')!.emptyDisk).toBe(true);
    expect(world.launcher.living('peer-2')!.emptyDisk).toBeUndefined();
    expect(world.launcher.mostAlive).toBe(1);
    for (const over of [peer, other]) {
      await expect(over.report()).rejects.toMatchObject({ problem: { code: 'generation-over' } });
    }
    const next = await (await world.agent('peer-1')).serve();
    expect(next.id).toEqual({ slot: 'peer-1', generation: 2 });
    const [redeployment] = await world.client(viewerToken).listRedeployments({ params });
    expect(redeployment).toMatchObject({ reason: 'restarted' });
  });
});
