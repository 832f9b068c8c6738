/**
 * The user's own control API: started by `skep up`, found by every other command, ended by the last
 * `skep down`. What must be known of it lies in the state directory, readable by its owner alone.
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Clock, sleep } from '@skep/p2p-core/host';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
  signalProcess,
} from '@skep/p2p-core/process-identity';
import * as z from 'zod';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { RunnerChoice, runnerEnvironment } from '../runners/choice.ts';
import { startControlApi } from './control-api-process.ts';

export interface DaemonRecord {
  readonly url: string;
  readonly token: string;
  readonly process: ProcessIdentity;
}

const Address = z.object({ url: z.string(), pid: z.int().min(2), startTime: z.string().min(1) });

/** `$SKEP_STATE`, else `$XDG_STATE_HOME/skep`, else `~/.local/state/skep`. */
export function stateDirectory(env: Readonly<Record<string, string | undefined>>): string {
  if (env.SKEP_STATE) return resolve(env.SKEP_STATE);
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'skep');
}

/** The daemon that runs now; undefined if none does. */
export function readDaemonRecord(directory: string): DaemonRecord | undefined {
  let text: string;
  let token: string;
  try {
    text = readFileSync(addressFile(directory), 'utf8');
    token = readFileSync(tokenFile(directory), 'utf8').trim();
  } catch {
    return undefined;
  }
  const address = Address.safeParse(jsonOf(text));
  if (!address.success) return undefined;
  const { url, pid, startTime } = address.data;
  const identity = { pid, startTime };
  return isAlive(identity) ? { url, token, process: identity } : undefined;
}

/**
 * The daemon that runs, or a new one on the same state: its clusters go on, in the runner that they are in. Rejects
 * CliError if another was asked for.
 */
export async function ensureDaemon(
  directory: string,
  asked: RunnerChoice | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<DaemonRecord> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return locked(directory, clock, signal, async () => {
    const kept = readRunner(directory);
    if (kept !== undefined && asked !== undefined && !isDeepStrictEqual(asked, kept)) throw otherRunner(kept);
    const running = readDaemonRecord(directory);
    if (running !== undefined) return running;
    const runner = kept ?? asked ?? { name: 'process' };
    writePrivately(runnerFile(directory), JSON.stringify(runner));
    const token = ensureToken(directory);
    const api = await startControlApi({
      stateDirectory: join(directory, 'control-api'),
      // While clusters live on, whose agents know the old address, it takes that again by itself.
      port: 0,
      adminTokenFile: tokenFile(directory),
      logFile: logFile(directory),
      exitWithParent: false,
      runner: runnerEnvironment(runner),
    });
    const identity = identifyProcess(api.pid);
    if (identity === undefined) {
      throw new CliError(
        'control-api',
        exitCodes.failed,
        `The control API ended as it started: its log is ${logFile(directory)}.`,
      );
    }
    writePrivately(addressFile(directory), JSON.stringify({ url: api.url, ...identity }));
    return { url: api.url, token, process: identity };
  });
}

/** Ends the daemon in good order, which has no clusters any more; the rest of its state stays. Resolves when it is gone. */
export async function stopDaemon(
  directory: string,
  record: DaemonRecord,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  signalProcess(record.process, 'SIGTERM');
  const killAt = clock.now() + 10_000;
  while (isAlive(record.process)) {
    if (clock.now() > killAt) signalProcess(record.process, 'SIGKILL');
    await sleep(clock, 50, signal);
  }
  rmSync(addressFile(directory), { force: true });
  rmSync(runnerFile(directory), { force: true });
}

/** The runner of the clusters that there are; undefined if there are none. */
function readRunner(directory: string): RunnerChoice | undefined {
  const kept = RunnerChoice.safeParse(jsonOf(readOrEmpty(runnerFile(directory))));
  return kept.success ? kept.data : undefined;
}

function otherRunner(kept: RunnerChoice): CliError {
  const how =
    kept.name === 'process'
      ? 'processes'
      : `containers of ${kept.image}${kept.content.map((path) => ` with ${path}`).join('')}`;
  return new CliError(
    'usage',
    exitCodes.usage,
    `This user's clusters run as ${how}: leave --runner, --image and --content out, end them with \`skep down\`, or name another state directory in SKEP_STATE.`,
  );
}

export const logFile = (directory: string): string => join(directory, 'control-api.log');
const addressFile = (directory: string): string => join(directory, 'control-api.json');
const runnerFile = (directory: string): string => join(directory, 'runner.json');
const tokenFile = (directory: string): string => join(directory, 'admin-token');

function ensureToken(directory: string): string {
  const path = tokenFile(directory);
  const known = readOrEmpty(path).trim();
  if (known !== '') return known;
  const token = newToken();
  writePrivately(path, token);
  return token;
}

/** 256 bits, in hexadecimal digits. */
export function newToken(): string {
  return randomBytes(32).toString('hex');
}

/** Replaces the file as a whole; only its owner can read it, from the first moment on. */
export function writePrivately(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, `${text}\n`, { mode: 0o600 });
  renameSync(draft, path);
}

const lockStaleMs = 60_000;

/** One at a time: of two `skep up` at once, the second finds the first one's daemon. */
async function locked<T>(
  directory: string,
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const path = join(directory, 'starting.lock');
  for (;;) {
    try {
      writeFileSync(path, JSON.stringify(identifyProcess(process.pid)), { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (isAbandoned(path, clock)) rmSync(path, { force: true });
    await sleep(clock, 50, signal);
  }
  try {
    return await work();
  } finally {
    if (existsSync(path)) unlinkSync(path);
  }
}

function isAbandoned(path: string, clock: Clock): boolean {
  const holder = Lock.safeParse(jsonOf(readOrEmpty(path)));
  if (holder.success) return !isAlive(holder.data);
  // Caught between its making and its writing, unless that was long ago.
  const modifiedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
  return clock.wallTime() - modifiedMs > lockStaleMs;
}

const Lock = z.object({ pid: z.int(), startTime: z.string() });

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
