/** The control API as a process, with processes for machines: restarts, adoption, ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createApiClient } from '@skep/contract';
import { identifyProcess } from '@skep/p2p-core/process-identity';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

// Each test starts several processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const agentProgram = fileURLToPath(new URL('./launchers/fixtures/agent.ts', import.meta.url));
const spec = { name: 'bees', bootstrap: 1, peers: 1 };
const params = { cluster: 'bees' };

let directory: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-main-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true, force: true });
});

async function start(environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      SKEP_STATE_DIRECTORY: directory,
      SKEP_LISTEN: '127.0.0.1:0',
      SKEP_AGENT_PROGRAM: agentProgram,
      ...environment,
    },
  });
  children.push(child);
  let errors = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), 'line'),
    once(child, 'exit').then(() => {
      throw new Error(errors);
    }),
  ])) as [string];
  const ready = JSON.parse(line) as { url: string; adminTokenFile: string; pid: number };
  expect(ready.pid).toBe(child.pid);
  const token = readFileSync(ready.adminTokenFile, 'utf8');
  const client = createApiClient({ baseUrl: ready.url, token, fetch: (url, init) => fetch(url, init) });
  return { child, client, url: ready.url };
}

async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + 40_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error('it did not come about');
    await sleep(10);
  }
}

type Client = Awaited<ReturnType<typeof start>>['client'];

const pids = (client: Client) =>
  until(async () => {
    const machines = (await client.listNodes({ params })).map(({ machine }) => machine);
    return machines.every((machine) => machine !== undefined) ? machines.map(Number) : undefined;
  });
const allGone = (of: number[]) =>
  until(() => (of.every((pid) => identifyProcess(pid) === undefined) ? true : undefined));
const gone = (client: Client) =>
  until(() =>
    client.getCluster({ params }).then(
      () => undefined,
      (error) => (error.status === 404 ? true : undefined),
    ),
  );

it('adopts its machines after kill -9, at the same address, and ends them when asked', async () => {
  const first = await start();
  await first.client.createCluster({ body: spec });
  const before = await pids(first.client);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  expect(before.map((pid) => identifyProcess(pid) !== undefined)).toEqual([true, true]);
  const second = await start();
  expect(second.url).toBe(first.url);
  expect(await pids(second.client)).toEqual(before);
  await second.client.deleteCluster({ params });
  await gone(second.client);
  expect(before.map((pid) => identifyProcess(pid))).toEqual([undefined, undefined]);
});

it('leaves machines running on SIGTERM, and serves its pages', async () => {
  const first = await start();
  await first.client.createCluster({ body: spec });
  const before = await pids(first.client);
  for (const path of ['/', '/docs', '/openapi.json', '/healthz']) {
    expect((await fetch(first.url + path)).status).toBe(200);
  }
  first.child.kill('SIGTERM');
  expect(await once(first.child, 'exit')).toEqual([0, null]);
  const second = await start();
  expect(await pids(second.client)).toEqual(before);
  await second.client.deleteCluster({ params });
  await gone(second.client);
});

it('leaves nothing of an ephemeral cluster when its parent is gone', async () => {
  const { child, client } = await start({ SKEP_EXIT_WITH_PARENT: '1', SKEP_EPHEMERAL_ROOT: directory });
  await client.createCluster({ body: { ...spec, ephemeral: true } });
  const before = await pids(client);
  child.stdin!.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
  await allGone(before);
  expect(existsSync(directory)).toBe(false);
});

it('refuses a directory that another one uses', async () => {
  await start();
  await expect(start()).rejects.toThrow(/another control API/);
});
