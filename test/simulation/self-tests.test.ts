/**
 * The self-tests of whole simulated clusters: every node of a healthy one passes, and each thing that is made wrong fails
 * the checks that it should, at the nodes that it should, and no others.
 */
import { hasPassed, type SelfTestRun } from '@skep/contract';
import { type ClusterFault, type Simulation, simulate } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 60_000;
const cluster = { bootstrap: 3, index: 1, peers: 2 };
const nodes = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'index-1', 'peer-1', 'peer-2'];

function ask<T>(
  world: Simulation,
  call: (client: Simulation['cluster']['client']) => Promise<T>,
): Promise<T> {
  return world.cluster.world.complete(call(world.cluster.client));
}

/** Begins a run, and lets time pass until it is done. */
async function tested(world: Simulation): Promise<SelfTestRun> {
  const params = { cluster: world.cluster.spec.name };
  const { id } = await ask(world, (client) => client.runTests({ params }));
  for (;;) {
    const run = await ask(world, (client) => client.getTests({ params: { ...params, test: id } }));
    if (run.state === 'done') return run;
    await world.pass(250);
  }
}

/** `peer-1 disk: why`, for each check that did not pass. */
function complaints({ results }: SelfTestRun): string[] {
  return results.flatMap(({ slot, outcome, checks }) =>
    outcome === 'missing'
      ? [`${slot} missing`]
      : checks
          .filter((check) => check.outcome !== 'passed')
          .map((check) => `${slot} ${check.name} ${check.outcome}: ${check.detail}`),
  );
}

function selfTestFiles(world: Simulation): string[] {
  return nodes.filter(
    (slot) => world.cluster.hostOf(slot)?.disk.tree.find(`/data/${slot}/self-test`) !== undefined,
  );
}

describe('a healthy cluster', { timeout: limitMs }, () => {
  it.each([1, 2, 3])('passes on every node, and keeps nothing of it (seed %i)', async (seed) => {
    const world = await simulate({ seed, cluster: { ...cluster, spares: 1 } });
    const run = await tested(world);
    expect(complaints(run)).toEqual([]);
    expect(hasPassed(run)).toBe(true);
    expect(run.results.map(({ slot }) => slot)).toEqual(nodes);
    for (const { checks } of run.results)
      expect(checks.map(({ name }) => name)).toEqual(['ring', 'dht', 'transfer', 'disk', 'clock']);
    expect(run.results[0]!.checks.map(({ detail }) => detail)).toEqual([
      '2 other members of the ring answered.',
      '5 nodes took an announcement, and it was found again.',
      expect.stringMatching(/^6 pieces came from bootstrap-2@1 and are right, after \d+ ms\.$/),
      expect.stringMatching(/^256 KiB written, synced, read back and removed; \d+ MiB are free\.$/),
      expect.stringMatching(/^The wall clock is \d+ ms (behind|ahead of) the control API’s, ± \d+ ms\.$/),
    ]);
    await world.pass(2_000);
    expect(selfTestFiles(world)).toEqual([]);
    expect(world.violations).toEqual([]);
  });

  it('passes on a bad network, while content spreads', async () => {
    const world = await simulate({
      seed: 4,
      cluster,
      network: { latencyMs: { minMs: 20, maxMs: 150 }, jitterMs: 20, udpLossRate: 0.15 },
    });
    const film = await world.share({ sizeBytes: 4_000_000 });
    expect(complaints(await tested(world))).toEqual([]);
    await film.spread();
  });

  it('passes again, run by run', async () => {
    const world = await simulate({ seed: 5, cluster });
    for (let run = 0; run < 7; run++) expect(complaints(await tested(world))).toEqual([]);
    await world.pass(2_000);
    const forgotten = world.cluster.ledger.events.find(({ kind }) => kind === 'tests-started')!;
    const params = { cluster: world.cluster.spec.name, test: String(forgotten.data.test) };
    await expect(ask(world, (client) => client.getTests({ params }))).rejects.toMatchObject({ status: 404 });
  });

  it('of one node skips what takes two', async () => {
    const world = await simulate({ seed: 6, cluster: { bootstrap: 1, peers: 0 } });
    const run = await tested(world);
    expect(hasPassed(run)).toBe(true);
    expect(complaints(run)).toEqual([
      'bootstrap-1 ring skipped: It is the only member of its ring.',
      'bootstrap-1 dht skipped: No other node is tested.',
      'bootstrap-1 transfer skipped: No other node is tested.',
    ]);
  });
});

