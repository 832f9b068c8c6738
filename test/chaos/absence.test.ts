/**
 * The control API away: for a moment, which loses nothing; for too long, after which every machine ends itself
 * and leaves nothing. And the demonstration killed, whatever of it is.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signalProcess } from '@skep/p2p-core/process-identity';
import { afterEach, describe, expect, it } from 'vitest';
import { ChaosCluster } from './cluster.ts';
import { shareContent } from './content.ts';
import { processesWith } from './processes.ts';
import { until } from './waiting.ts';

const timeout = 180_000;
const mebibyte = 1024 * 1024;

let cluster: ChaosCluster;

describe('a cluster whose control API is away', () => {
  afterEach(async () => {
    expect(await cluster.end()).toEqual({ processes: [], files: [] });
  });

  it('goes on, and is taken over with nothing lost or started anew', { timeout }, async () => {
    cluster = await ChaosCluster.start({
      bootstrap: 3,
      peers: 3,
      leaseMs: 2_000,
      reportIntervalMs: 100,
      downloadBytesPerSecond: 6 * mebibyte,
    });
    // A slot in its second generation, so that there is something to forget.
    await cluster.signal('peer-3', 'SIGKILL');
    await cluster.event('a second generation', ({ kind }) => kind === 'redeployment-complete');
    const nodes = await cluster.awaitServing();
    const machines = nodes.map(({ slot, generation, attempt, machine }) => ({
      slot,
      generation,
      attempt,
      machine,
    }));
    const processes = cluster.machines();
    const content = await shareContent(cluster, {
      name: 'content.bin',
      length: 40 * mebibyte,
      seedSlot: 'peer-1',
    });
    const holdings = async () =>
      (await cluster.nodes())?.flatMap(({ slot, torrents }) =>
        torrents.map((torrent) => ({ slot, ...torrent })),
      );
    await until('the download to be under way', async () =>
      (await holdings())?.some(({ state, haveBytes }) => state === 'downloading' && haveBytes > mebibyte),
    );
    const torrents = await cluster.api.listTorrents({ params: cluster.params });
    const redeployments = await cluster.redeployments();
    const { lease } = await cluster.view();
    const known = [...(await cluster.readEvents())];

    await cluster.killApi();
    // The leader's lease runs out meanwhile.
    const awayUntil = performance.now() + 2_500;
    await until('the control API to have been away', () => performance.now() > awayUntil);
    expect(cluster.machines()).toEqual(processes);
    await cluster.startApi();

    await until('both downloads', async () => {
      const done = (await holdings())?.filter(({ sha256 }) => sha256 === content.sha256);
      return done?.length === 3;
    });
    const after = await cluster.awaitServing();
    expect(after).toMatchObject(machines);
    expect(cluster.machines()).toEqual(processes);
    expect(await cluster.api.listTorrents({ params: cluster.params })).toEqual(torrents);
    expect(await cluster.redeployments()).toEqual(redeployments);
    expect((await cluster.awaitLeader()).term).toBeGreaterThanOrEqual(lease.term);
    const everything = await cluster.api.listEvents({ params: cluster.params, query: { limit: 1_000 } });
    expect(everything.slice(0, known.length)).toEqual(known);
    const since = everything.slice(known.length).map(({ kind }) => kind);
    expect(since).not.toContain('node-dead');
    expect(since).not.toContain('node-launched');
    // Both told of it once, though one of them may have done so in vain at first.
    const complete = everything.filter(({ kind }) => kind === 'content-complete').map(({ slot }) => slot);
    expect(complete.sort()).toEqual(['peer-1', 'peer-2', 'peer-3']);
  });

  it('ends itself when that lasts too long, and leaves no file', { timeout }, async () => {
    cluster = await ChaosCluster.start({ bootstrap: 3, peers: 2, reportIntervalMs: 200, orphanMs: 3_000 });
    await shareContent(cluster, { name: 'content.bin', length: mebibyte, seedSlot: 'peer-1' });
    await until('the download', async () =>
      (await cluster.nodes())?.every(
        ({ role, torrents }) => role === 'bootstrap' || torrents[0]?.sha256 !== undefined,
      ),
    );
    await cluster.killApi();
    await until('every machine to end itself', () => cluster.machines().length === 0);
    expect(existsSync(cluster.directory)).toBe(false);
  });
});

describe('a demonstration that is killed', () => {
  let scratch: string;
  const itsProcesses = () => processesWith(`TMPDIR=${scratch}/tmp`).map(({ process }) => process);

  afterEach(() => {
    for (const process of itsProcesses()) signalProcess(process, 'SIGKILL');
    rmSync(scratch, { recursive: true, force: true });
  });

  /** Runs until its cluster is up. */
  async function startDemo(): Promise<{ kill(): Promise<unknown> }> {
    scratch = mkdtempSync(join(tmpdir(), 'skep-chaos-demo-'));
    mkdirSync(join(scratch, 'tmp'));
    writeFileSync(join(scratch, 'content.bin'), new Uint8Array(mebibyte));
    const program = fileURLToPath(import.meta.resolve('../../cli/src/main.ts'));
    const child = spawn(
      process.execPath,
      [program, 'demo', '--peers', '2', '--content', join(scratch, 'content.bin')],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
        env: { ...process.env, TMPDIR: join(scratch, 'tmp') },
      },
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    // Three bootstrap nodes and two peers. A process that is only being forked has its parent's environment yet.
    const machines = () => processesWith(`SKEP_CONFIG=${scratch}`);
    await until('the demonstration to be up', () => machines().length === 5);
    return {
      kill() {
        child.kill('SIGKILL');
        return exited;
      },
    };
  }

  it('leaves nothing, as its control API sees to', { timeout }, async () => {
    const demo = await startDemo();
    await demo.kill();
    await until('every process to end', () => itsProcesses().length === 0);
    expect(readdirSync(join(scratch, 'tmp'))).toEqual([]);
  });

  it('leaves nothing if its control API is killed as well, as its machines see to', { timeout }, async () => {
    const demo = await startDemo();
    const apis = processesWith(`SKEP_STATE_DIRECTORY=${scratch}`);
    await Promise.all([demo.kill(), ...apis.map(({ process }) => signalProcess(process, 'SIGKILL'))]);
    expect(apis.length).toBe(1);
    await until('every process to end', () => itsProcesses().length === 0);
    expect(readdirSync(join(scratch, 'tmp'))).toEqual([]);
  });
});
