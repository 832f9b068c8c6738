/** Machines out of the launcher's reach, and launches that come late and twice: neither doubles anything. */
import { type Simulation, simulate } from '@skep/sim';
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
