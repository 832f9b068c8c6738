/**
 * `npm run bench [-- NAME [ARGS…]]`: measurements against peers and limits, as ratios of what was run side by
 * side. No test: figures depend on the machine, so each prints what it was measured beside.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const benchmarks: Record<string, string> = {
  healing: 'how fast a ring of bootstrap nodes notices a death and heals, in virtual time, beside memberlist',
  seam: '1 GiB file to file over loopback through the Host seam, beside the same without it',
  sim: 'how much of a world fits into one process on one core (parts: dht, swarm, all)',
  truth: 'small swarms on links that the kernel shapes (root), beside the same in the simulator',
  transfer: '1 GiB from `skep seed` to `skep get`, beside aria2 and libtorrent',
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
if (name === '--help' || name === '-h' || (name !== undefined && !(name in benchmarks))) {
  console.log('npm run bench [-- NAME [ARGS…]]   without NAME: all of them\n');
  for (const [each, what] of Object.entries(benchmarks)) console.log(`  ${each.padEnd(10)} ${what}`);
  process.exit(name?.startsWith('-') ? 0 : 2);
}

for (const each of name === undefined ? Object.keys(benchmarks) : [name]) {
  console.log(`\n# ${each}: ${benchmarks[each]}`);
  const { status } = spawnSync(
    process.execPath,
    [...(nodeFlags[each] ?? []), join(import.meta.dirname, `${each}.ts`), ...args],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exitCode = 1;
}
