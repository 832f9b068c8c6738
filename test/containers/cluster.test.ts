/**
 * `skep` with the runner docker as a user runs it: whole clusters of real containers on a network of their own. What
 * `npm start` shows with processes holds here, word for word, and nothing is left of it.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeView } from '@skep/contract';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Running, runCli, startCli } from '../../cli/src/testing/run-cli.ts';
import { hasEngine, productImage } from './image.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const buildMs = 900_000;
const testMs = 480_000;

const docker = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).trim();

describe.skipIf(!isRequired && !hasEngine())('clusters in containers (need a Docker engine)', () => {
  let image = '';
  let directory = '';
  let state = '';
  const running: Running[] = [];

  beforeAll(() => {
    image = productImage();
  }, buildMs);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'skep-containers-'));
    state = join(directory, 'state');
    mkdirSync(join(directory, 'scratch'));
  });
  afterEach(async () => {
    for (const { child, finished } of running.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
      await finished;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  /** Containers, networks and volumes of control APIs that are known by a name that begins so. */
  const leftOf = (owner: string) =>
    ['container', 'network', 'volume'].flatMap((kind) => {
      const all = kind === 'container' ? ['--all'] : [];
      const format = ['--format', '{{.Label "skep.control-api"}}'];
      const owners = docker(kind, 'ls', ...all, '--filter', 'label=skep.control-api', ...format).split('\n');
      return owners.filter((each) => each.startsWith(owner)).map((each) => `${kind} of ${each}`);
    });
  const leftOfCommand = ({ child }: Running) => leftOf(`command.${child.pid}.`);
  const demo = (...args: string[]) => {
    const content = join(directory, 'content.bin');
    writeFileSync(
      content,
      Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 9)) & 255),
    );
    const containers = ['--runner', 'docker', '--image', image, '--content', content];
    const started = startCli(['demo', ...containers, '--peers', '3', ...args], state, {
      TMPDIR: join(directory, 'scratch'),
    });
    running.push(started);
    return started;
  };
  it(
    'tell the story of the demonstration, and leave nothing',
    async () => {
      const told = demo('--exit', '--json');
      const { code, stdout, stderr } = await told.finished;
      expect(stderr).toContain('each a container of its own');
      expect(JSON.parse(stdout)).toEqual({
        nodes: 7,
        bytes: 3_000_000,
        downloads: ['peer-2', 'peer-3', 'peer-4'].map((node) => ({
          node,
          seconds: expect.any(Number),
          sha256Ok: true,
        })),
        healing: {
          detectedMs: expect.any(Number),
          electedMs: expect.any(Number),
          redeployedMs: expect.any(Number),
          firstLookupMs: expect.any(Number),
        },
        ok: true,
      });
      expect(code).toBe(0);
      expect(readdirSync(join(directory, 'scratch'))).toEqual([]);
      expect(leftOfCommand(told)).toEqual([]);
    },
    testMs,
  );

  it(
    'leave nothing when the command is interrupted, or killed, in the middle',
    async () => {
      const interrupted = demo('--json');
      await until(() => leftOfCommand(interrupted).some((each) => each.startsWith('container')));
      interrupted.child.kill('SIGINT');
      expect((await interrupted.finished).code).toBe(130);
      expect(leftOfCommand(interrupted)).toEqual([]);
      const killed = demo('--json');
      await until(() => leftOfCommand(killed).some((each) => each.startsWith('container')));
      killed.child.kill('SIGKILL');
      await killed.finished;
      await until(() => leftOfCommand(killed).length === 0);

      // With nobody left who could clean up, the next command does.
      const abandoned = demo('--json');
      await until(() => leftOfCommand(abandoned).some((each) => each.startsWith('container')));
      const controlApi = Number(
        execFileSync('pgrep', ['-P', String(abandoned.child.pid)], { encoding: 'utf8' }),
      );
      process.kill(controlApi, 'SIGKILL');
      abandoned.child.kill('SIGKILL');
      await abandoned.finished;
      expect(leftOfCommand(abandoned)).not.toEqual([]);
      const next = demo('--json');
      await until(() => leftOfCommand(abandoned).length === 0);
      next.child.kill('SIGINT');
      await next.finished;
    },
    testMs,
  );

  it(
    'run a scenario, with a node cut off by its own agent meanwhile',
    async () => {
      const scenario = join(directory, 'cut-off.yaml');
      writeFileSync(
        scenario,
        `
name: cut-off
cluster: { bootstrap: 3, peers: 2, grace: 2s }
network: { latency: 5ms }
content: [{ name: a.bin, bytes: 512 KiB }]
timeline:
  - { at: 1s, fault: { kind: partition, nodes: bootstrap-2, way: both, for: 20s } }
expect: { downloads: { within: 60s }, healed: { within: 60s } }
limit: 3m
`,
      );
      const containers = ['--runner', 'docker', '--image', image, '--out', directory];
      const told = startCli(['run', scenario, ...containers, '--json'], state);
      running.push(told);
      const { code, stdout, stderr } = await told.finished;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      const { bundle, ...record } = JSON.parse(stdout);
      expect(record).toMatchObject({ verdict: 'passed', runner: 'docker' });
      const events = readFileSync(join(bundle, 'events.ndjson'), 'utf8');
      expect(events).toContain('redeployment-complete');
      expect(leftOfCommand(told)).toEqual([]);
    },
    testMs,
  );

  it(
    'heal a container that is killed, and one that is cut off, each at its own address, and go down without a trace',
    async () => {
      const run = (...args: string[]) => runCli(args, state);
      const spec = join(directory, 'spec.yaml');
      writeFileSync(spec, 'name: lab\nbootstrap: 3\nindex: 1\npeers: 1\ngraceMs: 2000\n');
      const up = await run('up', spec, '--runner', 'docker', '--image', image, '--json');
      expect({ code: up.code, stderr: up.stderr }).toMatchObject({ code: 0 });
      const owner = readFileSync(join(state, 'control-api', 'docker-owner'), 'utf8');
      try {
        const before = JSON.parse(up.stdout).cluster.nodes as NodeView[];
        expect(before.map(({ slot }) => slot)).toEqual([
          ...['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'index-1', 'peer-1'],
        ]);
        const other = await run('up', '--name', 'other', '--runner', 'process');
        expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('run as containers of')]);

        expect((await run('kill', 'bootstrap-1')).code).toBe(0);
        const cutOff = before.find(({ slot }) => slot === 'bootstrap-2')!.machine!;
        const [network] = Object.keys(JSON.parse(docker('inspect', cutOff))[0].NetworkSettings.Networks);
        docker('network', 'disconnect', network!, cutOff);
        let nodes = before;
        await until(async () => {
          nodes = JSON.parse((await run('nodes', '--json')).stdout);
          return ['bootstrap-1', 'bootstrap-2'].every((slot) =>
            nodes.some((node) => node.slot === slot && node.generation === 2 && node.state === 'serving'),
          );
        });
        expect(nodes.map(({ slot, address }) => [slot, address])).toEqual(
          before.map(({ slot, address }) => [slot, address]),
        );
        expect(docker('inspect', '--format', '{{.State.Running}}', cutOff)).toBe('false');
        const logs = JSON.parse((await run('logs', 'bootstrap-2', '--generation', '1', '--json')).stdout);
        expect(logs.log).toContain('serving');

        // A control API that died finds its machines again, also beside another cluster.
        process.kill(JSON.parse(readFileSync(join(state, 'control-api.json'), 'utf8')).pid, 'SIGKILL');
        const second = await run('up', '--name', 'second', '--bootstrap', '1', '--peers', '0', '--json');
        expect({ code: second.code, stderr: second.stderr }).toMatchObject({ code: 0 });
        const found = JSON.parse((await run('nodes', '--cluster', 'lab', '--json')).stdout) as NodeView[];
        expect(found.map(({ machine, state }) => [machine, state])).toEqual(
          nodes.map(({ machine }) => [machine, 'serving']),
        );
        expect((await run('down', 'second')).code).toBe(0);
      } finally {
        const down = await run('down', '--json');
        expect(down.code).toBe(0);
        expect(JSON.parse(down.stdout)).toEqual({ cluster: 'lab', controlApiStopped: true });
      }
      expect(leftOf(owner)).toEqual([]);
    },
    testMs,
  );
});

/** A test's own time is the limit. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(100);
}
