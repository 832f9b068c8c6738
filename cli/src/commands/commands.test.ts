/** The commands that need no cluster, as a user runs them: real processes, loopback only. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Running, runCli, startCli } from '../testing/run-cli.ts';

let directory = '';
let state = '';
const running: Running[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-cli-test-'));
  state = join(directory, 'state');
});

afterEach(async () => {
  for (const { child, finished } of running.splice(0)) {
    child.kill('SIGKILL');
    await finished;
  }
  rmSync(directory, { recursive: true, force: true });
});

const run = (...args: string[]) => runCli(args, state);

function start(...args: string[]): Running {
  const started = startCli(args, state);
  running.push(started);
  return started;
}

const local = ['--host', '127.0.0.1', '--no-dht'];

function makeContent(name: string, length: number): string {
  const path = join(directory, name);
  // Different bytes at every offset of a piece, the same in every run.
  const bytes = new Uint8Array(length);
  for (let i = 0, x = 1; i < length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = x >>> 24;
  }
  writeFileSync(path, bytes);
  return path;
}

/** One sentence on standard error, no stack, and the same for programs. */
async function expectFailure(args: readonly string[], code: number, sentence: RegExp): Promise<void> {
  const { code: ended, stdout, stderr } = await runCli([...args, '--json'], state);
  expect({ code: ended, stderr }).toEqual({ code, stderr: expect.stringMatching(sentence) });
  expect(stderr).not.toMatch(/\n\s+at |node:internal/);
  expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: expect.any(String) } });
}

