/**
 * How much of a world fits into one process on one core: the scale that the simulator is held to. Figures are
 * by processor time, which hardly depends on what else the machine does; caches that others use do cost.
 *
 * A block lives for seconds of virtual time in queues: with a young generation of V8's usual size most of a swarm's
 * objects are moved to the old one and become garbage there, which costs a third more.
 *
 * `node --single-threaded-gc bench/sim.ts [dht|swarm|all] [--nodes N] [--peers N] [--mib N] [--piece-mib N] [--neighbours N]`
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
    'piece-mib': { type: 'string' },
    neighbours: { type: 'string', default: '50' },
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
  const pieceMib = values['piece-mib'];
  await benchmarkSwarm({
    peers: Number(values.peers),
    bytes: Number(values.mib) * 2 ** 20,
    pieceBytes: pieceMib === undefined ? undefined : Number(pieceMib) * 2 ** 20,
    neighbours: Number(values.neighbours),
    onProgress: (line) => console.error(line),
  });
}
