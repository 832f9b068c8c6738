/**
 * `npm run soak -- NAME [OPTIONS]`: searches that take as long as they are given. What they find is kept as a
 * test of `npm test`.
 */
import { soakChaos } from './chaos.ts';
import { soakModel } from './model.ts';
import { soakRing } from './ring.ts';
import { soakSim } from './sim.ts';

interface Search {
  readonly what: string;
  readonly options: string;
  /** Resolves with the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const searches: Readonly<Record<string, Search>> = {
  sim: {
    what: 'the whole product in simulation under faults by seed',
    options:
      '[--minutes N] [--count SEEDS] [--from SEED] [--jobs N] [--planted RULE] | --seed SEED [--planted RULE]',
    run: soakSim,
  },
  model: {
    what: "every state of small worlds of the control API's decisions",
    options: '[--world NAME] [--most STATES]',
    run: soakModel,
  },
  ring: {
    what: 'rings of the living in bad weather: nobody is to be called dead',
    options:
      '[--hours NODE-HOURS] [--weather loss|pauses|starved] [--members 5,20,100] [--jobs N] [--from SEED]',
    run: soakRing,
  },
  chaos: {
    what: 'kill, pause and cut off real processes, and measure how they heal',
    options:
      '[--rounds N] [--kind follower|leader|spare|both|majority|api-down|pause5|pause60|zombie|cut] [--jobs CLUSTERS] [--seed SEED]',
    run: soakChaos,
  },
};

function help(): string {
  const lines = Object.entries(searches).map(
    ([name, { what, options }]) => `  ${name.padEnd(10)} ${what}\n             ${options}`,
  );
  return `npm run soak -- NAME [OPTIONS]\n\n${lines.join('\n')}`;
}

const [name = '--help', ...args] = process.argv.slice(2);
const search = Object.hasOwn(searches, name) ? searches[name] : undefined;
if (search === undefined || args.includes('--help')) {
  console.log(help());
  process.exitCode = search === undefined && name !== '--help' && name !== '-h' ? 2 : 0;
} else {
  process.exitCode = await search.run(args);
}