describe('what is wrong', { timeout: limitMs }, () => {
  const forMs = 120_000;
  const heal: [] = [];
  const others = (slot: string) => nodes.filter((node) => node !== slot);
  const cutOff = (slot: string): ClusterFault => ({
    kind: 'partition',
    nodes: [slot],
    from: others(slot),
    way: 'both',
    forMs,
  });

  it.each<[string, ClusterFault, RegExp[]]>([
    [
      'a peer that no other node reaches',
      cutOff('peer-1'),
      [
        /^index-1 transfer failed: Waited 20 s in vain for peer-1@1 to give all of what it seeds\.$/,
        /^peer-1 ring failed: Waited 8 s in vain for an answer of 10\.\S+, 10\.\S+, 10\.\S+\.$/,
        /^peer-1 dht failed: Waited 15 s in vain for another node to take an announcement\.$/,
        /^peer-1 transfer failed: Waited 20 s in vain for peer-2@1 to give all of what it seeds\.$/,
      ],
    ],
    [
      'a full disk',
      { kind: 'disk', nodes: ['peer-2'], full: true, forMs },
      [
        /^peer-1 transfer failed: Waited 20 s in vain for peer-2@1 to give all of what it seeds\.$/,
        /^peer-2 transfer skipped: Nothing can be stored here: see the disk\.$/,
        /^peer-2 disk failed: The disk has no room for \d+ bytes more/,
      ],
    ],
    [
      'a wrong clock',
      { kind: 'clock', nodes: ['bootstrap-2'], skewMs: -60_000, forMs },
      [
        /^bootstrap-2 clock failed: The wall clock is (59\d{3}|60\d{3}) ms behind the control API’s, ± \d+ ms/,
      ],
    ],
    [
      'a ring member that the others do not hear, though it speaks to the control API',
      cutOff('bootstrap-3'),
      [
        /^bootstrap-1 ring failed: Waited 8 s in vain for an answer of bootstrap-3@1\.$/,
        /^bootstrap-2 ring failed: Waited 8 s in vain for an answer of bootstrap-3@1\.$/,
        /^bootstrap-2 transfer failed: .* bootstrap-3@1/,
        /^bootstrap-3 ring failed: Waited 8 s in vain for an answer of bootstrap-1@1, bootstrap-2@1\.$/,
        /^bootstrap-3 dht failed/,
        /^bootstrap-3 transfer failed: .* index-1@1/,
        /^index-1 ring failed: Waited 8 s in vain for an answer of 10\.\S+\.$/,
        /^peer-1 ring failed: Waited 8 s in vain for an answer of 10\.\S+\.$/,
        /^peer-2 ring failed: Waited 8 s in vain for an answer of 10\.\S+\.$/,
      ],
    ],
    [
      'a node that stands still',
      { kind: 'pause', nodes: ['index-1'], forMs },
      [/^bootstrap-3 transfer failed: .* index-1@1/, /^index-1 missing$/],
    ],
  ])('is found: %s', async (_what, fault, expected) => {
    const world = await simulate({
      seed: 7,
      cluster: { ...cluster, heal, orphanMs: 600_000 },
      invariants: [],
    });
    world.inject(fault);
    await world.pass(500);
    const run = await tested(world);
    expect(complaints(run)).toEqual(expected.map((sentence) => expect.stringMatching(sentence)));
    expect(hasPassed(run)).toBe(false);
  });

  it('and passes no more once it is over, on the same cluster', async () => {
    const world = await simulate({ seed: 8, cluster: { ...cluster, heal }, invariants: [] });
    world.inject({ kind: 'disk', nodes: ['peer-2'], full: true, forMs: 40_000 });
    expect(hasPassed(await tested(world))).toBe(false);
    await world.pass(40_000);
    expect(complaints(await tested(world))).toEqual([]);
  });
});

describe('a run', { timeout: limitMs }, () => {
  it('misses who dies in it, and ends all the same', async () => {
    const world = await simulate({ seed: 9, cluster });
    const params = { cluster: world.cluster.spec.name };
    const { id } = await ask(world, (client) => client.runTests({ params }));
    world.inject({ kind: 'crash', nodes: ['peer-1'] });
    await world.pass(65_000);
    const run = await ask(world, (client) => client.getTests({ params: { ...params, test: id } }));
    expect(run.state).toBe('done');
    expect(run.results.find(({ slot }) => slot === 'peer-1')).toMatchObject({
      generation: 1,
      outcome: 'missing',
    });
    await world.healed();
    expect(world.violations).toEqual([]);
  });

  it('goes on when the control API is killed and comes back', async () => {
    const world = await simulate({ seed: 10, cluster });
    const params = { cluster: world.cluster.spec.name };
    const { id } = await ask(world, (client) => client.runTests({ params }));
    world.cluster.crashControl(1_000);
    await world.pass(20_000);
    const run = await ask(world, (client) => client.getTests({ params: { ...params, test: id } }));
    expect(complaints(run)).toEqual([]);
    expect(hasPassed(run)).toBe(true);
  });
});
