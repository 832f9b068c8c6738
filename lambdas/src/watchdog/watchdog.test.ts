import { tableKeys } from '@skep/contract';
import { describe, expect, it } from 'vitest';
import { adminToken, createWorld, type World } from '../../../control-api/src/testing/world.ts';
import { type WatchdogOptions, watchOver } from './watchdog.ts';

const day = 86_400_000;

/** A cluster of three bootstrap nodes and a peer that serves, and whose control API is gone since `silentMs`. */
async function leftAlone(silentMs: number): Promise<World> {
  const world = await createWorld(1, { joinTimeoutMs: day });
  await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 3, peers: 1 } });
  for (const slot of ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1'])
    await (await world.agent(slot)).serve();
  const put = { atMs: world.host.clock.wallTime(), version: '1' };
  await world.store.commit([{ key: tableKeys.heartbeat, expectedVersion: 0, put }]);
  await Promise.all([world.api.stop(), world.advance(silentMs)]);
  return world;
}

async function watch(world: World, options: Partial<WatchdogOptions> = {}) {
  const { clock } = world.host;
  let standIns = 0;
  let isDone = false;
  const answer = watchOver(
    {
      clock,
      store: world.store,
      async standIn() {
        standIns += 1;
        await world.restart();
        return {
          client: world.client(adminToken),
          start: async () => undefined,
          stop: () => world.api.stop(),
        };
      },
    },
    { forMs: 45_000, ...options },
  ).finally(() => {
    isDone = true;
  });
  while (!isDone) await world.advance(500);
  return { answer: await answer, standIns };
}

describe('the watchdog', () => {
  it('leaves a control API alone that lives, or never has', async () => {
    expect(await watch(await leftAlone(30_000))).toMatchObject({
      answer: { acted: false, redeployments: [] },
      standIns: 0,
    });
    const never = await createWorld();
    expect(await watch(never)).toEqual({ answer: { acted: false, redeployments: [] }, standIns: 0 });
  });

  it('heals in place of one that is gone, and says what it asked for', async () => {
    const world = await leftAlone(90_000);
    world.launcher.crash(world.launcher.living('bootstrap-2')!.machine, 'its instance i-2 is terminated');
    world.launcher.crash(world.launcher.living('peer-1')!.machine, 'its instance i-4 is terminated');
    const { answer, standIns } = await watch(world);
    expect(standIns).toBe(1);
    expect(answer).toMatchObject({ acted: true, redeployments: ['bees bootstrap-2@2', 'bees peer-1@2'] });
    expect(answer.controlApiSilentMs).toBeGreaterThanOrEqual(90_000);
    expect(world.launcher.living('bootstrap-2')?.config.generation).toBe(2);
    // Nobody reports to it: whoever it does not hear is not replaced for that.
    expect(world.launcher.living('bootstrap-1')?.config.generation).toBe(1);
    expect(world.launcher.mostAlive).toBe(1);
  });

  it('asks for nothing where nothing is wrong, minute after minute', async () => {
    const world = await leftAlone(90_000);
    for (let minute = 1; minute <= 3; minute++) {
      expect((await watch(world)).answer).toMatchObject({ acted: true, redeployments: [] });
    }
    expect([...world.launcher.machines.values()].filter(({ alive }) => alive)).toHaveLength(4);
  });

  it('stops as soon as the control API is back', async () => {
    const world = await leftAlone(90_000);
    const { clock } = world.host;
    const fromMs = clock.now();
    clock.setTimer(10_000, async () => {
      const { version } = (await world.store.get(tableKeys.heartbeat))!;
      const put = { atMs: clock.wallTime(), version: '1' };
      await world.store.commit([{ key: tableKeys.heartbeat, expectedVersion: version, put }]);
    });
    expect((await watch(world)).answer.acted).toBe(true);
    expect(clock.now() - fromMs).toBeLessThan(20_000);
  });

  it('heals nothing that is past its time', async () => {
    const { answer, standIns } = await watch(await leftAlone(90_000), { expiresAt: '2020-01-01T00:00:00Z' });
    expect(answer).toMatchObject({ acted: false, redeployments: [] });
    expect(standIns).toBe(0);
  });
});
