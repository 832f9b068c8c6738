/**
 * How much of a world fits into one process on one core: the scale that the simulator is held to. Figures are
 * by processor time, which hardly depends on what else the machine does; caches that others use do cost.
 *
 * `node --single-threaded-gc bench/sim.ts [dht|swarm|all] [--nodes N] [--peers N] [--mib N]`
 */
import { parseArgs } from 'node:util';
import { benchmarkDht } from './sim/dht.ts';
import { benchmarkSwarm } from './sim/swarm.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    nodes: { type: 'string', default: '10000' },
    peers: { type: 'string', default: '1000' },
    mib: { type: 'string', default: '1024' },
  },
});
const [part = 'all'] = positionals;
if (!['dht', 'swarm', 'all'].includes(part)) {
  console.error(`There is no part ${part}. Choose dht, swarm or all.`);
  process.exit(2);
}
if (part !== 'swarm') {
  console.log(`\n## dht: ${values.nodes} nodes on the real DHT code`);
  await benchmarkDht({ nodes: Number(values.nodes) });
}
if (part !== 'dht') {
  console.log(
    `\n## swarm: ${values.peers} leeches and one seed of ${values.mib} MiB on the real torrent code`,
  );
  await benchmarkSwarm({ peers: Number(values.peers), bytes: Number(values.mib) * 2 ** 20 });
}
