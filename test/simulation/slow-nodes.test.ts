/** Nodes that are slow in the ways in which a machine can be: doubted perhaps, and not replaced (default settings). */
import { type ClusterFault, type Simulation, simulate } from '@skep/sim';
import { describe, expect, it } from 'vitest';

type Faults = readonly { readonly atMs: number; readonly fault: ClusterFault }[];

const limitMs = 60_000;
const lastsMs = 30_000;

/** It stands still for `forMs` at the beginning of each of these intervals. */
const standsStill = (slot: string, everyMs: number, forMs: number): Faults =>
  Array.from({ length: lastsMs / everyMs }, (_, turn) => ({
    atMs: turn * everyMs,
    fault: { kind: 'pause', nodes: [slot], forMs },
  }));

const slownesses: Readonly<Record<string, (slot: string) => Faults>> = {
  'stands still for 5 s, thrice': (slot) => standsStill(slot, 10_000, 5_000),
  'has a tenth of a processor': (slot) => standsStill(slot, 1_000, 900),
  'loses 30 % of all datagrams': (slot) => [
    { atMs: 0, fault: { kind: 'degrade', nodes: [slot], lossRate: 0.3, forMs: lastsMs } },
  ],
  'waits 2 s for its disk': (slot) => [
    { atMs: 0, fault: { kind: 'disk', nodes: [slot], delayMs: 2_000, forMs: lastsMs } },
  ],
};

async function endure(
  who: string,
  faultsOf: (slot: string) => Faults,
  graceMs?: number,
): Promise<{ world: Simulation; slot: string }> {
  const cluster = { bootstrap: 5, peers: 1, ...(graceMs === undefined ? {} : { graceMs }) };
  const world = await simulate({ seed: 1, cluster, network: { latencyMs: 25 } });
  const { leader } = world;
  const slot = who === 'leader' ? leader! : world.slots.find((other) => other !== leader)!;
  for (const { atMs, fault } of faultsOf(slot)) world.at(atMs, fault);
  await world.pass(lastsMs + 10_000);
  await world.healed();
  return { world, slot };
}

const isSuspected = ({ world, slot }: { world: Simulation; slot: string }): boolean =>
  world.cluster.ledger.events.some(
    ({ kind, data }) => kind === 'member-suspected' && data.member === `${slot}@1`,
  );

describe.each(['leader', 'follower'])('a %s', (who) => {
  it.each(Object.keys(slownesses))('that %s is not replaced', { timeout: limitMs }, async (slowness) => {
    const { world } = await endure(who, slownesses[slowness]!);
    expect(world.slots.map((each) => world.generationOf(each))).toEqual(world.slots.map(() => 1));
    expect(world.violations).toEqual([]);
  });

  it('is suspected meanwhile, and replaced if the grace is shorter', { timeout: limitMs }, async () => {
    const pauses = slownesses['stands still for 5 s, thrice']!;
    expect(isSuspected(await endure(who, pauses))).toBe(true);
    const { world, slot } = await endure(who, pauses, 2_500);
    expect(world.generationOf(slot)).toBeGreaterThan(1);
  });
});
