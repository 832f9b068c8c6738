/**
 * `npm run bench [-- NAME [OPTIONS]]`: measurements against peers and limits, as ratios of what was run side by
 * side. No test: figures depend on the machine, so each prints what it was measured beside.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

interface Benchmark {
  readonly what: string;
  readonly options: string;
}

const benchmarks: Readonly<Record<string, Benchmark>> = {
  healing: {
    what: 'how fast a ring of bootstrap nodes notices a death and heals, in virtual time, beside memberlist',
    options:
      '[--members N] [--fault kill|silence|leader|transfer] [--seeds N] [--no-anchors] [--json] | --curve [--hours N]',
  },
  seam: {
    what: '1 GiB file to file over loopback through the Host seam, beside the same without it',
    options: '[--mib N] [--rounds N] [--dir DIR]',
  },
  sim: {
    what: 'how much of a world fits into one process on one core',
    options: '[dht|swarm|all] [--nodes N] [--peers N] [--mib N] [--piece-mib N] [--neighbours N]',
  },
  truth: {
    what: 'small swarms on links that the kernel shapes (root), beside the same in the simulator',
    options: '[--part kernel|shaped|all] [--rounds N]',
  },
  transfer: {
    what: '1 GiB from `skep seed` to `skep get`, beside aria2 and libtorrent',
    options: '[--mib N] [--rounds N] [--dir DIR] [--json]',
  },
};

/** What Node is to be told. The simulator is measured on one core: helpers of the garbage collector would use others. */
const nodeFlags: Record<string, readonly string[]> = {
  sim: [
    '--single-threaded-gc',
    '--max-old-space-size=16384',
    '--min-semi-space-size=1024',
    '--max-semi-space-size=1024',
  ],
};

const [name, ...args] = process.argv.slice(2);
const isKnown = name === undefined || Object.hasOwn(benchmarks, name);
if (!isKnown || args.includes('--help')) {
  console.log('npm run bench [-- NAME [OPTIONS]]   without NAME: all of them\n');
  for (const [each, { what, options }] of Object.entries(benchmarks))
    console.log(`  ${each.padEnd(10)} ${what}\n             ${options}`);
  process.exit(isKnown || name === '--help' || name === '-h' ? 0 : 2);
}

for (const each of name === undefined ? Object.keys(benchmarks) : [name]) {
  console.log(`\n# ${each}: ${benchmarks[each]!.what}`);
  const { status } = spawnSync(
    process.execPath,
    [...(nodeFlags[each] ?? []), join(import.meta.dirname, `${each}.ts`), ...args],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exitCode = 1;
}
