/** The ring grows and shrinks in a world where things fail meanwhile. */
import { type ApiClient, ApiError } from '@skep/contract';
import type { HostError } from '@skep/p2p-core/host';
import { ClusterWorld, type ClusterWorldOptions, safetyInvariants } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 60_000;
const params = { cluster: 'bees' };

async function pass(cluster: ClusterWorld, forMs: number): Promise<void> {
  await cluster.world.run({ untilMs: cluster.nowMs + forMs });
}

/** What is still to come of what was asked; undefined once all is well. */
function unsettled(cluster: ClusterWorld): string | undefined {
  const moving = cluster.ledger.ring?.members.find((member) => !member.voter);
  if (moving !== undefined) return `${moving.slot} is moving`;
  const leaving = [...cluster.ledger.slots.values()].find((slot) => slot.leaving);
  return leaving === undefined ? cluster.unhealed() : `${leaving.slot} is leaving`;
}

async function settled(cluster: ClusterWorld, withinMs = 120_000): Promise<void> {
  const deadlineMs = cluster.nowMs + withinMs;
  while (unsettled(cluster) !== undefined && cluster.nowMs < deadlineMs) await pass(cluster, 200);
  expect(unsettled(cluster)).toBeUndefined();
}

async function serving(options: Partial<ClusterWorldOptions>): Promise<ClusterWorld> {
  const cluster = await ClusterWorld.create({ seed: 1, invariants: safetyInvariants(), ...options });
  await settled(cluster);
  return cluster;
}

/** Asks as an operator would: again, as long as the ring is changing or somebody is not heard. */
async function insist(cluster: ClusterWorld, ask: (client: ApiClient) => Promise<unknown>): Promise<void> {
  for (let tries = 0; tries < 120; tries++) {
    const outcome = await cluster.world.complete(
      ask(cluster.client).then(
        () => 'done',
        (error: unknown) => (error instanceof ApiError ? error.problem?.code : (error as HostError).code),
      ),
    );
    if (outcome === 'done') return;
    expect(['ring-changing', 'store-unavailable', 'refused']).toContain(outcome);
    await pass(cluster, 500);
  }
  throw new Error('it was refused for a minute');
}

const grow = (client: ApiClient) => client.addNode({ params, body: { role: 'bootstrap' } });
const shrink = (slot: string) => (client: ApiClient) =>
  client.removeNode({ params: { ...params, slot: slot as 'bootstrap-1' } });
const voters = (cluster: ClusterWorld) =>
  (cluster.ledger.ring?.members ?? []).filter(({ voter }) => voter).map(({ slot }) => slot);

describe('the size of the ring', () => {
  it(
    'goes from three to five and back, each time without the one that leads',
    async () => {
      const cluster = await serving({ spec: { bootstrap: 3, peers: 2 } });
      await insist(cluster, grow);
      await insist(cluster, grow);
      await settled(cluster);
      expect(voters(cluster)).toEqual([1, 2, 3, 4, 5].map((ordinal) => `bootstrap-${ordinal}`));
      for (const size of [4, 3]) {
        const leader = cluster.leader!;
        await insist(cluster, shrink(leader));
        await settled(cluster);
        expect(voters(cluster)).toHaveLength(size);
        expect(voters(cluster)).not.toContain(leader);
        expect(cluster.fleet.living().some(({ ref }) => ref.slot === leader)).toBe(false);
      }
      expect(cluster.violations).toEqual([]);
      // Nobody was taken for dead: those that went said so.
      expect(cluster.ledger.events.filter(({ kind }) => kind === 'redeployment-accepted')).toEqual([]);
    },
    limitMs,
  );

  it.each([1, 2, 3, 4, 5, 6])(
    'changes though nodes and the control API fail meanwhile (seed %i)',
    async (seed) => {
      const cluster = await serving({ seed, spec: { bootstrap: 3, peers: 1 }, network: { lossRate: 0.05 } });
      const crash = (sinceNowMs: number, of: () => string | undefined) =>
        cluster.in(sinceNowMs, () => {
          const slot = of();
          if (slot !== undefined) cluster.crash(slot, 'process');
        });
      crash(200 * seed, () => cluster.leader);
      crash(
        900 * seed,
        () => [...cluster.ledger.slots.values()].findLast(({ role }) => role === 'bootstrap')?.slot,
      );
      cluster.in(600 * seed, () => cluster.crashControl());
      await insist(cluster, grow);
      await insist(cluster, grow);
      await settled(cluster);
      expect(voters(cluster)).toHaveLength(5);
      crash(150 * seed, () => cluster.leader);
      await insist(cluster, shrink('bootstrap-1'));
      await insist(cluster, shrink('bootstrap-4'));
      await settled(cluster);
      expect(voters(cluster)).toEqual(['bootstrap-2', 'bootstrap-3', 'bootstrap-5']);
      expect(cluster.violations).toEqual([]);
    },
    limitMs,
  );
});
