/**
 * Worlds in ten lines: how a test stands up the whole product in virtual time, does things to it, and expects
 * things of it. To be read as the guide to `simulate`.
 */
import { controlApiNode } from '@skep/contract';
import {
  forSeeds,
  type Invariant,
  leaderNode,
  SimulationFailure,
  safetyInvariants,
  simulate,
} from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 60_000;
/** `SKEP_SEED=17 npx vitest run test/simulation/worlds.test.ts -t NAME` runs that seed alone. */
const only = process.env.SKEP_SEED === undefined ? undefined : Number(process.env.SKEP_SEED);
const replay = (name: string) => (seed: number) =>
  `SKEP_SEED=${seed} npx vitest run test/simulation/worlds.test.ts -t "${name}"`;

describe('a world', () => {
  it('spreads a file while its leader dies', { timeout: limitMs }, async () => {
    const world = await simulate({
      seed: 1,
      cluster: { bootstrap: 3, peers: 4 },
      network: { latencyMs: 20 },
    });
    const film = await world.share({ name: 'film.mkv', sizeBytes: 4_000_000 });
    const old = world.leader!;
    world.inject({ kind: 'crash', nodes: [leaderNode] });
    await film.spread();
    await world.healed();
    expect(world.generationOf(old)).toBe(2);
    expect(film.holders).toHaveLength(4);
  });

  it('is cut in two, and whole again', { timeout: limitMs }, async () => {
    const world = await simulate({ seed: 2, cluster: { bootstrap: 5, peers: 0 } });
    const minority = ['bootstrap-1', 'bootstrap-2'];
    world.inject({ kind: 'partition', nodes: minority, way: 'both', forMs: 20_000 });
    await world.until(() => !minority.includes(world.leader ?? 'bootstrap-1'), { withinMs: 15_000 });
    await world.healed();
    expect(world.violations).toEqual([]);
  });

  it('lives on a bad network and a bad day', { timeout: limitMs }, async () => {
    await forSeeds({ count: 5, only, replay: replay('lives on a bad network') }, async (seed) => {
      const world = await simulate({
        seed,
        cluster: { bootstrap: 3, peers: 1 },
        network: { latencyMs: { minMs: 5, maxMs: 80 }, udpLossRate: 0.2 },
        rows: { failureRate: 0.05 },
        faults: [
          { atMs: 1_000, fault: { kind: 'crash', nodes: ['bootstrap-2'], power: true } },
          { atMs: 2_000, fault: { kind: 'store-outage', way: 'hang', forMs: 8_000 } },
          { atMs: 4_000, fault: { kind: 'crash', nodes: [controlApiNode] } },
        ],
      });
      await world.pass(20_000);
      await world.healed();
    });
  });

  it('stands on machines that take as long as EC2 ones', { timeout: limitMs }, async () => {
    const world = await simulate({ seed: 4, cluster: { bootstrap: 3, peers: 1 }, fleet: 'aws' });
    const beganMs = world.nowMs;
    world.inject({ kind: 'restart', nodes: ['peer-1'], disk: 'lose' });
    await world.until(() => world.generationOf('peer-1') === 2);
    await world.healed();
    expect(world.nowMs - beganMs).toBeGreaterThan(15_000);
  });

  it('is watched by invariants of your own', { timeout: limitMs }, async () => {
    const twoAreUp: Invariant = {
      id: 'two of three bootstrap nodes are up',
      assert: (world) => {
        const up = world.slots.filter((slot) => world.machineIn(slot) !== undefined);
        return up.length >= 2 ? undefined : `only ${up.join(', ') || 'none'} is`;
      },
    };
    const cluster = { bootstrap: 3, peers: 0 };
    const world = await simulate({ seed: 5, cluster, fleet: 'process' });
    world.cluster.watch(twoAreUp);
    world.inject({ kind: 'crash', nodes: ['bootstrap-1'] });
    await world.healed();
    world.inject({ kind: 'crash', nodes: ['bootstrap-1', 'bootstrap-3'] });
    await expect(world.healed()).rejects.toThrow(
      /^seed 5: two of three bootstrap nodes are up, at \d+ ms: only bootstrap-2 is/,
    );
  });

  it('tells the seed, what happened last, and the command that replays it', {
    timeout: limitMs,
  }, async () => {
    const property = async (seed: number) => {
      const world = await simulate({ seed, cluster: { bootstrap: 3, peers: 0 } });
      world.inject({ kind: 'partition', nodes: [...world.slots], way: 'both', forMs: 60_000 });
      await world.until(() => world.leader === undefined, { withinMs: 1_000, what: 'the leader did not go' });
    };
    const failure = forSeeds({ from: 6, count: 2, replay: replay('a name') }, property);
    await expect(failure).rejects.toThrow(
      /^seed 6: the leader did not go within 1000 ms[\s\S]*FAULT partition/,
    );
    await expect(failure).rejects.toThrow('replay: SKEP_SEED=6 npx vitest run');
    await expect(failure).rejects.toMatchObject({ cause: expect.any(SimulationFailure) });
  });

  it('finds a rule that is switched off from outside', { timeout: limitMs }, async () => {
    const invariants = safetyInvariants();
    const faulty = simulate({ seed: 7, cluster: { bootstrap: 3 }, invariants, planted: 'majority' });
    await expect(faulty.then((world) => world.pass(60_000))).rejects.toThrow('at most one is elected a term');
  });

  it('takes one course for one seed', { timeout: limitMs }, async () => {
    const course = async (seed: number) => {
      const world = await simulate({ seed, cluster: { bootstrap: 3, peers: 1 } });
      world.inject({ kind: 'crash', nodes: [leaderNode] });
      await world.pass(10_000);
      return [world.traceHash, ...world.story];
    };
    const one = await course(8);
    expect(await course(8)).toEqual(one);
    expect((await course(9))[0]).not.toBe(one[0]);
  });
});
