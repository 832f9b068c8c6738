/**
 * Who leads and who is replaced, on real processes: two leaders that both ask, a machine that comes back, a
 * pause, a lost majority, a control API that is away. What is said is compared with the process list.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeView } from '@skep/contract';
import { isAlive } from '@skep/p2p-core/process-identity';
import { afterEach, describe, expect, it } from 'vitest';
import { findFreePorts } from '../../control-api/src/launchers/process-ports.ts';
import { ChaosCluster, type Spec } from './cluster.ts';
import { refusalOf } from './refusal.ts';
import { named, settled } from './settled.ts';
import { pause, until } from './waiting.ts';

/** Times that are short, and still long beside what a busy machine makes processes wait. */
const quick: Spec = {
  bootstrap: 3,
  peers: 0,
  graceMs: 3_000,
  leaseMs: 2_000,
  watchdogMs: 2_000,
  reportIntervalMs: 200,
  orphanMs: 60_000,
};
const timeout = 180_000;

let cluster: ChaosCluster;

afterEach(async () => {
  expect(await cluster.end()).toEqual({ processes: [], files: [] });
});

async function start(spec: Spec = {}): Promise<void> {
  cluster = await ChaosCluster.start({ ...quick, ...spec });
}

/** `slot@from` of each redeployment, sorted: one replacement a generation is one entry. */
async function replaced(): Promise<string[]> {
  return (await cluster.redeployments()).map((each) => `${each.slot}@${each.fromGeneration}`).sort();
}

