/** `npm run soak -- sim`: seeds of the whole product in simulation, as many as fit, or one of them told in full. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allPlanted, type Planted } from '@skep/sim';
import { withOptions } from './options.ts';
import { Ended, inProcesses } from './pool.ts';
import { outcomeOf, type SeedAsk, type SeedOutcome } from './seeds.ts';

const seedsPath = join(import.meta.dirname, 'seeds.ts');
const foundPath = join(import.meta.dirname, '../simulation/found-seeds.json');
/** `npm test` runs the seeds below this one. */
const firstUntested = 201;
const progressMs = 60_000;

/** Exit codes: 0 nothing is violated, 1 something is, 2 the options make no sense. */
export async function soakSim(args: readonly string[]): Promise<number> {
  return withOptions(
    () => readOptions(args),
    (options) => (options.seed === undefined ? search(options) : replay(options.seed, options.planted)),
  );
}

interface Options {
  readonly minutes: number;
  /** No more seeds than this. */
  readonly count: number;
  readonly from: number;
  /** Processes at once. */
  readonly jobs: number;
  readonly seed: number | undefined;
  readonly planted: Planted | undefined;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      count: { type: 'string' },
      from: { type: 'string', default: String(firstUntested) },
      jobs: { type: 'string', default: '1' },
      seed: { type: 'string' },
      planted: { type: 'string' },
    },
  });
  const planted = allPlanted.find((name) => name === values.planted);
  if (planted === undefined && values.planted !== undefined) {
    throw new Error(`--planted takes one of ${allPlanted.join(', ')}, not ${values.planted}`);
  }
  const { minutes, count, jobs } = values;
  const usualMinutes = count === undefined ? 10 : Number.POSITIVE_INFINITY;
  return {
    minutes: minutes === undefined ? usualMinutes : numberOf('minutes', minutes),
    count: count === undefined ? Number.POSITIVE_INFINITY : numberOf('count', count),
    from: numberOf('from', values.from),
    jobs: Math.max(1, Math.floor(numberOf('jobs', jobs))),
    seed: values.seed === undefined ? undefined : numberOf('seed', values.seed),
    planted,
  };
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0)) throw new Error(`--${name} takes a number, not "${text}"`);
  return number;
}

type Violations = SeedOutcome['violations'];

/** With a rule switched off the seeds that find it are counted, and none is kept. */
async function search(options: Options): Promise<number> {
  const { minutes, count, from, jobs, planted } = options;
  const endMs = performance.now() + minutes * 60_000;
  let toldMs = performance.now();
  const failed: number[] = [];
  let seed = from;
  let done = 0;
  const next = (): SeedAsk | undefined =>
    seed - from < count && performance.now() < endMs ? { seed: seed++, planted } : undefined;
  const judge = ({ seed: judged }: SeedAsk, told: Violations | Ended) => {
    done += 1;
    // A seed that ends the process has violated something too.
    const violations =
      told instanceof Ended ? [{ invariant: 'nothing is thrown', atMs: 0, detail: told.message }] : told;
    if (violations.length > 0) {
      failed.push(judged);
      for (const { invariant, atMs, detail } of violations) {
        console.log(`seed ${judged}: ${invariant}, at ${Math.round(atMs)} ms: ${detail}`);
      }
      const off = planted === undefined ? '' : ` --planted ${planted}`;
      console.log(`  replay: npm run soak -- sim --seed ${judged}${off}`);
    }
    if (performance.now() - toldMs < progressMs) return;
    toldMs = performance.now();
    console.log(`${done} seeds so far, ${failed.length} with violations`);
  };
  await inProcesses(seedsPath, jobs, next, judge);
  console.log(`${done} seeds from ${from}, ${failed.length} with violations`);
  if (failed.length > 0 && planted === undefined) keep(failed);
  return failed.length > 0 ? 1 : 0;
}

async function replay(seed: number, planted: Planted | undefined): Promise<number> {
  const { story, violations, hash, virtualMs } = await outcomeOf({ seed, planted });
  for (const line of story) console.log(line);
  for (const { detail } of story.length === 0 ? violations : []) console.log(detail);
  console.log(`seed ${seed}: ${violations.length} violations in ${Math.round(virtualMs)} ms, trace ${hash}`);
  return violations.length > 0 ? 1 : 0;
}

/** `npm test` runs them from now on. */
function keep(failed: readonly number[]): void {
  const known = JSON.parse(readFileSync(foundPath, 'utf8')) as number[];
  const all = [...new Set([...known, ...failed])].sort((one, other) => one - other);
  writeFileSync(foundPath, `[${all.join(', ')}]\n`);
  console.log(`kept in ${foundPath}: commit it with the fix`);
}
