/**
 * What users and the world do wrong, at the real command and the real control API: each is answered with one
 * clear sentence and the right status, and nothing is lost by it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type EncodableValue, encodeBencode } from '@skep/p2p-core/wire';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Running, startCli } from '../cli/src/testing/run-cli.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const local = ['--host', '127.0.0.1', '--no-dht'];
const nobodyHas = `magnet:?xt=urn:btih:${'c'.repeat(40)}`;

let directory = '';
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-bad-input-'));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function skep(...args: string[]): Running {
  const running = startCli(args, join(directory, 'state'));
  cleanups.push(() => {
    running.child.kill('SIGKILL');
    return running.finished;
  });
  return running;
}

/** The command ends with that status, and says one sentence that fits; with --json, also the code to programs. */
async function refuses(args: readonly string[], status: number, sentence: RegExp) {
  const { code, stdout, stderr } = await skep(...args, '--json').finished;
  const said = stderr.split('\n').filter((line) => line.startsWith('skep: '));
  expect({ code, said, stderr }).toMatchObject({ code: status, said: [expect.stringMatching(sentence)] });
  expect(stderr).not.toMatch(/\n\s+at |node:internal|internal error|of skep's own/);
  const answer = JSON.parse(stdout) as { ok: boolean; error: { code: string } };
  expect(answer).toMatchObject({ ok: false, error: { code: expect.stringMatching(/^[a-z-]+$/) } });
  return answer.error.code;
}

function write(name: string, bytes: Uint8Array | string): string {
  const path = join(directory, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** A folder of files of random bytes, and a seed that serves it. */
async function seedFolder(files: Record<string, number>, ...more: string[]) {
  for (const [path, length] of Object.entries(files)) write(`original/content/${path}`, randomBytes(length));
  const seed = skep('seed', join(directory, 'original/content'), ...local, '--json', ...more);
  return { seed, ...(JSON.parse(await seed.line()) as { magnet: string; listen: string; infoHash: string }) };
}

const original = (path: string) => readFileSync(join(directory, 'original/content', path));
const pieces = new Uint8Array(20);

describe('a .torrent that is', () => {
  const torrent = (info: EncodableValue) => encodeBencode({ info });
  const info = { name: 'x', 'piece length': 16_384, length: 5, pieces };
  const hostile: Record<string, Uint8Array | string> = {
    'cut off': torrent(info).subarray(0, 60),
    empty: '',
    'not bencode': '<html>no torrent here</html>',
    'deeply nested': `d4:info${'l'.repeat(5_000_000)}`,
    'of a string longer than the file': 'd4:info999999999999:',
    'of an integer beyond all bounds': `d4:infod6:lengthi${'9'.repeat(400)}e4:name1:x12:piece lengthi16384e6:pieces20:${'p'.repeat(20)}ee`,
    'of exabytes': torrent({ ...info, length: 2 ** 53 - 1 }),
    'of a huge piece length': torrent({ ...info, 'piece length': 2 ** 45 }),
    'of negative length': torrent({ ...info, length: -5 }),
    'of more pieces than its length': torrent({ ...info, pieces: new Uint8Array(40) }),
    'of the wrong types': torrent({ name: ['x'], 'piece length': 'y', length: {}, pieces: 7 }),
  };

  it.each(Object.entries(hostile))('%s is refused by show, get and seed', async (_what, bytes) => {
    const file = write('hostile.torrent', bytes);
    const content = write('x', 'hello');
    const sentence = /^skep: .{10,300}[.:\w)]$/;
    await Promise.all([
      refuses(['torrent', 'show', file], 6, sentence),
      refuses(['get', file, '-o', join(directory, 'target'), ...local], 6, sentence),
      refuses(['seed', content, '--torrent', file, ...local], 6, sentence),
    ]);
    expect(existsSync(join(directory, 'target'))).toBe(false);
    expect(readFileSync(content, 'utf8')).toBe('hello');
  });

  it('full of paths that lead out stays within the target', async () => {
    const files = [
      { length: 3, path: ['..', '..', 'outside'] },
      { length: 3, path: ['/etc', 'passwd'] },
      { length: 3, path: ['..'] },
    ];
    const content = 'aaabbbccc';
    const file = write(
      'hostile.torrent',
      torrent({
        name: '../up',
        'piece length': 16_384,
        files,
        pieces: createHash('sha1').update(content).digest(),
      }),
    );
    const shown = JSON.parse((await skep('torrent', 'show', file, '--json').finished).stdout);
    const paths = (shown.files as { path: string }[]).map(({ path }) => path);
    for (const path of paths) expect(path).not.toMatch(/^\/|(^|\/)\.\.(\/|$)/);
    for (const [index, path] of paths.entries())
      write(`original/${path}`, content.slice(index * 3, index * 3 + 3));
    const root = paths[0]!.split('/')[0]!;
    const seed = skep('seed', join(directory, 'original', root), '--torrent', file, ...local, '--json');
    const { listen } = JSON.parse(await seed.line()) as { listen: string };
    const target = join(directory, 'deep/deeper/target');
    const get = skep('get', file, '-o', target, ...local, '--peer', listen, '--timeout', '15');
    expect(await get.finished).toMatchObject({ code: 0 });
    const made = readdirSync(join(directory, 'deep'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(target, join(entry.parentPath, entry.name)));
    expect(made.sort()).toEqual([...paths].sort());
  });

  it('met by a symbolic link in the target writes nothing behind it', async () => {
    const { seed, magnet } = await seedFolder({ 'sub/a.bin': 50_000 });
    const outside = join(directory, 'outside');
    const target = join(directory, 'target');
    mkdirSync(outside);
    mkdirSync(join(target, 'content'), { recursive: true });
    symlinkSync(outside, join(target, 'content', 'sub'));
    await refuses(['get', magnet, '-o', target, ...local, '--timeout', '20'], 1, /link/);
    expect(readdirSync(outside)).toEqual([]);
    expect(seed.child.exitCode).toBe(null);
  });
});

describe('a magnet link', () => {
  it.each([
    'magnet:?xt=urn:btih:zz',
    'magnet:?dn=nothing',
    'magnet:',
    `magnet:?xt=urn:btih:${'a'.repeat(39)}`,
    `magnet:?xt=urn:sha1:${'a'.repeat(40)}`,
  ])('%s is refused', async (magnet) => {
    await refuses(['get', magnet, '-o', join(directory, 'target'), ...local], 6, /magnet/);
    expect(existsSync(join(directory, 'target'))).toBe(false);
  });
});

describe('content', () => {
  it('that vanishes in part: the seed says so, serves the rest, and ends with 1', async () => {
    const { seed, magnet } = await seedFolder({ 'a.bin': 100_000, 'b.bin': 100_000, 'c.bin': 100_000 });
    truncateSync(join(directory, 'original/content/b.bin'), 0);
    const target = join(directory, 'target');
    const got = await skep('get', magnet, '-o', target, ...local, '--timeout', '6', '--json').finished;
    expect({ code: got.code, stderr: got.stderr }).toMatchObject({ code: 8 });
    const firstPiece = original('a.bin').subarray(0, 65_536);
    expect(readFileSync(join(target, 'content/a.bin')).subarray(0, 65_536).equals(firstPiece)).toBe(true);
    seed.child.kill('SIGINT');
    const { code, stderr } = await seed.finished;
    expect(code).toBe(1);
    expect(stderr.match(/skep: content\/b\.bin vanished .+ pieces are no longer served/g)).toHaveLength(1);
  });

  it('that vanishes whole: the seed ends and says why', async () => {
    const { seed, magnet } = await seedFolder({ 'a.bin': 100_000 });
    truncateSync(join(directory, 'original/content/a.bin'), 0);
    skep('get', magnet, '-o', join(directory, 'target'), ...local);
    const { code, stderr } = await seed.finished;
    expect({ code, stderr }).toMatchObject({ code: 7, stderr: expect.stringMatching(/^skep: .+read.+\n/m) });
  });

  it('that differs from its torrent is not seeded, nor touched', async () => {
    const { seed } = await seedFolder({ 'a.bin': 100_000 });
    seed.child.kill('SIGINT');
    await seed.finished;
    const path = join(directory, 'original/content');
    const file = join(directory, 'content.torrent');
    await skep('torrent', 'create', path, '-o', file).finished;
    const changed = randomBytes(100_000);
    writeFileSync(join(path, 'a.bin'), changed);
    await refuses(['seed', path, '--torrent', file, ...local], 1, /missing or differ/);
    expect(readFileSync(join(path, 'a.bin')).equals(changed)).toBe(true);
  });
});

describe('the machine', () => {
  const canMount = process.getuid?.() === 0 && process.platform === 'linux' && tryMount();

  function tryMount(): boolean {
    const at = mkdtempSync(join(tmpdir(), 'skep-mount-'));
    const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', at]).status === 0;
    if (isMounted) spawnSync('umount', [at]);
    rmSync(at, { recursive: true });
    return isMounted;
  }

  it.skipIf(!canMount && !isRequired)(
    'whose disk is full (needs root, to mount one): get says so, and goes on once there is room',
    async () => {
      const length = 12_000_000;
      const { magnet } = await seedFolder({ 'a.bin': length });
      const target = join(directory, 'target');
      mkdirSync(target);
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', target]);
      expect(mounted.status).toBe(0);
      cleanups.push(() => spawnSync('umount', ['-l', target]));
      const args = ['get', magnet, '-o', target, ...local, '--timeout', '15'];
      expect(await refuses(args, 7, /^skep: The disk is full; free some space/)).toBe('disk-full');
      expect(spawnSync('mount', ['-o', 'remount,size=64m', target]).status).toBe(0);
      const { code, stdout, stderr } = await skep(...args, '--json').finished;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(readFileSync(join(target, 'content/a.bin')).equals(original('a.bin'))).toBe(true);
      // Both runs together: what was verified before the disk was full did not come again.
      expect(JSON.parse(stdout).downloadedBytes).toBeLessThan(length + 7_000_000);
    },
  );

  it('whose port is in use is told so', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
    const { port } = taken.address() as { port: number };
    const path = write('x', 'hello');
    const args = [...local, '--port', String(port)];
    const target = join(directory, 'target');
    await Promise.all([
      refuses(['seed', path, ...args], 7, /another program has this port/),
      refuses(['get', nobodyHas, '-o', target, ...args], 7, /another program has this port/),
    ]);
    const api = startControlApi(join(directory, 'api'), `127.0.0.1:${port}`);
    expect(await api.ended).toEqual({
      code: 7,
      stderr: expect.stringMatching(/^[^\n]+has this port[^\n]+\n$/),
    });
  });

  it('where no control API answers is told so by every command of clusters', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const api = ['--api', `http://127.0.0.1:${port}`];
    for (const command of [['status'], ['nodes'], ['up'], ['down'], ['kill', 'peer-1'], ['logs', 'peer-1']]) {
      await refuses(
        [...command, ...api],
        4,
        /^skep: The control API at .+ cannot be reached \(refused\): see/,
      );
    }
  });
});

interface ControlApi {
  readonly child: ChildProcess;
  readonly ready: Promise<{ url: string }>;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
}

function startControlApi(state: string, listen: string): ControlApi {
  const main = fileURLToPath(new URL('./main.ts', import.meta.resolve('@skep/control-api')));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, SKEP_STATE_DIRECTORY: state, SKEP_LISTEN: listen },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ready = new Promise<{ url: string }>((resolve) =>
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line))),
  );
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, stderr })),
  );
  return { child, ready, ended };
}

