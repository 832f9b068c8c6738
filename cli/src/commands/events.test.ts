/** `skep events --merged` and `--svg`, as a user runs them, against a control API that tells a story out of order. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterSpec, type ClusterView } from '@skep/contract';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCli } from '../testing/run-cli.ts';

let directory = '';
let server: Server;
let asked: string[] = [];

const cluster: ClusterView = {
  name: 'bees',
  uid: '0'.repeat(32),
  state: 'active',
  spec: ClusterSpec.parse({ name: 'bees' }),
  createdAtMs: 0,
  lease: { term: 0, held: false },
  nodes: [],
};
const at = (ms: number) => Date.UTC(2026, 0, 1, 12, 0, 0, ms);
const base = { cluster: 'bees', data: {} };
const a = { slot: 'bootstrap-1', generation: 1 };
const b = { slot: 'bootstrap-2', generation: 1 };
/** The vote's report came first, the candidate's last. */
const journal = [
  {
    ...base,
    ...b,
    sequence: 1,
    atMs: at(500),
    happenedAtMs: at(120),
    kind: 'vote-granted',
    lamport: 9,
    data: { term: 2, candidate: 'bootstrap-1@1' },
  },
  { ...base, ...a, sequence: 2, atMs: at(510), kind: 'lease-granted', lamport: 14, data: { term: 2 } },
  {
    ...base,
    ...a,
    sequence: 3,
    atMs: at(900),
    happenedAtMs: at(90),
    kind: 'election-started',
    lamport: 7,
    data: { term: 2, phase: 'vote' },
  },
  {
    ...base,
    ...a,
    sequence: 4,
    atMs: at(900),
    happenedAtMs: at(150),
    kind: 'elected',
    lamport: 12,
    data: { term: 2 },
  },
];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'skep-events-test-'));
  asked = [];
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://localhost');
    asked.push(request.url!);
    if (pathname === '/v1/clusters/bees/events') {
      const after = Number(searchParams.get('after'));
      response.end(JSON.stringify(journal.filter(({ sequence }) => sequence > after)));
    } else if (pathname === '/v1/clusters/bees/events/space-time') response.end('<svg/>');
    else if (pathname === '/v1/clusters/bees') response.end(JSON.stringify(cluster));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

function events(...args: string[]) {
  const { port } = server.address() as AddressInfo;
  const api = ['--api', `http://127.0.0.1:${port}`, '-c', 'bees'];
  return runCli(['events', ...api, ...args], join(directory, 'state'), { SKEP_TOKEN: 'secret' });
}

it('shows the journal as it was told', async () => {
  const { stdout } = await events('--json');
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).sequence),
  ).toEqual([1, 2, 3, 4]);
});

it('shows the merged log in the order of its stamps, with origins and causes', async () => {
  const { code, stdout } = await events('--merged', '--json');
  expect(code).toBe(0);
  const merged = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(merged.map(({ sequence, origin, causes }) => [sequence, origin, causes])).toEqual([
    [3, 'bootstrap-1@1', []],
    [1, 'bootstrap-2@1', [3]],
    [4, 'bootstrap-1@1', [3]],
    [2, 'control-api', [4]],
  ]);
  expect((await events('--merged')).stdout.split('\n')).toEqual([
    '      7  12:00:00.090  bootstrap-1@1    election-started  term=2 phase=vote',
    '      9  12:00:00.120  bootstrap-2@1    vote-granted  term=2 candidate=bootstrap-1@1',
    '     12  12:00:00.150  bootstrap-1@1    elected  term=2',
    '     14  12:00:00.510  control-api      bootstrap-1@1 lease-granted  term=2',
    '',
  ]);
});

it('draws them into a file', async () => {
  const file = join(directory, 'story.svg');
  expect(JSON.parse((await events('--svg', file, '--json')).stdout)).toEqual({ ok: true, svg: file });
  expect(readFileSync(file, 'utf8')).toBe('<svg/>');
  expect(asked.at(-1)).toBe('/v1/clusters/bees/events/space-time?limit=2000');
  const { stdout } = await events('--svg', file, '--merged', '--after', '2');
  expect(stdout.trim().split('\n')).toHaveLength(2);
  expect(asked).toContain('/v1/clusters/bees/events/space-time?limit=2000&after=2');
});

it('does not order what has not come yet', async () => {
  const { code, stderr } = await events('--merged', '--follow');
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining("cannot be used with option '-f, --follow'"),
  });
});
