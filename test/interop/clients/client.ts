/** Other people's BitTorrent clients as processes that download, or seed what they find in their directory. */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { connect, createServer } from 'node:net';

export interface ClientJob {
  /** Path of a .torrent, or a magnet link. */
  readonly torrent: string;
  /** Where its content is or goes. */
  readonly directory: string;
  /** Scratch space of the client's own. */
  readonly stateDirectory: string;
  /** Put before the command line, to run it where `host` is. */
  readonly enter: readonly string[];
  /** Address to listen on. */
  readonly host: string;
  readonly port: number;
  /** Node by which to enter the DHT; without it the client runs none. */
  readonly dhtNode?: { readonly host: string; readonly port: number };
}

export interface RunningClient {
  /** Resolves when all content is there and verified; rejects if the client ends before. */
  readonly complete: Promise<void>;
  stop(): Promise<void>;
}

export interface Client {
  readonly name: string;
  /** Whether it makes the files of a torrent that have no bytes. */
  readonly makesEmptyFiles: boolean;
  /** Whether it takes peers from 127.0.0.0/8. */
  readonly takesLoopback: boolean;
  isInstalled(): boolean;
  start(job: ClientJob): Promise<RunningClient>;
}

export function isRunnable(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** Starts a program on the clients' side of the test network. */
export function spawnClient(
  job: ClientJob,
  program: string,
  args: string[],
  stdio: StdioOptions,
): ChildProcess {
  const [command, ...rest] = [...job.enter, program, ...args];
  return spawn(command!, rest, { stdio });
}

/** For clients that cannot choose a port by themselves: one that was free a moment ago. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves once somebody listens there. */
export async function listening(host: string, port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, host);
    const isUp = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (isUp) return;
    await pause(50);
  }
}

/** Kills the process, and waits until it is gone. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
