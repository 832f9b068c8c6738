/** `npm run soak -- sim`: seeds of the whole product in simulation, as many as fit, or one of them told in full. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allPlanted, type Planted, runSafety, type SafetyResult } from '@skep/sim';

const foundPath = join(import.meta.dirname, '../simulation/found-seeds.json');
/** `npm test` runs the seeds below this one. */
const firstUntested = 201;
const progressMs = 60_000;

/** Exit codes: 0 nothing is violated, 1 something is, 2 the options make no sense. */
export async function soakSim(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run soak -- --help`);
    return 2;
  }
  return options.seed === undefined ? search(options) : replay(options.seed, options.planted);
}

interface Options {
  readonly minutes: number;
  readonly from: number;
  readonly seed: number | undefined;
  readonly planted: Planted | undefined;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      from: { type: 'string', default: String(firstUntested) },
      seed: { type: 'string' },
      planted: { type: 'string' },
    },
  });
  const planted = allPlanted.find((name) => name === values.planted);
  if (planted === undefined && values.planted !== undefined) {
    throw new Error(`--planted takes one of ${allPlanted.join(', ')}, not ${values.planted}`);
  }
  return {
    minutes: numberOf('minutes', values.minutes),
    from: numberOf('from', values.from),
    seed: values.seed === undefined ? undefined : numberOf('seed', values.seed),
    planted,
  };
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0)) throw new Error(`--${name} takes a number, not "${text}"`);
  return number;
}

/** With a rule switched off the seeds that find it are counted, and none is kept. */
async function search({ minutes, from, planted }: Options): Promise<number> {
  const endMs = performance.now() + minutes * 60_000;
  let toldMs = performance.now();
  const failed: number[] = [];
  let seed = from;
  for (; performance.now() < endMs; seed++) {
    const { violations } = await outcome(seed, planted);
    if (performance.now() - toldMs >= progressMs) {
      toldMs = performance.now();
      console.log(`${seed + 1 - from} seeds so far, ${failed.length} with violations`);
    }
    if (violations.length === 0) continue;
    failed.push(seed);
    for (const { invariant, atMs, detail } of violations) {
      console.log(`seed ${seed}: ${invariant}, at ${Math.round(atMs)} ms: ${detail}`);
    }
    const off = planted === undefined ? '' : ` --planted ${planted}`;
    console.log(`  replay: npm run soak -- sim --seed ${seed}${off}`);
  }
  console.log(`${seed - from} seeds from ${from}, ${failed.length} with violations`);
  if (failed.length > 0 && planted === undefined) keep(failed);
  return failed.length > 0 ? 1 : 0;
}

async function replay(seed: number, planted: Planted | undefined): Promise<number> {
  const { story, violations, hash, virtualMs } = await outcome(seed, planted);
  for (const line of story) console.log(line);
  for (const { detail } of story.length === 0 ? violations : []) console.log(detail);
  console.log(`seed ${seed}: ${violations.length} violations in ${Math.round(virtualMs)} ms, trace ${hash}`);
  return violations.length > 0 ? 1 : 0;
}

/** A run that throws has violated something too: no part may throw past its host. */
async function outcome(
  seed: number,
  planted: Planted | undefined,
): Promise<Pick<SafetyResult, 'story' | 'violations' | 'hash' | 'virtualMs'>> {
  try {
    return await runSafety(seed, planted === undefined ? {} : { planted });
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return {
      story: [],
      violations: [{ invariant: 'nothing is thrown', atMs: 0, detail }],
      hash: '',
      virtualMs: 0,
    };
  }
}

/** `npm test` runs them from now on. */
function keep(failed: readonly number[]): void {
  const known = JSON.parse(readFileSync(foundPath, 'utf8')) as number[];
  const all = [...new Set([...known, ...failed])].sort((one, other) => one - other);
  writeFileSync(foundPath, `${JSON.stringify(all)}\n`);
  console.log(`kept in ${foundPath}: commit it with the fix`);
}
