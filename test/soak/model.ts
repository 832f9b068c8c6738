/** `npm run soak -- model`: the decisions of the control API in larger worlds than `npm test` has time for. */
import { parseArgs } from 'node:util';
import { explore } from '../model/explore.ts';
import { allRules } from '../model/rules.ts';
import { isInstalled, largerElections, searchElections } from '../model/spin.ts';
import { large } from '../model/worlds.ts';

/** Exit codes: 0 nothing is wrong, 1 something is, or a world was left before its end; 2 bad options. */
export async function soakModel(args: readonly string[]): Promise<number> {
  let names: readonly string[];
  let mostStates: number;
  let isOne: boolean;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { world: { type: 'string' }, most: { type: 'string', default: '3000000' } },
    });
    isOne = values.world !== undefined;
    names = values.world === undefined ? Object.keys(large) : [values.world];
    mostStates = Number(values.most);
    const unknown = names.find((name) => !Object.hasOwn(large, name));
    if (unknown !== undefined) {
      throw new Error(`--world takes one of ${Object.keys(large).join(', ')}, not ${unknown}`);
    }
    if (!(mostStates > 0)) throw new Error(`--most takes a number of states, not "${values.most}"`);
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run soak -- --help`);
    return 2;
  }
  let allHold = true;
  for (const name of names) {
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
  return (isOne || (await elect())) && allHold ? 0 : 1;
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
