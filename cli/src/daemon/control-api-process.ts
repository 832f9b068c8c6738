/**
 * The control API as a process of its own. It leads its own process group, so that a Ctrl-C in the terminal
 * reaches only the command, which then ends it in good order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export interface ControlApiLaunch {
  readonly stateDirectory: string;
  /** 0 asks for a free port. */
  readonly port: number;
  readonly adminTokenFile: string;
  /** Read-only token, fit to stand in an address that is shown. */
  readonly viewerTokenFile?: string;
  /** Standard error and all further output. */
  readonly logFile: string;
  /** When its standard input ends it deletes the ephemeral clusters and ends. */
  readonly exitWithParent: boolean;
  /** Which runner its machines live in, and what it must know of it. */
  readonly runner: Readonly<Record<string, string>>;
  /** What the last orphaned agent of an ephemeral cluster removes, should everybody else be killed. */
  readonly ephemeralRoot?: string;
}

export interface ControlApiProcess {
  readonly pid: number;
  readonly url: string;
  readonly child: ChildProcess;
}

const Ready = z.object({ url: z.url({ protocol: /^https?$/ }) });

const readyMs = 20_000;
const longestReadyLine = 65_536;

/** Starts it and resolves when it serves. Rejects with CliError, the process gone then. */
export async function startControlApi(launch: ControlApiLaunch): Promise<ControlApiProcess> {
  const log = openSync(launch.logFile, 'a', 0o600);
  const main = fileURLToPath(import.meta.resolve('@skep/control-api/main'));
  const child = spawn(process.execPath, [main], {
    detached: true,
    stdio: [launch.exitWithParent ? 'pipe' : 'ignore', 'pipe', log],
    env: { ...process.env, ...environmentOf(launch) },
  });
  closeSync(log);
  // A write to a process that has died is no error of ours: its exit is what counts.
  child.stdin?.on('error', () => undefined);
  try {
    const { url } = await readyLine(child, launch);
    return { pid: child.pid ?? 0, url, child };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    if (!launch.exitWithParent) {
      child.stdout?.destroy();
      child.unref();
    }
  }
}

function environmentOf(launch: ControlApiLaunch): Record<string, string> {
  return {
    SKEP_STATE_DIRECTORY: launch.stateDirectory,
    SKEP_LISTEN: `127.0.0.1:${launch.port}`,
    SKEP_ADMIN_TOKEN_FILE: launch.adminTokenFile,
    ...launch.runner,
    ...(launch.viewerTokenFile === undefined ? {} : { SKEP_VIEWER_TOKEN_FILE: launch.viewerTokenFile }),
    ...(launch.ephemeralRoot === undefined ? {} : { SKEP_EPHEMERAL_ROOT: launch.ephemeralRoot }),
    SKEP_EXIT_WITH_PARENT: launch.exitWithParent ? '1' : '0',
  };
}

/** The last line of a log, without its time. */
function lastWords(logFile: string): string {
  const line = readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  return line.slice(line.indexOf(' ') + 1).replace(/\.$/, '');
}

/** The one line of JSON by which it says that it serves. */
function readyLine(child: ChildProcess, { logFile }: ControlApiLaunch): Promise<z.infer<typeof Ready>> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = (what: string, status: ExitCode = exitCodes.failed) => {
      clearTimeout(timer);
      reject(new CliError('control-api', status, `The control API ${what}: its log is ${logFile}.`));
    };
    const ended = (code: number | null, signal: string | null) =>
      code === exitCodes.machine
        ? fail(`could not start, ${lastWords(logFile)}`, exitCodes.machine)
        : fail(`ended as it started (${signal ?? `status ${code}`})`);
    const timer = setTimeout(() => fail(`did not say within ${readyMs / 1000} s that it serves`), readyMs);
    child.once('error', (error) => fail(`could not be started (${error.message})`));
    child.once('exit', ended);
    const onData = (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0 && text.length < longestReadyLine) return;
      child.stdout?.off('data', onData).resume();
      const ready = Ready.safeParse(jsonOf(text.slice(0, end)));
      if (!ready.success) return fail('said something that is not its address');
      clearTimeout(timer);
      resolve({ url: ready.data.url.replace(/\/+$/, '') });
    };
    child.stdout?.setEncoding('utf8').on('data', onData);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
