/**
 * Does the simulator tell the truth? The same swarms by real processes and in the simulator, median and last
 * completion beside each other: on links that the kernel shapes, and under ShapedHost.
 */
import { parseArgs } from 'node:util';
import { compareWithKernel } from './truth/kernel.ts';
import { compareWithProcesses } from './truth/shaped.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, part: { type: 'string', default: 'all' } },
});
const rounds = Number(values.rounds);
if (!(rounds >= 1) || !['all', 'kernel', 'shaped'].includes(values.part)) {
  console.error('npm run bench -- truth [--part kernel|shaped|all] [--rounds N]');
  process.exit(2);
}
if (values.part !== 'shaped') await compareWithKernel(rounds);
if (values.part !== 'kernel') compareWithProcesses(rounds);
