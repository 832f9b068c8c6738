/** `skep demo`, `up` and `down` as a user runs them: whole clusters of real processes on loopback. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Running, runCli, startCli } from '../../cli/src/testing/run-cli.ts';

let directory = '';
/** Where the demonstration puts what it needs; empty again after every test. */
let scratch = '';
let content = '';
const running: Running[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-end-to-end-'));
  scratch = join(directory, 'scratch');
  mkdirSync(scratch);
  content = join(directory, 'content.bin');
  writeFileSync(
    content,
    Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 9)) & 255),
  );
});

afterEach(async () => {
  for (const { child, finished } of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await finished;
  }
  rmSync(directory, { recursive: true, force: true });
});

const timeout = 120_000;

function startDemo(...args: string[]): Running {
  const fewer = ['--peers', '3', '--content', content];
  const demo = startCli(['demo', ...fewer, ...args], join(directory, 'state'), { TMPDIR: scratch });
  running.push(demo);
  return demo;
}

/** Command lines of living processes whose environment or arguments name the scratch directory. */
function processesOf(place: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      return environment.includes(place) ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8')] : [];
    } catch {
      return [];
    }
  });
}

async function expectNothingLeft(withinMs: number): Promise<void> {
  const look = () => ({ files: readdirSync(scratch), processes: processesOf(scratch) });
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 100) {
    const { files, processes } = look();
    if (files.length + processes.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(look()).toEqual({ files: [], processes: [] });
}

/** Resolves once the demonstration has said this. */
function said(demo: Running, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = '';
    demo.child.stderr?.on('data', (chunk: string) => {
      heard += chunk;
      if (heard.includes(text)) resolve();
    });
    void demo.finished.then(() => reject(new Error(`it ended before it said '${text}': ${heard}`)));
  });
}

const controlApiOf = (demo: Running): number =>
  Number(execFileSync('pgrep', ['-P', String(demo.child.pid)], { encoding: 'utf8' }).split('\n')[0]);

describe.skipIf(process.platform !== 'linux')('the demonstration', { timeout }, () => {
  it('heals, verifies every download, and leaves nothing', async () => {
    const { code, stdout, stderr } = await startDemo('--exit', '--json').finished;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(1);
    const result = JSON.parse(lines[0] ?? '');
    expect(result).toMatchObject({ nodes: 7, bytes: 3_000_000, ok: true });
    expect(result.downloads.map((each: { node: string }) => each.node)).toEqual([
      'peer-2',
      'peer-3',
      'peer-4',
    ]);
    for (const download of result.downloads) {
      expect(download).toEqual({ node: download.node, seconds: expect.any(Number), sha256Ok: true });
    }
    const { detectedMs, electedMs, redeployedMs, firstLookupMs } = result.healing;
    for (const ms of [detectedMs, electedMs, redeployedMs, firstLookupMs])
      expect(ms).toBeGreaterThanOrEqual(0);
    expect(firstLookupMs).toBeGreaterThanOrEqual(redeployedMs);
    await expectNothingLeft(1_000);
  });

  it('stays up for whoever looks, and ends by Ctrl-C as a success', async () => {
    const demo = startDemo('--json');
    await said(demo, 'live page');
    demo.child.kill('SIGINT');
    const { code, stdout, stderr } = await demo.finished;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    await expectNothingLeft(1_000);
  });

  it('leaves nothing when interrupted in the middle', async () => {
    const demo = startDemo('--json');
    await said(demo, 'each a process of its own');
    demo.child.kill('SIGINT');
    const { code, stdout } = await demo.finished;
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'interrupted' } });
    await expectNothingLeft(1_000);
  });

  it('leaves nothing when it is killed', async () => {
    const demo = startDemo();
    await said(demo, 'all nodes serve');
    demo.child.kill('SIGKILL');
    await demo.finished;
    await expectNothingLeft(20_000);
  });

  it('goes on when its control API is killed', async () => {
    const demo = startDemo('--exit', '--json');
    await said(demo, 'all nodes serve');
    process.kill(controlApiOf(demo), 'SIGKILL');
    const { code, stdout, stderr } = await demo.finished;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain('starting it again');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    await expectNothingLeft(1_000);
  });

  it('refuses content that is not there before it starts anything for long', async () => {
    const { code, stdout } = await startDemo('--exit', '--json', '--content', join(directory, 'none'))
      .finished;
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'not-found' } });
  });
});

