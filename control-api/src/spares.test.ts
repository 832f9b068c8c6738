import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adminToken, createWorld, PretendedAgent, type World } from './testing/world.ts';

const params = { cluster: 'bees' };
let world: World;
beforeEach(async () => {
  world = await createWorld(1);
});
afterEach(() => Promise.all([world.api.stop(), world.advance(2_000)]));

const admin = () => world.client(adminToken);

async function createPool(): Promise<PretendedAgent> {
  await admin().createCluster({ body: { name: 'bees', bootstrap: 1, peers: 1, spares: 1 } });
  for (const slot of ['bootstrap-1', 'peer-1']) await (await world.agent(slot)).serve();
  return (await world.agent('spare-1')).serve();
}

/** What the spare's process comes to be once the machine of a slot has died: its held report is answered at once. */
async function become(spare: PretendedAgent, slot: 'peer-1'): Promise<PretendedAgent> {
  await spare.report('serving');
  const told = spare.report('serving', { waitMs: 60_000 });
  await world.advance(50);
  world.launcher.crash(world.launcher.living(slot)!.machine);
  await world.advance(10);
  await admin().redeployNode({ params: { ...params, slot } });
  await world.advance(20);
  const [command] = (await told).commands!;
  if (command?.kind !== 'become') throw new Error(`told to ${command?.kind}`);
  return new PretendedAgent(world, { ...spare.launched, config: command.config }).serve();
}

describe('spares', () => {
  it('are refused by a runner that keeps none, and in any number but the spec’s', async () => {
    await createPool();
    await expect(admin().addNode({ params, body: { role: 'spare' as 'peer' } })).rejects.toMatchObject({
      problem: { code: 'bad-request' },
    });
    await expect(admin().removeNode({ params: { ...params, slot: 'spare-1' } })).rejects.toMatchObject({
      problem: { code: 'bad-request' },
    });
    Object.assign(world.launcher, { assign: undefined });
    await expect(admin().createCluster({ body: { name: 'wasps', spares: 1 } })).rejects.toMatchObject({
      problem: { detail: expect.stringContaining('keeps no spares') },
    });
  });

  it('live on as others, by whose names the launcher does not know them', async () => {
    const spare = await createPool();
    const { joinSecret } = spare.launched.config;
    const peer = await become(spare, 'peer-1');
    expect(peer.launched.config).toMatchObject({ slot: 'peer-1', role: 'peer', generation: 2, attempt: 1 });
    expect(peer.launched.config.joinSecret).not.toBe(joinSecret);
    expect(await world.node('bees', 'peer-1')).toMatchObject({
      state: 'serving',
      generation: 2,
      machine: 'm-spare-1-1.1',
    });
    const log = await admin().nodeLogs({ params: { ...params, slot: 'peer-1' }, query: {} });
    expect(await log.text()).toBe('log of spare-1@1');
    // Nobody ends it as a spare that is over when the control API comes back.
    await world.restart();
    await world.advance(1_000);
    expect(world.launcher.machines.get(spare.launched.machine.token)?.alive).toBe(true);
    await admin().killNode({ params: { ...params, slot: 'peer-1' } });
    await world.advance(100);
    expect(world.launcher.machines.get(spare.launched.machine.token)?.alive).toBe(false);
    expect(await world.node('bees', 'peer-1')).toMatchObject({ state: 'dead' });
  });

  it('keep the secrets of what they become to themselves', async () => {
    const peer = await become(await createPool(), 'peer-1');
    const events = await admin().listEvents({ params, query: {} });
    const rows = await world.store.list('');
    expect(JSON.stringify([events, rows])).not.toContain(peer.launched.config.joinSecret);
  });

  it('leave nothing behind when their cluster is deleted while one is assigned', async () => {
    await createPool();
    await admin().redeployNode({ params: { ...params, slot: 'peer-1' } });
    await admin().deleteCluster({ params });
    await world.until(async () => (await admin().listClusters({})).length === 0);
    expect(await world.launcher.list()).toEqual([]);
    await world.until(async () => (await world.store.list('')).length === 0);
  });
});
