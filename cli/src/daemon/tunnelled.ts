/**
 * The control API of a deployment that a running `skep connect` leads to. What other commands need to speak to it lies
 * in the state directory while that runs, readable by its owner alone.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identifyProcess, isAlive } from '@skep/p2p-core/process-identity';
import * as z from 'zod';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { writePrivately } from './daemon.ts';

export interface TunnelledApi {
  readonly url: string;
  readonly token: string;
  readonly stack: string;
}

const Record = z.object({
  url: z.string(),
  stack: z.string(),
  pid: z.int().min(2),
  startTime: z.string().min(1),
});

/** The one that is there now; undefined if no `skep connect` runs. */
export function readTunnelledApi(stateDirectory: string): TunnelledApi | undefined {
  try {
    const { url, stack, ...identity } = Record.parse(
      JSON.parse(readFileSync(recordFile(stateDirectory), 'utf8')),
    );
    if (!isAlive(identity)) return undefined;
    return { url, stack, token: readFileSync(tunnelTokenFile(stateDirectory), 'utf8').trim() };
  } catch {
    return undefined;
  }
}

/** Tells other commands of it, as this process's. Throws CliError if there is one already. */
export function publishTunnelledApi(stateDirectory: string, { url, token, stack }: TunnelledApi): void {
  const other = readTunnelledApi(stateDirectory);
  if (other !== undefined) {
    throw new CliError(
      'connected',
      exitCodes.refused,
      `A skep connect to the stack ${other.stack} runs already: end that one first.`,
    );
  }
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  writePrivately(tunnelTokenFile(stateDirectory), token);
  writePrivately(recordFile(stateDirectory), JSON.stringify({ url, stack, ...identifyProcess(process.pid) }));
}

export function withdrawTunnelledApi(stateDirectory: string): void {
  rmSync(recordFile(stateDirectory), { force: true });
  rmSync(tunnelTokenFile(stateDirectory), { force: true });
}

export const tunnelTokenFile = (stateDirectory: string): string => join(stateDirectory, 'connection-token');
const recordFile = (stateDirectory: string): string => join(stateDirectory, 'connection.json');
