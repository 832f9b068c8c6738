/**
 * How long a file takes from one process to another over loopback, by `skep seed` and `skep get`, by aria2 and
 * by libtorrent, each as it is set up by default. All read and write the same disk and check every piece.
 * skep and libtorrent are told where the peer is, aria2, which cannot be, has a tracker. The three take turns, so
 * that what else the machine does hits all; the time is from the start of the downloading process until it has
 * verified all, its own start included, and the copy is then compared with its source.
 *
 * `npm run bench -- transfer [--mib 1024] [--rounds 3] [--dir DIR] [--json]`
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo, type Metainfo } from '@skep/p2p-core/metainfo';
import { ended, freePort, isRunnable, listening } from '../test/interop/clients/client.ts';
import { median, sha256Of, writeRandomFile } from './measure.ts';
import { type BenchTracker, startTracker } from './tracker.ts';

const HOST = '127.0.0.1';
const NAME = 'content';
const python = '/usr/bin/python3';
const skepProgram = fileURLToPath(new URL('../cli/bin/skep.js', import.meta.url));

interface Job {
  readonly torrent: string;
  /** Where the content is or goes. */
  readonly directory: string;
  /** Scratch space of its own. */
  readonly stateDirectory: string;
  readonly port: number;
}

interface Side {
  readonly name: string;
  /** It cannot be told where a peer is. */
  readonly needsTracker: boolean;
  version(): string;
  isInstalled(): boolean;
  /** Serves what is in `job.directory`; resolves once it is verified and served. */
  seed(job: Job, tracker: BenchTracker): Promise<ChildProcess>;
  /** Starts a download into `job.directory`, which ends with the process. */
  get(job: Job, seedPort: number): ChildProcess;
}

const skep: Side = {
  name: 'skep',
  needsTracker: false,
  version: () => outputOf(process.execPath, skepProgram, '--version'),
  isInstalled: () => true,
  async seed(job) {
    const child = startSkep(job, ['seed', join(job.directory, NAME), '--torrent', job.torrent]);
    await firstLine(child);
    return child;
  },
  get: (job, seedPort) =>
    startSkep(job, ['get', job.torrent, '-o', job.directory, '--peer', `${HOST}:${seedPort}`]),
};

const aria2: Side = {
  name: 'aria2',
  needsTracker: true,
  version: () => outputOf('aria2c', '--version').split('\n')[0]!.replace('aria2 version ', ''),
  isInstalled: () => isRunnable('aria2c', '--version'),
  async seed(job, tracker) {
    const child = startAria2(job, ['--check-integrity=true', '--seed-ratio=0.0']);
    await tracker.seedIsThere;
    await listening(HOST, job.port);
    return child;
  },
  // Files grow as they are written, as they do with the others.
  get: (job) => startAria2(job, ['--file-allocation=none', '--seed-time=0']),
};

const libtorrent: Side = {
  name: 'libtorrent',
  needsTracker: false,
  version: () => outputOf(python, '-c', 'import libtorrent; print(libtorrent.__version__)'),
  isInstalled: () => isRunnable(python, '-c', 'import libtorrent'),
  async seed(job) {
    const child = startLibtorrent(job, 0);
    await firstLine(child);
    return child;
  },
  get: (job, seedPort) => startLibtorrent(job, seedPort),
};

