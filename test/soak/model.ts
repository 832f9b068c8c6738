/** `npm run soak -- model`: the decisions of the control API in larger worlds than `npm test` has time for. */
import { parseArgs } from 'node:util';
import { explore } from '../model/explore.ts';
import { allRules } from '../model/rules.ts';
import { isInstalled, largerElections, searchElections } from '../model/spin.ts';
import { large } from '../model/worlds.ts';
import { withOptions } from './options.ts';

/** Exit codes: 0 nothing is wrong, 1 something is, or a world was left before its end; 2 bad options. */
export async function soakModel(args: readonly string[]): Promise<number> {
  return withOptions(() => readOptions(args), search);
}

interface Options {
  /** Undefined for all of them, and the elections too. */
  readonly world: string | undefined;
  readonly mostStates: number;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { world: { type: 'string' }, most: { type: 'string', default: '3000000' } },
  });
  const { world } = values;
  const mostStates = Number(values.most);
  if (world !== undefined && !Object.hasOwn(large, world))
    throw new Error(`--world takes one of ${Object.keys(large).join(', ')}, not ${world}`);
  if (!(mostStates > 0)) throw new Error(`--most takes a number of states, not "${values.most}"`);
  return { world, mostStates };
}

async function search({ world, mostStates }: Options): Promise<number> {
  let allHold = true;
  for (const name of world === undefined ? Object.keys(large) : [world]) {
    const beganMs = performance.now();
    const { states, steps, depth, complete, found } = explore(large[name]!, allRules, mostStates);
    const seconds = Math.round((performance.now() - beganMs) / 1_000);
    const left = complete || found !== undefined ? '' : ', left before its end';
    console.log(
      `${name}: ${states} states, ${steps} steps, at most ${depth} from the start, ${seconds} s${left}`,
    );
    if (found !== undefined) {
      console.log(`  ${found.invariant}: ${found.detail}`);
      for (const label of found.way) console.log(`    ${label}`);
    }
    allHold &&= complete && found === undefined;
  }
  return (world !== undefined || (await elect())) && allHold ? 0 : 1;
}

/** What the decisions do not show: who may be elected at all. */
async function elect(): Promise<boolean> {
  if (!isInstalled()) {
    console.log('elections: left out, since they need spin and gcc: install both');
    return true;
  }
  let allHold = true;
  for (const [name, definitions] of Object.entries(largerElections)) {
    const { states, violated } = await searchElections(definitions);
    console.log(`${name}: ${states} states${violated === undefined ? '' : `, violated: ${violated}`}`);
    allHold &&= violated === undefined;
  }
  return allHold;
}
