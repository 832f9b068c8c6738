/**
 * An emulator of AWS as a process of its own, on a free port of this machine. Tests talk to it as the product talks to
 * AWS: through the SDK, told by `environment` where to find it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Emulator {
  /** `http://127.0.0.1:<port>`: never localhost, which the SDK and containers may take for ::1. */
  readonly url: string;
  readonly port: number;
  /** Variables by which any AWS SDK or CLI finds the emulator: endpoint, region, credentials that it takes. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends the process, and waits until it is gone. Harmless when repeated. */
  stop(): Promise<void>;
}

export interface Program {
  /** Name of the command that `install-emulators` installs. */
  readonly command: string;
  readonly arguments: (host: string, port: number) => readonly string[];
  readonly environment: (host: string, port: number) => Readonly<Record<string, string>>;
  /** Answers 200 once the emulator serves. */
  readonly healthPath: string;
}

export const emulatorRegion = 'eu-central-1';

const patienceMs = 120_000;
const pollMs = 50;
/** Of what the emulator said last; told if it does not come up. */
const keptCharacters = 8_000;
const loopback = '127.0.0.1';

function pathOf(command: string): string {
  return join(import.meta.dirname, '.emulators', 'bin', command);
}

/** Whether `install-emulators` was run. */
export function isInstalled(command: string): boolean {
  return existsSync(join(import.meta.dirname, '.emulators', 'installed.txt')) && existsSync(pathOf(command));
}

/**
 * Starts an emulator and waits until it serves. `listenHost` is the address that it binds: 127.0.0.1, or 0.0.0.0 where
 * containers are to reach it. It dies with this process, however that ends.
 */
export async function startEmulator(
  program: Program,
  listenHost: string = loopback,
  extraEnvironment: Readonly<Record<string, string>> = {},
): Promise<Emulator> {
  if (!isInstalled(program.command)) {
    throw new Error(`run test/aws/install-emulators: ${program.command} is missing`);
  }
  const port = await freePort();
  const environment = {
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: emulatorRegion,
    AWS_DEFAULT_REGION: emulatorRegion,
  };
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', '--', pathOf(program.command), ...program.arguments(listenHost, port)],
    {
      env: { ...process.env, ...environment, ...program.environment(listenHost, port), ...extraEnvironment },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      said = (said + data).slice(-keptCharacters);
    });
  }
  const url = `http://${loopback}:${port}`;
  try {
    await serves(child, `${url}${program.healthPath}`);
  } catch (error) {
    await end(child);
    throw new Error(`${program.command} does not come up: ${said}`, { cause: error });
  }
  return { url, port, environment: { ...environment, AWS_ENDPOINT_URL: url }, stop: () => end(child) };
}

async function serves(child: ChildProcess, url: string): Promise<void> {
  const dueMs = performance.now() + patienceMs;
  for (;;) {
    if (hasEnded(child)) throw new Error(`it ended (${child.exitCode ?? child.signalCode})`);
    if (performance.now() > dueMs) throw new Error(`no answer from ${url} within ${patienceMs} ms`);
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(pollMs);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

/** One that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, loopback);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
