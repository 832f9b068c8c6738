/**
 * `npm run soak -- ring`: rings in which nobody dies, in bad weather, for as many node-hours as are asked for. Every
 * verdict is false, and a living member that a leader asks to have replaced is one too many.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { FalseVerdicts, LongRunOptions } from '../../p2p-core/src/ring/testing/long-run.ts';
import { withOptions } from './options.ts';
import { Ended, inProcesses } from './pool.ts';

type Weather = Pick<LongRunOptions, 'loss' | 'pauses' | 'starved'>;

const minuteMs = 60_000;
const weathers: Readonly<Record<string, Weather>> = {
  loss: { loss: 0.1 },
  pauses: { loss: 0.3, pauses: { everyMs: minuteMs, forMs: 5_000 } },
  starved: { loss: 0.1, starved: 1 },
};
const program = join(import.meta.dirname, 'living-rings.ts');
/** Node-hours of one world, and so of one seed. */
const worldHours = 50;
const progressMs = 60_000;

interface Options {
  readonly hours: number;
  readonly members: readonly number[];
  readonly weathers: readonly string[];
  readonly jobs: number;
  readonly from: number;
}

interface Totals {
  worlds: number;
  nodeHours: number;
  suspicions: number;
  verdicts: number;
  replacements: number;
  elections: number;
}

/** Exit codes: 0 nobody was to be replaced, 1 somebody was, 2 the options make no sense. */
export async function soakRing(args: readonly string[]): Promise<number> {
  return withOptions(() => readOptions(args), search);
}

async function search(options: Options): Promise<number> {
  let replacements = 0;
  for (const name of options.weathers) replacements += await endure(name, options);
  return replacements > 0 ? 1 : 0;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      hours: { type: 'string', default: '1000' },
      members: { type: 'string', default: '5,20,100' },
      weather: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      from: { type: 'string', default: '1' },
    },
  });
  const names = Object.keys(weathers);
  const { weather } = values;
  if (weather !== undefined && !names.includes(weather))
    throw new Error(`--weather takes one of ${names.join(', ')}, not ${weather}`);
  return {
    hours: numberOf('hours', values.hours),
    members: values.members.split(',').map((text) => numberOf('members', text)),
    weathers: weather === undefined ? names : [weather],
    jobs: numberOf('jobs', values.jobs),
    from: numberOf('from', values.from),
  };
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (!(Number.isInteger(number) && number >= 1))
    throw new Error(`--${name} takes a number from 1, not "${text}"`);
  return number;
}

/** Gives how many of the living were to be replaced. */
async function endure(name: string, { hours, members, jobs, from }: Options): Promise<number> {
  const rows = new Map(members.map((size) => [size, nothing()]));
  let seed = from;
  let toldMs = performance.now();
  const next = (): LongRunOptions | undefined => {
    if ((seed - from) * worldHours >= hours) return undefined;
    const size = members[(seed - from) % members.length]!;
    return { ...weathers[name], members: size, nodeHours: worldHours, seed: seed++ };
  };
  await inProcesses<LongRunOptions, FalseVerdicts>(program, jobs, next, (asked, told) => {
    if (told instanceof Ended) throw new Error(`${name}, seed ${asked.seed}: ${told.message}`);
    add(rows.get(asked.members)!, told);
    if (told.verdicts > 0) {
      const when = `${told.verdicts} verdicts, the first at ${told.firstVerdictMs} ms`;
      console.log(
        `  ${name}, ${asked.members} members, seed ${asked.seed}: ${when}, ${told.replacements} asked for`,
      );
    }
    if (performance.now() - toldMs < progressMs) return;
    toldMs = performance.now();
    console.log(`  ${name}: ${describe(sum([...rows.values()]))} so far`);
  });
  for (const [size, row] of rows) console.log(`${name}, ${size} members: ${describe(row)}`);
  const all = sum([...rows.values()]);
  console.log(`${name}: ${describe(all)}`);
  return all.replacements;
}

function nothing(): Totals {
  return { worlds: 0, nodeHours: 0, suspicions: 0, verdicts: 0, replacements: 0, elections: 0 };
}

function add(
  totals: Totals,
  told: Omit<FalseVerdicts, 'firstVerdictMs'> & { readonly worlds?: number },
): void {
  totals.worlds += told.worlds ?? 1;
  totals.nodeHours += told.nodeHours;
  totals.suspicions += told.suspicions;
  totals.verdicts += told.verdicts;
  totals.replacements += told.replacements;
  totals.elections += told.elections;
}

function sum(rows: readonly Totals[]): Totals {
  const all = nothing();
  for (const row of rows) add(all, row);
  return all;
}

function describe({ worlds, nodeHours, suspicions, verdicts, replacements, elections }: Totals): string {
  const hours = `${Math.round(nodeHours)} node-hours in ${worlds} worlds`;
  return `${hours}: ${replacements} replacements of the living asked for, ${verdicts} verdicts, ${suspicions} suspicions, ${elections} changes of the leader`;
}