describe('leadership', () => {
  it('makes one replacement when two leaders ask, and refuses the old one', { timeout }, async () => {
    await start({ bootstrap: 5, graceMs: 30_000, leaseMs: 6_000 });
    const old = await cluster.awaitLeader();
    const victim = (await cluster.nodes())!.find(
      ({ role, slot }) => role === 'bootstrap' && slot !== old.slot,
    )!;
    const frozen = await cluster.signal(old.slot, 'SIGSTOP');
    await cluster.signal(victim.slot, 'SIGKILL');
    // The rest elect, and the new leader has the dead one replaced.
    const present = await cluster.awaitLeader(old.term);
    expect(present.slot).not.toBe(old.slot);
    await cluster.event(
      'a redeployment',
      ({ kind, slot }) => kind === 'redeployment-accepted' && slot === victim.slot,
    );

    // The old leader is back, and asks for what it knew: the process itself may, and its client here does.
    process.kill(frozen.pid, 'SIGCONT');
    const ask = (machine: { slot: string; generation: number }, term: number) =>
      refusalOf(
        cluster.clientOf(machine.slot, machine.generation).requestRedeployment({
          params: cluster.params,
          body: { slot: victim.slot, generation: 1, term, reason: 'asked by two' },
        }),
      );
    const asked = [
      ask(old, old.term),
      ask(present, present.term),
      ask(old, old.term),
      ask(present, present.term),
    ];
    expect(await Promise.all(asked)).toEqual(['old-term', undefined, 'old-term', undefined]);

    const nodes = await settled(cluster);
    expect(await replaced()).toEqual([`${victim.slot}@1`]);
    expect(nodes.find(({ slot }) => slot === old.slot)).toMatchObject({
      generation: 1,
      machine: String(frozen.pid),
    });
  });

  it('ends a replaced leader that comes back, and refuses what it asks', { timeout }, async () => {
    await start();
    const old = await cluster.awaitLeader();
    const frozen = await cluster.signal(old.slot, 'SIGSTOP');
    await cluster.event(
      'the silent leader to be replaced',
      ({ kind, slot }) => kind === 'redeployment-accepted' && slot === old.slot,
    );
    const client = cluster.clientOf(old.slot, old.generation);
    process.kill(frozen.pid, 'SIGCONT');
    const body = { slot: old.slot, generation: 1, term: old.term, reason: 'asked by a machine that is over' };
    expect(await refusalOf(client.requestRedeployment({ params: cluster.params, body }))).toBe(
      'generation-over',
    );
    await cluster.awaitGone(frozen);
    await settled(cluster);
    expect(await replaced()).toEqual([`${old.slot}@1`]);
    // It ended by itself, and was not made to by SIGKILL.
    expect(await cluster.log(old.slot, 1)).toMatch(/"message":"ended","reason":"(over|stopped)"/);
  });

  it('has a machine end that comes back where no launcher reaches it', { timeout }, async () => {
    await start();
    const nodes = (await cluster.nodes())!;
    const [first] = nodes as [NodeView];
    const life = join(cluster.dataOf(first.slot), '../1.1');
    await cluster.signal(first.slot, 'SIGKILL');
    await cluster.event(
      'its replacement',
      ({ kind, slot }) => kind === 'redeployment-complete' && slot === first.slot,
    );
    // As a snapshot of the machine would come back: its configuration and its token, on other ports.
    const ghost = join(cluster.scratch, 'ghost');
    mkdirSync(ghost);
    cpSync(cluster.dataOf(first.slot), join(ghost, 'data'), { recursive: true });
    const config = JSON.parse(readFileSync(join(life, 'agent.json'), 'utf8'));
    const ports = await findFreePorts(cluster.host.random, '127.0.0.1', 3, new Set());
    const [port, ringPort, healthPort] = ports!;
    const changed = {
      listen: { ...config.listen, port },
      ringPort,
      healthPort,
      dataDirectory: join(ghost, 'data'),
    };
    writeFileSync(join(ghost, 'agent.json'), JSON.stringify({ ...config, ...changed }));
    const program = fileURLToPath(import.meta.resolve('@skep/node-agent/main'));
    const child = spawn(process.execPath, [program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, SKEP_CONFIG: join(ghost, 'agent.json') },
    });
    let log = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(log).toContain('"message":"ended","reason":"over"');
    await settled(cluster);
  });

  it('says that a replaced machine is gone only once its process is', { timeout }, async () => {
    await start();
    const { slot } = await cluster.awaitLeader();
    const frozen = await cluster.signal(slot, 'SIGSTOP');
    // A stopped process heeds no SIGTERM, so for as long as the grace of a stop it is there and not gone.
    let seenBefore = false;
    const redeployment = await until(
      'the machine to be gone',
      async () => {
        const [begun] = await cluster.redeployments();
        const lives = isAlive(frozen);
        if (begun?.times.goneMs !== undefined) {
          expect(lives, 'alive though said to be gone').toBe(false);
          return begun;
        }
        seenBefore ||= begun !== undefined && lives;
        return undefined;
      },
      { state: () => cluster.describe() },
    );
    expect(seenBefore).toBe(true);
    const launched = await cluster.event(
      'the next generation',
      (event) => event.kind === 'node-launched' && event.slot === slot && event.generation === 2,
    );
    const gone = await cluster.event('the proof', ({ kind }) => kind === 'generation-gone');
    expect(gone.sequence).toBeLessThan(launched.sequence);
    expect(redeployment.times.goneMs).toBeLessThanOrEqual(launched.atMs);
    await settled(cluster);
  });

  it('replaces nobody that was only slow', { timeout }, async () => {
    await start({ graceMs: 12_000, peers: 1 });
    const before = named(await cluster.awaitServing());
    const { slot: leader } = await cluster.awaitLeader();
    const slots = (await cluster.nodes())!.map(({ slot }) => slot);
    for (const slot of [leader, ...slots.filter((other) => other !== leader)]) {
      const paused = await cluster.signal(slot, 'SIGSTOP');
      const from = await cluster.newest();
      if (slot.startsWith('bootstrap')) {
        await cluster.event(
          `somebody to suspect ${slot}`,
          ({ kind, data }) => kind === 'member-suspected' && data.member === `${slot}@1`,
          from,
        );
      } else {
        await pause(2_000);
      }
      process.kill(paused.pid, 'SIGCONT');
      await until(`${slot} to be heard again`, async () =>
        (await cluster.nodes())?.some((node) => node.slot === slot && (node.heardAgoMs ?? 1e9) < 500),
      );
    }
    expect(named(await settled(cluster))).toEqual(before);
    expect(await replaced()).toEqual([]);
    expect((await cluster.readEvents()).filter(({ kind }) => kind === 'node-dead')).toEqual([]);
  });

  it.each([2, 3])(
    'heals by its watchdog when %i of 3 bootstrap nodes are killed',
    { timeout },
    async (count) => {
      await start();
      const { slot, term } = await cluster.awaitLeader();
      const others = (await cluster.nodes())!.map((node) => node.slot).filter((other) => other !== slot);
      const victims = [slot, ...others].slice(0, count).sort();
      await cluster.signalAll(victims, 'SIGKILL');
      const taken = await cluster.event(
        'the watchdog to take the lease',
        ({ kind, data }) => kind === 'lease-granted' && data.holder === 'watchdog',
      );
      expect(taken.data.term).toBe(term + 1);
      // Afterwards the ring leads again, above the watchdog's term.
      const next = await cluster.awaitLeader(term + 1);
      expect(next.term).toBeGreaterThan(term + 1);
      await settled(cluster);
      expect(await replaced()).toEqual(victims.map((victim) => `${victim}@1`));
    },
  );

  it('leaves it to a leader that lives when all others are killed', { timeout }, async () => {
    await start();
    const { slot, term } = await cluster.awaitLeader();
    const victims = (await cluster.nodes())!
      .map((node) => node.slot)
      .filter((other) => other !== slot)
      .sort();
    const from = await cluster.newest();
    await cluster.signalAll(victims, 'SIGKILL');
    for (const victim of victims) {
      const accepted = await cluster.event(
        `the redeployment of ${victim}`,
        (event) => event.kind === 'redeployment-accepted' && event.slot === victim,
      );
      expect(accepted.data).toMatchObject({ by: `${slot}@1`, term, cause: 'evidence' });
    }
    await settled(cluster);
    expect(await replaced()).toEqual(victims.map((victim) => `${victim}@1`));
    const since = (await cluster.readEvents()).filter(({ sequence }) => sequence > from);
    expect(since.filter(({ kind }) => kind === 'lease-granted')).toEqual([]);
  });
});
