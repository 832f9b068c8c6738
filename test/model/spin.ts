/** Has spin search `election.pml` to the end, with the given definitions. Needs spin and a C compiler. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const model = join(import.meta.dirname, 'election.pml');
const longestWay = 1_000_000;

export interface Searched {
  readonly states: number;
  /** The assertion that was found violated, as spin has it; undefined if none is. */
  readonly violated: string | undefined;
}

/** What is there to search, each as definitions: what `npm test` has time for, and the larger ones. */
export const elections: Readonly<Record<string, readonly string[]>> = {
  'three voters, crashes and replacements': ['TERMS=2', 'CRASHES=1', 'REPLACED=2'],
  'a ring that grows, a new voter against an old one': ['GROWS', 'TERMS=1'],
};

export const largerElections: Readonly<Record<string, readonly string[]>> = {
  ...elections,
  'three voters in three terms': ['TERMS=3', 'CRASHES=1', 'REPLACED=1'],
  'a ring that grows, two old voters': ['GROWS', 'TERMS=1', 'OLD_RIVAL'],
};

export function isInstalled(): boolean {
  return [['spin', '-V'] as const, ['gcc', '--version'] as const].every(
    ([command, version]) => spawnSync(command, [version], { stdio: 'ignore' }).status === 0,
  );
}

/**
 * Rejects if the search could not be made, or did not come to its end though nothing was found. `soon`: something
 * will be found after few states, so that compiling well does not pay.
 */
export async function searchElections(definitions: readonly string[], soon = false): Promise<Searched> {
  const directory = await mkdtemp(join(tmpdir(), 'skep-spin-'));
  const options = { cwd: directory, maxBuffer: 1 << 26 };
  try {
    await run('spin', ['-a', ...definitions.map((definition) => `-D${definition}`), model], options);
    await run(
      'gcc',
      [soon ? '-O0' : '-O2', '-w', '-DSAFETY', '-DMEMLIM=8000', '-o', 'search', 'pan.c'],
      options,
    );
    // Without -E a state in which nothing can happen would count as wrong: here it is only a quiet one.
    const { stdout } = await run('./search', ['-E', `-m${longestWay}`], options);
    const states = Number(/(\d+) states, stored/.exec(stdout)?.[1]);
    const violated = /assertion violated (.*) \(at depth/.exec(stdout)?.[1];
    const isWhole =
      /errors: 0/.test(stdout) && !/Search not completed|max search depth too small/.test(stdout);
    if (violated === undefined && !isWhole) throw new Error(`the search did not end:\n${stdout}`);
    return { states, violated };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