/** Runs the comparison, prints it, and resolves to an exit status. */
async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mib: { type: 'string', default: '1024' },
      rounds: { type: 'string', default: '3' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'boolean', default: false },
    },
  });
  const [mib, rounds] = [Number(values.mib), Number(values.rounds)];
  if (!(mib >= 1) || !(rounds >= 1)) throw new Error('--mib and --rounds take a number from 1');
  const say = (line: string) => (values.json ? console.error(line) : console.log(line));

  const sides = [skep, aria2, libtorrent].filter((side) => {
    if (side.isInstalled()) return true;
    say(`${side.name} is not installed: left out`);
    return false;
  });
  const lengthBytes = mib * 2 ** 20;
  const directory = mkdtempSync(join(values.dir, 'skep-transfer-'));
  try {
    const original = join(directory, 'original');
    mkdirSync(original);
    const sha256 = writeRandomFile(join(original, NAME), lengthBytes);
    const host = createNodeHost();
    const metainfo = await createMetainfo(host, join(original, NAME), {});
    await host.close();
    say(`${mib} MiB in ${metainfo.info.pieceCount} pieces of ${metainfo.info.pieceLength / 1024} KiB`);

    const seconds = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      // Who goes first alternates too.
      for (let turn = 0; turn < sides.length; turn++) {
        const side = sides[(round + turn) % sides.length]!;
        const took = await transfer(side, directory, metainfo, sha256);
        seconds.get(side.name)!.push(took);
        say(`round ${round + 1}  ${row(side.name, took, lengthBytes)}`);
      }
    }
    const ours = median(seconds.get(skep.name)!);
    const result = sides.map(({ name, version }) => {
      const middle = median(seconds.get(name)!);
      const rateMegabytes = lengthBytes / middle / 1e6;
      return { name, version: version(), seconds: middle, rateMegabytes, skepToIt: middle / ours };
    });
    if (values.json) console.log(JSON.stringify({ lengthBytes, rounds, sides: result }));
    for (const { name, version, seconds: middle, skepToIt } of result)
      say(
        `median   ${row(name, middle, lengthBytes)}  ${name === skep.name ? '' : `skep's rate is ${skepToIt.toFixed(2)} of it`}  (${version})`,
      );
    return 0;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** One transfer by two processes; its seconds. Throws if the copy differs. */
async function transfer(side: Side, directory: string, metainfo: Metainfo, sha256: string): Promise<number> {
  // A tracker of its own: it knows nobody from an earlier round.
  const tracker = await startTracker(HOST);
  const torrent = join(directory, 'content.torrent');
  writeFileSync(torrent, encodeMetainfo({ ...metainfo, trackers: side.needsTracker ? [[tracker.url]] : [] }));
  const target = join(directory, 'target');
  const states = ['seed', 'get'].map((role) => join(directory, `state-${role}`));
  for (const each of [target, ...states]) mkdirSync(each);
  const running: ChildProcess[] = [];
  try {
    const [seedPort, getPort] = [await freePort(HOST), await freePort(HOST)];
    running.push(
      await side.seed(
        { torrent, directory: join(directory, 'original'), stateDirectory: states[0]!, port: seedPort },
        tracker,
      ),
    );
    const started = performance.now();
    const leech = side.get(
      { torrent, directory: target, stateDirectory: states[1]!, port: getPort },
      seedPort,
    );
    running.push(leech);
    const code = await new Promise((resolve) => leech.once('exit', resolve));
    const took = (performance.now() - started) / 1000;
    if (code !== 0) throw new Error(`${side.name}: the download ended with ${code}`);
    if (sha256Of(join(target, NAME)) !== sha256) throw new Error(`${side.name}: the copy differs`);
    return took;
  } finally {
    for (const child of running) await ended(child);
    await tracker.stop();
    for (const each of [target, ...states]) rmSync(each, { recursive: true, force: true });
  }
}

function startSkep({ stateDirectory, port }: Job, args: readonly string[]): ChildProcess {
  const listen = ['--host', HOST, '--port', String(port), '--no-dht', '--json'];
  return spawn(process.execPath, [skepProgram, ...args, ...listen], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, SKEP_STATE: stateDirectory },
  });
}

function startAria2({ torrent, directory, port }: Job, options: readonly string[]): ChildProcess {
  const alone = [
    '--no-conf',
    '--quiet',
    '--enable-dht=false',
    '--enable-dht6=false',
    '--bt-enable-lpd=false',
  ];
  const place = [`--interface=${HOST}`, `--listen-port=${port}`, `--dir=${directory}`];
  return spawn('aria2c', [...alone, ...place, ...options, torrent], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function startLibtorrent({ torrent, directory, port }: Job, peerPort: number): ChildProcess {
  const script = join(import.meta.dirname, 'libtorrent_peer.py');
  return spawn(python, [script, torrent, directory, String(port), String(peerPort)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Resolves with a process's first line; rejects if it ends without. */
function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`a seed ended too early, with ${code}`)));
  });
}

function outputOf(program: string, ...args: string[]): string {
  return spawnSync(program, args, { encoding: 'utf8' }).stdout.trim();
}

function row(name: string, seconds: number, lengthBytes: number): string {
  return `${name.padEnd(10)}  ${seconds.toFixed(2).padStart(6)} s  ${(lengthBytes / seconds / 1e6).toFixed(0).padStart(5)} MB/s`;
}

process.exitCode = await run(process.argv.slice(2));
