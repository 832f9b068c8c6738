/** Slots added and removed over the API: what reports say of the ring decides when the next step is taken. */
import { beforeEach, describe, expect, it } from 'vitest';
import { adminToken, createWorld, type PretendedAgent, viewerToken, type World } from './testing/world.ts';

const params = { cluster: 'bees' };

describe('the ring over the API', () => {
  let world: World;
  let agents: Map<string, PretendedAgent>;

  beforeEach(async () => {
    world = await createWorld();
    await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 3, peers: 1 } });
    agents = new Map();
    for (const slot of ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1']) {
      agents.set(slot, await (await world.agent(slot)).serve());
    }
  });

  const admin = () => world.client(adminToken);
  const grow = () => admin().addNode({ params, body: { role: 'bootstrap' } });
  const remove = (slot: string) => admin().removeNode({ params: { ...params, slot: slot as 'peer-1' } });
  const heard = async (ringVersion: number, ...slots: string[]) => {
    for (const slot of slots) await agents.get(slot)!.report('serving', { term: 3, ringVersion });
    await world.advance(300);
  };
  const movingOf = async (slot: string) => (await world.node('bees', slot))?.moving;
  const changes = async () => {
    const events = await world.client(viewerToken).listEvents({ params, query: { limit: 1_000 } });
    return events
      .filter(({ kind }) => kind === 'ring-changed')
      .map(({ slot, data }) => `${slot} ${data.change}`);
  };

  it('grows once the new node and most voters have reported it', async () => {
    expect(await grow()).toMatchObject({ slot: 'bootstrap-4', moving: 'joining', state: 'launching' });
    agents.set('bootstrap-4', await (await world.agent('bootstrap-4')).serve());
    await heard(2, 'bootstrap-1', 'bootstrap-4');
    expect(await movingOf('bootstrap-4')).toBe('joining');
    // What was reported long ago is not counted on.
    await world.advance(3_000);
    await heard(2, 'bootstrap-2', 'bootstrap-4');
    expect(await movingOf('bootstrap-4')).toBe('joining');
    await heard(2, 'bootstrap-1');
    expect(await movingOf('bootstrap-4')).toBeUndefined();
    expect(await changes()).toEqual(['bootstrap-4 admitted', 'bootstrap-4 promoted']);
    const { commands } = await agents.get('bootstrap-4')!.report();
    expect(commands?.find(({ kind }) => kind === 'form-ring')).toMatchObject({
      configuration: { version: 3, members: Array(4).fill({ voter: true, admittedAtTerm: 3 }) },
    });
  });

  it('shrinks, and goes on where it was after a restart', async () => {
    await expect(remove('bootstrap-2')).rejects.toMatchObject({ problem: { code: 'ring-changing' } });
    await heard(1, 'bootstrap-1', 'bootstrap-3');
    expect(await remove('bootstrap-2')).toMatchObject({ moving: 'leaving', state: 'serving' });
    await world.restart();
    await heard(2, 'bootstrap-1', 'bootstrap-3');
    expect(await agents.get('bootstrap-2')!.report()).toMatchObject({
      commands: [{ kind: 'stop', reason: 'drained' }],
    });
    expect(await world.node('bees', 'bootstrap-2')).toMatchObject({ state: 'stopping', moving: 'leaving' });
    world.launcher.crash(agents.get('bootstrap-2')!.launched.machine, 'exit code 0');
    await world.until(async () => (await world.node('bees', 'bootstrap-2')) === undefined);
    expect(world.launcher.living('bootstrap-2')).toBeUndefined();
    await expect(agents.get('bootstrap-2')!.report()).rejects.toMatchObject({ status: expect.any(Number) });
    await expect(remove('bootstrap-2')).rejects.toMatchObject({ problem: { code: 'node-not-found' } });
    const kinds = await world.kinds('bees');
    expect(kinds.slice(-2)).toEqual(['generation-gone bootstrap-2@1', 'node-removed bootstrap-2@1']);
    expect(kinds.filter((kind) => kind.startsWith('node-dead'))).toEqual([]);
  });

  it('ends a machine that does not finish by itself', async () => {
    await remove('peer-1');
    await world.advance(4_000);
    expect(world.launcher.living('peer-1')).toBeDefined();
    await world.advance(2_000);
    expect(world.launcher.living('peer-1')).toBeUndefined();
    expect(await world.node('bees', 'peer-1')).toBeUndefined();
  });

  it('is deleted in the middle of a change', async () => {
    await grow();
    await admin().deleteCluster({ params });
    await world.until(async () => (await admin().listClusters({})).length === 0);
    expect(await world.launcher.list()).toEqual([]);
  });

  it('is given bootstrap slots of its own for peers only', async () => {
    const body = { role: 'bootstrap', bootstrap: ['bootstrap-1'] } as const;
    await expect(
      admin().addNode({ params, body: { ...body, bootstrap: [...body.bootstrap] } }),
    ).rejects.toMatchObject({
      problem: { code: 'bad-request' },
    });
  });
});
