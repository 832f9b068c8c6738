/**
 * Small swarms of real processes on links that the kernel shapes (network namespaces, tbf, a delaying relay),
 * and the same in the simulator. Takes root, iproute2, python3 and, for libtorrent, python3-libtorrent.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { minimumDistributionMs } from '@skep/control-api/experiments';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import { median, writeRandomFile } from '../measure.ts';
import { openLab } from './lab.ts';
import { type Client, runSwarm } from './peers.ts';
import { simulateSwarm } from './simulated.ts';

const lengthBytes = 64 * 2 ** 20;
const upBytesPerSecond = 20e6 / 8;
const downBytesPerSecond = 4 * upBytesPerSecond;
const delayMs = 25;

const swarms: readonly { readonly seed: Client; readonly leech: Client; readonly leeches: number }[] = [
  { seed: 'skep', leech: 'skep', leeches: 1 },
  { seed: 'skep', leech: 'skep', leeches: 4 },
  { seed: 'libtorrent', leech: 'skep', leeches: 1 },
  { seed: 'libtorrent', leech: 'skep', leeches: 4 },
  { seed: 'libtorrent', leech: 'libtorrent', leeches: 1 },
  { seed: 'libtorrent', leech: 'libtorrent-1s', leeches: 1 },
  { seed: 'libtorrent', leech: 'libtorrent-1s', leeches: 4 },
  { seed: 'libtorrent', leech: 'libtorrent', leeches: 4 },
];

/** No swarm can finish earlier. */
function boundSeconds(leeches: number): number {
  const rates = { upBytesPerSecond, downBytesPerSecond };
  const swarm = {
    seedUpBytesPerSecond: upBytesPerSecond,
    leeches: Array.from({ length: leeches }, () => rates),
  };
  return minimumDistributionMs(lengthBytes, swarm)! / 1_000;
}

/** Prints a line a swarm: medians over the rounds. */
export async function compareWithKernel(rounds: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'skep-truth-'));
  try {
    await compare(directory, rounds);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(directory: string, rounds: number): Promise<void> {
  mkdirSync(join(directory, 'content'));
  const contentPath = join(directory, 'content', 'content.bin');
  writeRandomFile(contentPath, lengthBytes);
  const host = createNodeHost({ workers: 1 });
  const metainfo = await createMetainfo(host, contentPath);
  await host.close();
  const torrentPath = join(directory, 'content.torrent');
  writeFileSync(torrentPath, encodeMetainfo(metainfo));
  const content = new Uint8Array(readFileSync(contentPath));

  console.log('kernel: 64 MiB, 20 Mbit/s up, 80 down, 25 ms one way; seconds');
  console.log(
    'seed        leeches             bound   real: median   last   simulated: median   last   simulated/real',
  );
  for (const { seed, leech, leeches } of swarms) {
    const clients: Client[] = [seed, ...Array.from({ length: leeches }, () => leech)];
    const real: number[][] = [];
    const simulated: number[][] = [];
    for (let round = 1; round <= rounds; round++) {
      real.push(await inLab(clients, { directory, contentPath, torrentPath }));
      const swarm = {
        seed: round,
        metainfo,
        content,
        leeches,
        suggest: seed === 'skep',
        upBytesPerSecond,
        downBytesPerSecond,
        delayMs,
      };
      simulated.push(await simulateSwarm(swarm));
    }
    const [realMedian, realLast] = [median(real.map(median)), median(real.map(last))];
    const [simMedian, simLast] = [median(simulated.map(median)), median(simulated.map(last))];
    const cells = [
      seed.padEnd(11),
      `${leeches} x ${leech}`.padEnd(17),
      boundSeconds(leeches).toFixed(1).padStart(7),
      realMedian.toFixed(1).padStart(14),
      realLast.toFixed(1).padStart(6),
      simMedian.toFixed(1).padStart(19),
      simLast.toFixed(1).padStart(6),
      `${(simMedian / realMedian).toFixed(2)} ${(simLast / realLast).toFixed(2)}`.padStart(16),
    ];
    console.log(cells.join(' '));
  }
}

interface Prepared {
  readonly directory: string;
  readonly contentPath: string;
  readonly torrentPath: string;
}

async function inLab(clients: readonly Client[], prepared: Prepared): Promise<number[]> {
  const { directory, contentPath, torrentPath } = prepared;
  const swarmDirectory = mkdtempSync(join(directory, 'swarm-'));
  mkdirSync(join(swarmDirectory, '0'));
  writeFileSync(join(swarmDirectory, '0', 'content.bin'), readFileSync(contentPath));
  const lab = await openLab({
    machines: clients.length,
    upBytesPerSecond: () => upBytesPerSecond,
    downBytesPerSecond: () => downBytesPerSecond,
    delayMs,
  });
  try {
    return await runSwarm(lab, { clients, directory: swarmDirectory, torrentPath });
  } finally {
    await lab.close();
    rmSync(swarmDirectory, { recursive: true, force: true });
  }
}

function last(seconds: readonly number[]): number {
  return Math.max(...seconds);
}
