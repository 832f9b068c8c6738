/**
 * A tunnel to a port of an instance, made by the AWS CLI and its Session Manager plugin: no port of the instance is open
 * for it, and who may open it is a matter of IAM. Programs of the machine, run by name.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export interface TunnelOptions {
  readonly instanceId: string;
  /** Of the instance, on its loopback. */
  readonly remotePort: number;
  /** Of this machine, on its loopback. */
  readonly localPort: number;
  readonly region: string;
  readonly profile?: string | undefined;
}

export interface Tunnel {
  /** Resolves when it has ended, with what was said last. */
  readonly ended: Promise<string>;
  /** Resolves when both programs are gone. */
  close(): Promise<void>;
}

const programs = [
  ['aws', 'the AWS CLI', 'https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'],
  [
    'session-manager-plugin',
    'its Session Manager plugin',
    'https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html',
  ],
] as const;
const mostWords = 2_000;
/** How long the plugin may take to end its session in good order. */
const closeMs = 3_000;

/** Throws CliError that says what to install, if a program that tunnels need is missing. */
export function requireSessionManager(path: string): void {
  for (const [program, name, page] of programs) {
    if (isOnPath(program, path)) continue;
    throw new CliError(
      'missing-program',
      exitCodes.machine,
      `A tunnel needs ${name} (${program}), which is not on the PATH: ${page} says how to install it.`,
    );
  }
}

function isOnPath(program: string, path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Begins one. It carries connections some seconds later, or ends. */
export function openTunnel(options: TunnelOptions): Tunnel {
  // A process group of its own: the AWS CLI passes no signal on to the plugin, which is its child.
  const child = spawn('aws', sessionArguments(options), {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-mostWords);
    });
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', () => resolve(lastLine(words)));
  });
  return {
    ended,
    async close() {
      endGroup(child, 'SIGTERM');
      const timer = setTimeout(() => endGroup(child, 'SIGKILL'), closeMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

function sessionArguments({ instanceId, remotePort, localPort, region, profile }: TunnelOptions): string[] {
  const parameters = { portNumber: [String(remotePort)], localPortNumber: [String(localPort)] };
  return [
    ...['ssm', 'start-session', '--target', instanceId, '--region', region],
    ...['--document-name', 'AWS-StartPortForwardingSession', '--parameters', JSON.stringify(parameters)],
    ...(profile === undefined ? [] : ['--profile', profile]),
  ];
}

function endGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended by itself.
  }
}

function lastLine(words: string): string {
  return words.trim().split('\n').at(-1)?.trim() || 'it said nothing';
}

/** A port of the loopback that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