describe('words that are no command', () => {
  it.each([
    [['up', '--bogus'], /unknown option '--bogus'/],
    [['up', '--spares', '33'], /whole number from 0 to 32/],
    [['demo', '--peers', '1'], /whole number from 2/],
    [['get'], /required option '-o/],
    [['nosuch'], /unknown command 'nosuch'/],
    [['fault', '{kind: flood, nodes: [peer-1]}'], /The fault is wrong at kind/],
    [['fault', '{kind: pause, nodes: [peer-1]}'], /The fault is wrong at forMs/],
    [['fault', '{kind: [}'], /neither YAML nor JSON/],
    [['faults', '--end', 'x'], /whole number from 1/],
    [['nodes', 'add', '--role', 'queen'], /Allowed choices are bootstrap, index, peer/],
    [['nodes', 'redeploy'], /missing required argument 'node'/],
    [['redeployments', 'cancel'], /missing required argument 'id'/],
    [['cost', '--ttl', '5'], /Write a time as in 30m, 8h or 2d/],
    [['cost', '--region', 'Frankfurt'], /Give a region as in eu-central-1/],
    [['cost', '--control-instance-type', 'm5.large'], /no instance type m5.large.*t4g.small/],
    [['nodes', 'remove'], /missing required argument 'node'/],
  ] as const)('%s: told to people and to programs', async (args, sentence) => {
    await expectFailure(args, 2, sentence);
  });
});

describe('torrent create and show', () => {
  it('make a torrent, show it, and do not overwrite', async () => {
    const content = makeContent('data.bin', 100_000);
    const file = join(directory, 'data.torrent');
    const made = await run(
      'torrent',
      'create',
      content,
      '-o',
      file,
      '--piece-length',
      '32K',
      '--tracker',
      'http://127.0.0.1:9/a',
      '--json',
    );
    expect(made.code).toBe(0);
    const created = JSON.parse(made.stdout);
    expect(created).toMatchObject({
      file,
      name: 'data.bin',
      lengthBytes: 100_000,
      pieceLengthBytes: 32_768,
      pieces: 4,
    });
    const shown = JSON.parse((await run('torrent', 'show', file, '--json')).stdout);
    expect(shown).toMatchObject({
      kind: 'torrent',
      infoHash: created.infoHash,
      trackers: [['http://127.0.0.1:9/a']],
    });
    const magnet = JSON.parse((await run('torrent', 'show', created.magnet, '--json')).stdout);
    expect(magnet).toMatchObject({
      kind: 'magnet',
      infoHash: created.infoHash,
      trackers: ['http://127.0.0.1:9/a'],
    });
    const before = readFileSync(file);
    await expectFailure(['torrent', 'create', content, '-o', file], 1, /exists: --force/);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it('refuse what is damaged, hostile or missing, each in a sentence', async () => {
    const content = makeContent('data.bin', 50_000);
    const file = join(directory, 'data.torrent');
    expect((await run('torrent', 'create', content, '-o', file)).code).toBe(0);
    const whole = readFileSync(file);
    const truncated = join(directory, 'truncated.torrent');
    writeFileSync(truncated, whole.subarray(0, whole.length - 20));
    const deep = join(directory, 'deep.torrent');
    writeFileSync(deep, `d4:info${'l'.repeat(1_000_000)}`);
    const empty = join(directory, 'empty.torrent');
    writeFileSync(empty, '');
    await Promise.all([
      expectFailure(['torrent', 'show', truncated], 6, /^skep: .+\n$/),
      expectFailure(['torrent', 'show', deep], 6, /^skep: .+\n$/),
      expectFailure(['torrent', 'show', empty], 6, /^skep: .+\n$/),
      expectFailure(['torrent', 'show', content], 6, /^skep: .+\n$/),
    ]);
    await Promise.all([
      expectFailure(
        ['torrent', 'show', 'magnet:?xt=urn:btih:zz'],
        6,
        /^skep: This is not a magnet link: .+\n$/,
      ),
      expectFailure(
        ['torrent', 'show', join(directory, 'none.torrent')],
        3,
        /^skep: There is no torrent file .+\n$/,
      ),
      expectFailure(
        ['torrent', 'create', join(directory, 'none')],
        3,
        /^skep: There is no file or folder .+\n$/,
      ),
    ]);
  });
});

describe('usage', () => {
  it('is told for every command, with the table of exit statuses', async () => {
    const commands = [['demo'], ['up'], ['kill'], ['torrent', 'create'], ['seed'], ['get']];
    const helps = await Promise.all(commands.map((command) => run(...command, '--help')));
    for (const help of helps) {
      expect(help.code).toBe(0);
      expect(help.stdout).toMatch(/Usage: skep .+/);
      expect(help.stdout).toContain('Exit status:');
    }
  });

  it.each([
    [['frobnicate'], /unknown command/],
    [['get', 'x.torrent'], /--output/],
    [['seed', '.', '--upload-limit', 'fast'], /bytes as in/],
    [['get', 'x.torrent', '-o', '.', '--peer', 'here'], /HOST:PORT/],
    [['status', 'one', 'two'], /too many arguments/],
  ])('%j ends with 2', async (args, sentence) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(sentence);
  });
});

describe('a control API that is not there', () => {
  it('is named', async () => {
    await expectFailure(['status'], 4, /^skep: No control API runs for this user: .+\n$/);
    // A port that was free a moment ago.
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const address = probe.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await new Promise((resolve) => probe.close(resolve));
    await expectFailure(
      ['nodes', '--api', `http://127.0.0.1:${port}`],
      4,
      /cannot be reached \(refused\).+\n$/,
    );
  });
});

describe('seed and get', () => {
  it('carry a folder by magnet, with one JSON object each, and end cleanly on Ctrl-C', async () => {
    const folder = join(directory, 'folder');
    mkdirSync(join(folder, 'deep'), { recursive: true });
    writeFileSync(join(folder, 'empty'), '');
    writeFileSync(join(folder, 'deep', 'a.txt'), 'a'.repeat(70_000));
    writeFileSync(join(folder, 'b.txt'), 'b'.repeat(5));
    const seed = start('seed', folder, ...local, '--json');
    const ready = JSON.parse(await seed.line());
    const target = join(directory, 'target');
    const got = await run('get', ready.magnet, '-o', target, ...local, '--timeout', '15', '--json');
    expect({ code: got.code, stderr: got.stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(got.stdout)).toMatchObject({ infoHash: ready.infoHash, bytes: 70_005, verified: true });
    for (const file of ['empty', 'deep/a.txt', 'b.txt']) {
      expect(readFileSync(join(target, 'folder', file)).equals(readFileSync(join(folder, file)))).toBe(true);
    }
    expect(readdirSync(join(state, 'downloads'))).toEqual([]);
    seed.child.kill('SIGINT');
    const ended = await seed.finished;
    expect(ended.code).toBe(0);
    expect(ended.stdout.trim().split('\n')).toHaveLength(1);
  });

  it('go on after kill -9 without fetching again what was verified', async () => {
    const length = 4_000_000;
    const content = makeContent('big.bin', length);
    const seed = start('seed', content, ...local, '--upload-limit', '1500K', '--json');
    const ready = JSON.parse(await seed.line());
    const target = join(directory, 'target');
    const args = ['get', ready.magnet, '-o', target, ...local, '--timeout', '30', '--json'];
    const first = start(...args);
    const file = join(target, 'big.bin');
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    first.child.kill('SIGKILL');
    expect((await first.finished).code).toBe(null);
    const second = await run(...args);
    expect({ code: second.code, stderr: second.stderr }).toMatchObject({ code: 0 });
    expect(readFileSync(file).equals(readFileSync(content))).toBe(true);
    // Beyond the content itself only pieces that were in flight may have come twice.
    expect(JSON.parse(second.stdout).downloadedBytes).toBeLessThan(length * 1.5);
  });

  it('say what is wrong with the machine, and lose nothing', async () => {
    const content = makeContent('data.bin', 40_000);
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = taken.address();
    const port = String(typeof address === 'object' && address !== null ? address.port : 0);
    await expectFailure(
      ['seed', content, ...local, '--port', port],
      7,
      /^(.*\n)*skep: .+in use|another program.+/,
    );
    await new Promise((resolve) => taken.close(resolve));
    await expectFailure(
      ['get', `magnet:?xt=urn:btih:${'a'.repeat(40)}`, '-o', content, ...local],
      2,
      /is no directory/,
    );
    expect(readFileSync(content)).toHaveLength(40_000);
  });

  it('ends with 8 when nobody has it, and with 130 on Ctrl-C', async () => {
    const magnet = `magnet:?xt=urn:btih:${'b'.repeat(40)}`;
    const late = await run('get', magnet, '-o', join(directory, 'a'), ...local, '--timeout', '1');
    expect(late.code).toBe(8);
    expect(late.stderr).toMatch(/skep: Not complete after 1 s: no metadata, 0 peers known/);
    const cut = start('get', magnet, '-o', join(directory, 'b'), ...local);
    await new Promise((resolve) => cut.child.stderr?.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, 300));
    cut.child.kill('SIGINT');
    expect((await cut.finished).code).toBe(130);
  });
});
