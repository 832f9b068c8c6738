/**
 * How a container that was there before its machine waits to be told which it is: for a configuration to be put where
 * it looks for one. While it waits, a file beside says so, and since when.
 */
import type { Clock, Files } from '@skep/p2p-core/host';
import { sleep } from './sleep.ts';

const pollMs = 100;
const mostConfigBytes = 1_000_000;

/** Resolves once a whole configuration is there. What an earlier life of the container has left counts for nothing. */
export async function awaitConfig(
  { files, clock }: { files: Files; clock: Clock },
  configPath: string,
): Promise<void> {
  const beside = (name: string) => `${configPath.slice(0, configPath.lastIndexOf('/'))}/${name}`;
  for (const path of [configPath, beside('machine.json')]) await files.remove(path);
  await files.writeAtomic(beside('waiting'), new Uint8Array());
  const never = new AbortController().signal;
  while (!(await isWhole(files, configPath))) await sleep(clock, pollMs, never);
  await files.remove(beside('waiting'));
}

/** Not so before its last byte has been written. */
async function isWhole(files: Files, path: string): Promise<boolean> {
  try {
    JSON.parse(new TextDecoder().decode(await files.read(path, mostConfigBytes)));
    return true;
  } catch {
    return false;
  }
}
