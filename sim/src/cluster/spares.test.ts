/** Warm spares in whole simulated clusters: whose process serves a slot is told by the fleet. */
import { describe, expect, it } from 'vitest';
import { ClusterWorld } from './cluster-world.ts';
import { type FleetMachine, fleetPresets } from './fleet.ts';
import { safetyInvariants } from './invariants.ts';

async function healthy(seed: number, spares: number): Promise<ClusterWorld> {
  const world = await ClusterWorld.create({
    seed,
    spec: { bootstrap: 3, peers: 1, spares },
    fleet: fleetPresets.process,
    invariants: safetyInvariants(),
  });
  await world.world.run({ untilMs: 60_000, until: () => world.unhealed() === undefined });
  return world;
}

/** The living machine of a slot, as whichever it was launched. */
function dweller(world: ClusterWorld, slot: string): FleetMachine | undefined {
  return world.fleet.living().find(({ ref }) => ref.slot === slot);
}

function serving(world: ClusterWorld, slot: string, generation: number): boolean {
  return world.ledger.machine(slot, generation)?.state === 'serving';
}

async function runUntil(world: ClusterWorld, until: () => boolean): Promise<number> {
  const sinceMs = world.nowMs;
  await world.world.run({ untilMs: sinceMs + 60_000, until });
  expect(world.violations).toEqual([]);
  expect(until()).toBe(true);
  return world.nowMs - sinceMs;
}

describe('a warm spare', () => {
  it.each([1, 2, 3])(
    'takes over the slot of a machine that dies, address and disk (seed %i)',
    async (seed) => {
      const world = await healthy(seed, 1);
      const spare = dweller(world, 'spare-1')!;
      const victim = dweller(world, 'bootstrap-2')!;
      world.fleet.crash(victim);
      const tookMs = await runUntil(world, () => serving(world, 'bootstrap-2', 2));
      expect(dweller(world, 'bootstrap-2')).toBe(spare);
      expect(spare.ref).toMatchObject({ slot: 'bootstrap-2', generation: 2 });
      expect([spare.address, spare.launchedAs.slot]).toEqual([victim.address, 'spare-1']);
      // The disk of the slot, where its predecessor kept its token.
      expect(
        await world.world.complete(spare.host!.files.stat('/data/bootstrap-2/agent/1.1/token')),
      ).toBeDefined();
      expect(tookMs).toBeLessThan(1_000);
      await runUntil(world, () => serving(world, 'spare-1', 2));
      expect(dweller(world, 'spare-1')?.ref).toMatchObject({ slot: 'spare-1', generation: 2 });
      expect(world.fleet.living()).toHaveLength(5);
    },
  );

  it('is told to end as what it became, and its process ends', async () => {
    const world = await healthy(4, 1);
    const spare = dweller(world, 'spare-1')!;
    world.fleet.crash(dweller(world, 'peer-1')!);
    await runUntil(world, () => serving(world, 'peer-1', 2) && serving(world, 'spare-1', 2));
    world.fleet.terminate(spare);
    await runUntil(world, () => spare.state === 'exited');
    expect(spare.evidence).toBe('exit code 0');
    await runUntil(world, () => serving(world, 'peer-1', 3) && serving(world, 'spare-1', 3));
  });

  it('that dies before it has become the other is made good by a launch', async () => {
    const world = await healthy(5, 1);
    const spare = dweller(world, 'spare-1')!;
    world.fleet.onChange((machine, change) => {
      if (machine === spare && change === 'moved') world.fleet.crash(spare);
    });
    world.fleet.crash(dweller(world, 'bootstrap-2')!);
    await runUntil(world, () => serving(world, 'bootstrap-2', 2) && serving(world, 'spare-1', 2));
    expect(dweller(world, 'bootstrap-2')!.ref).toMatchObject({ slot: 'bootstrap-2', attempt: 2 });
    expect(world.fleet.living()).toHaveLength(5);
  });

  it('that loses power once it is another comes up as that', async () => {
    const world = await healthy(6, 1);
    const spare = dweller(world, 'spare-1')!;
    world.fleet.crash(dweller(world, 'peer-1')!);
    await runUntil(world, () => serving(world, 'peer-1', 2) && serving(world, 'spare-1', 2));
    world.fleet.reboot(spare, 'keep', 500);
    await runUntil(world, () => spare.state === 'alive');
    const rebootedMs = world.nowMs;
    await runUntil(world, () => world.nowMs > rebootedMs + 15_000);
    expect(dweller(world, 'peer-1')).toBe(spare);
    expect(serving(world, 'peer-1', 2)).toBe(true);
    expect(world.unhealed()).toBeUndefined();
  });
});
