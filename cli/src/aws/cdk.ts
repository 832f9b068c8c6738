/**
 * The CDK CLI as a process: the one that npm installed beside Skep, run by its path and never fetched. It leads its own
 * process group, so that a Ctrl-C in the terminal reaches this command alone, which then ends it.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export interface CdkOptions {
  /** Values of `--context`: what the app is told. */
  readonly context: Readonly<Record<string, string>>;
  readonly region: string;
  readonly profile?: string | undefined;
  /** Everything that it says; made anew. */
  readonly logFile: string;
  readonly onLine: (line: string) => void;
  /** Ends it: what CloudFormation was asked goes on. */
  readonly signal: AbortSignal;
}

export interface CdkEnd {
  readonly exitCode: number | null;
  /** What it wrote to standard error, the end of it. */
  readonly complaint: string;
}

/** The folder with cdk.json. */
const appDirectory = fileURLToPath(new URL('../../../', import.meta.url));
const mostComplaint = 20_000;

/** Runs `cdk WORDS…` to its end. Rejects with CliError if it is not installed. */
export async function runCdk(words: readonly string[], options: CdkOptions): Promise<CdkEnd> {
  options.signal.throwIfAborted();
  mkdirSync(dirname(options.logFile), { recursive: true, mode: 0o700 });
  const log = openSync(options.logFile, 'w', 0o600);
  // Not in the app's own folder, where another command may be at it, and where this user may not write.
  const assembly = mkdtempSync(join(tmpdir(), 'skep-assembly-'));
  try {
    const told = [...words, ...flagsOf(options), '--output', assembly];
    const child = spawn(process.execPath, [program(), ...told], {
      cwd: appDirectory,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(options),
    });
    const end = () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    };
    options.signal.addEventListener('abort', end, { once: true });
    let complaint = '';
    createInterface(child.stdout).on('line', (line) => {
      writeSync(log, `${line}\n`);
      options.onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      writeSync(log, text);
      complaint = (complaint + text).slice(-mostComplaint);
    });
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    options.signal.removeEventListener('abort', end);
    return { exitCode, complaint };
  } finally {
    closeSync(log);
    rmSync(assembly, { recursive: true, force: true });
  }
}

function flagsOf({ context, profile }: CdkOptions): string[] {
  return [
    ...['--ci', '--no-color', '--no-notices'],
    ...Object.entries(context).flatMap(([name, value]) => ['--context', `${name}=${value}`]),
    ...(profile === undefined ? [] : ['--profile', profile]),
  ];
}

/** The app of cdk.json is run by `node`: that must be this one, whichever the system has. */
function environment({ region }: CdkOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    CDK_DISABLE_CLI_TELEMETRY: 'true',
  };
}

function program(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('aws-cdk/package.json')), 'bin', 'cdk');
  } catch (cause) {
    throw new CliError(
      'no-cdk',
      exitCodes.machine,
      'The CDK CLI (aws-cdk) is not installed beside Skep: run `npm ci` in its folder.',
      { cause },
    );
  }
}
