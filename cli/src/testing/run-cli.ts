/** Runs the real command as a child process, for tests of what a user sees. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves with the next line of standard output; rejects if it ends first. */
  line(): Promise<string>;
  readonly finished: Promise<Finished>;
}

const shim = fileURLToPath(new URL('../../bin/skep.js', import.meta.url));

/** `state` is the directory of what the command remembers: a test must not touch the user's. */
export function startCli(args: readonly string[], state: string, env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [shim, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', SKEP_STATE: state, SKEP_TOKEN: '', SKEP_DEBUG: '', ...env },
  });
  let stdout = '';
  let stderr = '';
  let taken = 0;
  let wake = () => {};
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
    wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    finished,
    line: () =>
      new Promise((resolve, reject) => {
        const look = () => {
          const end = stdout.indexOf('\n', taken);
          if (end < 0) return;
          resolve(stdout.slice(taken, end));
          taken = end + 1;
        };
        wake = look;
        look();
        void finished.then(() => reject(new Error(`it ended without a further line: ${stderr}`)));
      }),
  };
}

export function runCli(
  args: readonly string[],
  state: string,
  env?: Record<string, string>,
): Promise<Finished> {
  return startCli(args, state, env).finished;
}