describe.skipIf(process.platform !== 'linux')('a cluster of the user', { timeout }, () => {
  it('comes up, is looked at, loses a node, heals, and goes down with its control API', async () => {
    const state = join(directory, 'state');
    const spec = join(directory, 'spec.yaml');
    writeFileSync(spec, 'name: lab\nbootstrap: 3\npeers: 4\n');
    const run = (...args: string[]) => runCli(args, state, { TMPDIR: scratch });
    const up = await run('up', spec, '--peers', '1', '--index', '1', '--json');
    expect({ code: up.code, stderr: up.stderr }).toMatchObject({ code: 0 });
    try {
      expect(JSON.parse(up.stdout).cluster.nodes.map((node: { slot: string }) => node.slot)).toEqual([
        'bootstrap-1',
        'bootstrap-2',
        'bootstrap-3',
        'index-1',
        'peer-1',
      ]);
      expect((await run('up', spec)).code).toBe(5);
      const status = JSON.parse((await run('status', '--json')).stdout);
      expect(status.clusters[0]).toMatchObject({ name: 'lab', state: 'active' });
      expect((await run('kill', 'bootstrap-9')).code).toBe(3);
      expect((await run('kill', 'bootstrap-2')).code).toBe(0);
      let generation = 1;
      while (generation === 1) {
        const nodes = JSON.parse((await run('nodes', '--json')).stdout);
        const node = nodes.find((each: { slot: string }) => each.slot === 'bootstrap-2');
        if (node.state === 'serving') generation = node.generation;
      }
      expect(generation).toBe(2);
      const events = (await run('events', '--json')).stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).kind);
      expect(events).toEqual(
        expect.arrayContaining(['cluster-created', 'node-dead', 'redeployment-complete']),
      );
      expect((await run('redeployments')).stdout).toMatch(/bootstrap-2@2 +complete +evidence .* complete \d/);
      expect((await run('redeployments', 'cancel', 'bootstrap-2@2')).stdout).toContain('complete already');
      const redeploy = await run('nodes', 'redeploy', 'bootstrap-2', '--json');
      expect(JSON.parse(redeploy.stdout)).toMatchObject({ id: 'bootstrap-2@3', cause: 'operator' });
      expect((await run('redeployments', 'cancel', 'bootstrap-2@9')).code).toBe(3);
      const logs = await run('logs', 'bootstrap-2', '--generation', '1', '--json');
      expect(JSON.parse(logs.stdout).log).toContain('listening');
      const fault = await run('fault', '{kind: pause, nodes: [peer-1], forMs: 600000}', '--json');
      expect(JSON.parse(fault.stdout)).toMatchObject({ id: '1', state: 'active' });
      // It needs machines with addresses of their own.
      expect((await run('fault', '{kind: partition, nodes: [peer-1], way: both, forMs: 9}')).code).toBe(5);
      expect((await run('faults')).stdout).toMatch(/1 +pause of peer-1 +active, 9 min/);
      expect((await run('faults', '--end', '1')).stdout).toBe('fault 1 is cancelled\n');
      expect((await run('faults', '--end', '2')).code).toBe(3);
    } finally {
      const down = await run('down', 'lab', '--json');
      expect(JSON.parse(down.stdout)).toEqual({ cluster: 'lab', controlApiStopped: true });
    }
    expect((await run('status')).code).toBe(4);
    await expectNothingLeft(2_000);
  });

  it('tests itself, says of which node what is wrong, and serves whoever has its address and a token', async () => {
    const state = join(directory, 'state');
    const spec = join(directory, 'spec.yaml');
    // A wrong clock is a fault of machines that have addresses of their own.
    writeFileSync(spec, 'name: lab\nbootstrap: 2\nindex: 1\npeers: 1\nnetwork: {}\n');
    const slots = ['bootstrap-1', 'bootstrap-2', 'index-1', 'peer-1'];
    const run = (...args: string[]) => runCli(args, state, { TMPDIR: scratch });
    const up = await run('up', spec, '--json');
    expect({ code: up.code, stderr: up.stderr }).toMatchObject({ code: 0 });
    try {
      const healthy = await run('test', '--json');
      expect({ code: healthy.code, stdout: healthy.stdout }).toMatchObject({ code: 0 });
      const { results, ...outcome } = JSON.parse(healthy.stdout);
      expect(outcome).toMatchObject({ ok: true, state: 'done' });
      const said = (each: { slot: string; checks: { outcome: string }[] }) =>
        [each.slot, ...each.checks.map(({ outcome }) => outcome)].join(' ');
      expect(results.map(said)).toEqual(slots.map((slot) => `${slot}${' passed'.repeat(5)}`));
      expect((await run('fault', '{kind: clock, nodes: [peer-1], skewMs: -60000, forMs: 600000}')).code).toBe(
        0,
      );
      const skewed = await run('test', '-c', 'lab');
      expect({ code: skewed.code, stdout: skewed.stdout }).toEqual({
        code: 1,
        stdout: expect.stringMatching(
          /\npeer-1 +1( +ok [\d.]+ m?s){4} +FAILED\npeer-1@1 clock failed: The wall clock is \d+ ms behind .*\n1 of 4 nodes did not pass, after /,
        ),
      });
      const events = (await run('events')).stdout;
      expect(events).toMatch(/tests-done .*passed=4 failed=0 missing=0/);
      expect(events).toMatch(/tests-done .*passed=3 failed=1 missing=0/);
      expect((await run('test', '-c', 'none')).code).toBe(3);
      // Whoever has its address and a token needs nothing else of this user's.
      const { api } = JSON.parse(up.stdout);
      const elsewhere = (token: string, ...args: string[]) => {
        const where = ['--api', api, '--token-file', join(state, token)];
        return runCli([...args, ...where], join(directory, 'elsewhere'), { TMPDIR: scratch });
      };
      const viewer = join('control-api', 'viewer-token');
      const reading = [['status'], ['nodes'], ['logs', 'peer-1'], ['events'], ['redeployments'], ['faults']];
      const read = await Promise.all(reading.map((args) => elsewhere(viewer, ...args)));
      const shown = [
        /lab +active/,
        /peer-1 +1 +serving/,
        /listening/,
        /node-serving/,
        /no redep/,
        /clock of peer-1/,
      ];
      expect(read.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
        shown.map((what) => ({ code: 0, stdout: expect.stringMatching(what) })),
      );
      expect((await elsewhere(viewer, 'test')).code).toBe(5);
      expect((await elsewhere('admin-token', 'faults', '--end', '1')).code).toBe(0);
      expect((await elsewhere('admin-token', 'test')).code).toBe(0);
      const leftovers = () =>
        readdirSync(state, { recursive: true }).filter((path) => String(path).endsWith('/self-test'));
      // They are removed as soon as the node is told that the run is done.
      while (leftovers().length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      await run('down', 'lab');
    }
    await expectNothingLeft(2_000);
  });

  it('leaves no control API behind that has nothing to control', async () => {
    const state = join(directory, 'state');
    const { code } = await runCli(['up', '--name', 'Wrong Name'], state, { TMPDIR: scratch });
    expect(code).toBe(2);
    await expectNothingLeft(2_000);
  });
});
