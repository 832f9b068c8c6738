/** Courses of events that a seed once found, or that the design names, each set up on purpose. */
import { controlApiNode } from '@skep/contract';
import { ClusterWorld, type ClusterWorldOptions, safetyInvariants } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 30_000;

/** A cluster whose slots all serve. */
async function serving(options: Partial<ClusterWorldOptions>): Promise<ClusterWorld> {
  const cluster = await ClusterWorld.create({ seed: 1, invariants: safetyInvariants(), ...options });
  await healed(cluster);
  return cluster;
}

async function healed(cluster: ClusterWorld, withinMs = 120_000): Promise<void> {
  const deadlineMs = cluster.nowMs + withinMs;
  while (cluster.unhealed() !== undefined && cluster.nowMs < deadlineMs) await pass(cluster, 200);
  expect(cluster.unhealed()).toBeUndefined();
}

async function pass(cluster: ClusterWorld, forMs: number): Promise<void> {
  await cluster.world.run({ untilMs: cluster.nowMs + forMs });
}

const generations = (cluster: ClusterWorld) =>
  [...cluster.ledger.slots.values()].map((slot) => slot.generation);

describe('healing', () => {
  it(
    'a control API that stood still blames nobody for the silence',
    async () => {
      const cluster = await serving({ spec: { bootstrap: 3, peers: 0 } });
      cluster.crash('bootstrap-1', 'process');
      cluster.crash('bootstrap-2', 'process');
      await pass(cluster, 3_000);
      cluster.inject({ kind: 'pause', nodes: [controlApiNode], forMs: 40_000 });
      await pass(cluster, 41_000);
      await healed(cluster);
      expect(cluster.violations).toEqual([]);
      expect(generations(cluster)).toEqual([2, 2, 1]);
    },
    limitMs,
  );

  it(
    'a leader cut off from the ring, and back, leaves one replacement and ends itself',
    async () => {
      const cluster = await serving({ spec: { bootstrap: 3, peers: 0 } });
      const old = cluster.leader!;
      const machine = cluster.machineIn(old)!;
      cluster.inject({ kind: 'partition', nodes: [old], way: 'both', forMs: 20_000 });
      await pass(cluster, 21_000);
      await healed(cluster);
      expect(cluster.violations).toEqual([]);
      expect(machine.state).toBe('exited');
      expect(cluster.ledger.slots.get(old)?.generation).toBe(2);
      expect(generations(cluster).reduce((sum, generation) => sum + generation)).toBe(4);
    },
    limitMs,
  );

  it(
    'a pause shorter than the grace replaces nobody, a longer one does',
    async () => {
      const cluster = await serving({ spec: { bootstrap: 3, peers: 0, graceMs: 6_000 } });
      for (const slot of cluster.slots) {
        cluster.inject({ kind: 'pause', nodes: [slot], forMs: 4_500 });
        await pass(cluster, 12_000);
      }
      await healed(cluster);
      expect(generations(cluster)).toEqual([1, 1, 1]);
      cluster.inject({ kind: 'pause', nodes: ['bootstrap-2'], forMs: 30_000 });
      await pass(cluster, 31_000);
      await healed(cluster);
      expect(generations(cluster)).toEqual([1, 2, 1]);
      expect(cluster.violations).toEqual([]);
    },
    limitMs,
  );

  it(
    'all machines and the control API lost at once come back',
    async () => {
      const cluster = await serving({ spec: { bootstrap: 5, peers: 2 } });
      for (const slot of cluster.slots) cluster.crash(slot, 'machine');
      cluster.crashControl(2_000);
      await pass(cluster, 3_000);
      await healed(cluster);
      expect(cluster.violations).toEqual([]);
      expect(generations(cluster)).toEqual([2, 2, 2, 2, 2, 2, 2]);
    },
    limitMs,
  );
});

describe('creation', () => {
  it(
    'a cluster whose commit was made but not answered is looked after all the same',
    async () => {
      for (let seed = 1; seed <= 8; seed++) {
        const cluster = await serving({ seed, spec: { bootstrap: 3, peers: 0 }, rows: { failureRate: 0.3 } });
        expect(cluster.violations).toEqual([]);
      }
    },
    limitMs,
  );
});
