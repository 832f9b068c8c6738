/** Machines out of the launcher's reach, of this cluster or of one before it, and launches that come late and twice. */
import { type ClusterWorld, type FleetMachine, type Simulation, simulate } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 60_000;
const served = (): Promise<Simulation> =>
  simulate({ seed: 3, cluster: { bootstrap: 3, peers: 1 }, fleet: { bootMs: [8_000, 9_000] } });

describe('a machine that the runner takes for ended', () => {
  it('runs on beside its fence, leads nobody, and is over when the next one has its address', {
    timeout: limitMs,
  }, async () => {
    const world = await served();
    const old = world.leader!;
    const stray = world.cluster.machineIn(old)!;
    world.inject({ kind: 'stray', nodes: [old], forMs: 60_000 });
    await world.until(() => world.generationOf(old) === 2);
    // Fenced, and cut off from whoever could tell it.
    expect(stray.state).toBe('exited');
    expect(stray.host?.state).toBe('running');
    await world.healed();
    expect(world.leader).not.toBe(old);
    expect(stray.host?.state).toBe('dead');
    expect(world.violations).toEqual([]);
  });
});

describe('a cluster of a name that was used before', () => {
  it('accepts nobody of the old one, who hears that it is over and ends itself', {
    timeout: limitMs,
  }, async () => {
    const { cluster, zombie } = await madeAnew();
    expect(zombie.ref.clusterUid).not.toBe(cluster.ledger.uid);
    // Its name is that of a machine of now, and it was cut off from whoever could tell it.
    expect(cluster.ledger.machine(zombie.ref.slot, zombie.ref.generation)?.state).toBe('serving');
    expect(zombie.host?.state).toBe('running');
    await cluster.world.run({ untilMs: cluster.nowMs + 60_000, until: () => zombie.host?.state === 'dead' });
    expect(zombie.host?.state).toBe('dead');
    expect(cluster.unhealed()).toBeUndefined();
    expect(cluster.violations).toEqual([]);
  });
});

/** A cluster of four and a peer, of which the peer lives on unseen, replaced by one of two and a peer. */
async function madeAnew(): Promise<{ cluster: ClusterWorld; zombie: FleetMachine }> {
  const simulation = await simulate({ seed: 5, cluster: { bootstrap: 4, peers: 1 } });
  const { cluster } = simulation;
  const zombie = cluster.machineIn('peer-1')!;
  simulation.inject({ kind: 'stray', nodes: ['peer-1'], forMs: 30_000 });
  cluster.operator.anew({ bootstrap: 2, peers: 1 });
  await simulation.until(() => cluster.operator.wants === undefined);
  await simulation.healed();
  return { cluster, zombie };
}

describe('a launch that comes late, and twice', () => {
  it('makes one machine', { timeout: limitMs }, async () => {
    const world = await served();
    world.inject({ kind: 'launcher-outage', way: 'late', forMs: 1_500 });
    world.inject({ kind: 'crash', nodes: ['peer-1'] });
    await world.until(() => world.generationOf('peer-1') === 2);
    await world.healed();
    await world.pass(25_000);
    const launched = world.cluster.fleet.all().filter(({ ref }) => ref.slot === 'peer-1');
    expect(launched.map(({ ref }) => ref.generation)).toEqual([1, 2]);
    expect(world.story.some((line) => line.includes('the answer was lost'))).toBe(true);
    expect(world.violations).toEqual([]);
  });
});