describe('a request to the control API that is', () => {
  let state = '';
  let api: ControlApi;
  let url = '';
  let authorization = '';

  beforeAll(async () => {
    state = mkdtempSync(join(tmpdir(), 'skep-bad-request-'));
    api = startControlApi(state, '127.0.0.1:0');
    ({ url } = await api.ready);
    authorization = `Bearer ${readFileSync(join(state, 'admin-token'), 'utf8')}`;
  });

  afterAll(async () => {
    api.child.kill('SIGTERM');
    expect(await api.ended).toMatchObject({
      code: 0,
      stderr: expect.not.stringMatching(/uncaught|\n\s+at /),
    });
    rmSync(state, { recursive: true, force: true });
  });

  const json = { 'content-type': 'application/json' };
  const post = (body: string | Uint8Array<ArrayBuffer>): RequestInit => ({
    method: 'POST',
    headers: json,
    body,
  });
  const requests: [string, number, string, string, RequestInit?][] = [
    ['no JSON', 400, 'bad-request', '/v1/clusters', post('{"name":')],
    ['no UTF-8', 400, 'bad-request', '/v1/clusters', post(Uint8Array.of(0x22, 0xff, 0xfe, 0x22))],
    ['of the wrong shape', 400, 'bad-request', '/v1/clusters', post('{"name":7,"bootstrap":-1}')],
    ['JSON nested without end', 400, 'bad-request', '/v1/clusters', post('['.repeat(500_000))],
    ['of a path that climbs', 400, 'bad-request', '/v1/clusters/..%2f..%2fetc'],
    ['of a broken escape', 400, 'bad-request', '/v1/clusters/%zz'],
    ['for nothing that is there', 404, 'not-found', '/v1/nowhere'],
    ['for a cluster that is not there', 404, 'not-found', '/v1/clusters/none'],
    ['of the wrong method', 405, 'method-not-allowed', '/v1/clusters', { method: 'PATCH' }],
    ['too large', 413, 'too-large', '/v1/clusters', post('x'.repeat(3_000_000))],
    ['of an unknown token', 401, 'unauthorized', '/v1/clusters', { headers: { authorization: 'Bearer no' } }],
  ];

  it.each(requests)('%s is answered %i %s', async (_what, status, code, path, init = {}) => {
    const headers = { authorization, ...(init.headers as Record<string, string>) };
    const response = await fetch(url + path, { ...init, headers });
    const problem = (await response.json()) as { detail: string };
    expect({ status: response.status, problem }).toMatchObject({ status, problem: { status, code } });
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(problem.detail).toMatch(/^.{8,400}$/);
    expect(JSON.stringify(problem)).not.toMatch(/\.ts:|node:/);
    expect((await fetch(`${url}/v1/clusters`, { headers: { authorization } })).status).toBe(200);
  });

  it.each([
    ['garbage', '\x16\x03\x01 what is this\r\n\r\n', 400],
    [
      'a length that is no number',
      'POST /v1/clusters HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n',
      400,
    ],
    ['headers without end', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`, 431],
  ])('no HTTP, but %s, is answered too', async (_what, bytes, status) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.write(bytes);
    await closed;
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]+application/problem\\+json`));
    expect(JSON.parse(body)).toMatchObject({ status, detail: expect.stringMatching(/.{8,}/) });
    expect((await fetch(`${url}/v1/clusters`, { headers: { authorization } })).status).toBe(200);
  });
});
