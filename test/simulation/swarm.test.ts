/** Whole swarms under virtual time: nodes as users make them, on simulated machines. */
import { type AddOptions, createNode, type Node, type NodeOptions, type Torrent } from '@skep/p2p-core';
import { createMetainfo, type Metainfo } from '@skep/p2p-core/metainfo';
import { type SimHost, SimWorld } from '@skep/sim';
import { describe, expect, test } from 'vitest';

const PORT = 6881;
const addressOf = (number: number) => `10.0.0.${number}`;

/** Machine 1 has the content; `nodeOf` gives machines nodes, `share` lets them join in. */
class SimSwarm {
  readonly world: SimWorld;
  readonly hosts = new Map<number, SimHost>();
  metainfo!: Metainfo;

  constructor(seed: number, network: ConstructorParameters<typeof SimWorld>[0]['network'] = {}) {
    this.world = new SimWorld({ seed, network });
  }

  host(number: number): SimHost {
    const host = this.hosts.get(number) ?? this.world.createHost({ address: addressOf(number) });
    this.hosts.set(number, host);
    return host;
  }

  /** Runs simulated work to its end. */
  async run<T>(work: Promise<T>, untilMs = this.world.nowMs + 3_600_000): Promise<T> {
    let isSettled = false;
    const settled = work.finally(() => {
      isSettled = true;
    });
    settled.catch(() => {});
    await this.world.run({ untilMs, until: () => isSettled });
    if (!isSettled) throw new Error(`still waiting at ${this.world.nowMs} ms`);
    return settled;
  }

  async makeContent(length: number, pieceLength = 64 * 1024): Promise<void> {
    const host = this.host(1);
    await this.run(host.files.writeAtomic('/data/content.bin', host.random.bytes(length)));
    this.metainfo = await this.run(createMetainfo(host, '/data/content.bin', { pieceLength }));
  }

  node(number: number, options: Partial<NodeOptions> = {}): Promise<Node> {
    const listen = { host: addressOf(number), port: PORT };
    return this.run(createNode({ host: this.host(number) }, { listen, dht: false, ...options }));
  }

  seed(node: Node, options: Pick<AddOptions, 'suggest'> = {}): Promise<Torrent> {
    return this.run(node.add({ metainfo: this.metainfo, contentRoot: '/data', mode: 'seed', ...options }));
  }

  leech(node: Node, peers: number[]): Promise<Torrent> {
    return this.run(
      node.add({
        metainfo: this.metainfo,
        contentRoot: '/data',
        mode: 'download',
        peers: peers.map((peer) => ({ host: addressOf(peer), port: PORT })),
      }),
    );
  }

  done(torrents: readonly Torrent[]): Promise<unknown> {
    return this.run(
      Promise.all(torrents.map((torrent) => torrent.waitFor(({ state }) => state === 'seeding'))),
    );
  }
}

describe('limits', () => {
  test.each([
    ['upload', { uploadBytesPerSecond: 200_000 }, {}],
    ['download', {}, { downloadBytesPerSecond: 200_000 }],
  ])('%s is kept within 15 %%', async (_name, seedOptions, leechOptions) => {
    const swarm = new SimSwarm(1);
    await swarm.makeContent(6_000_000);
    await swarm.seed(await swarm.node(1, seedOptions));
    const torrent = await swarm.leech(await swarm.node(2, leechOptions), [1]);
    const begunMs = swarm.world.nowMs;
    await swarm.done([torrent]);
    const rate = (6_000_000 * 1_000) / (swarm.world.nowMs - begunMs);
    expect(rate).toBeGreaterThan(170_000);
    expect(rate).toBeLessThan(230_000);
  });
});

test.each([1, 2, 3])('a swarm of eight leeches helps itself: seed %d', async (seed) => {
  const swarm = new SimSwarm(seed, { latencyMs: { minMs: 5, maxMs: 40 }, jitterMs: 5 });
  await swarm.makeContent(4_000_000);
  const seeder = await swarm.seed(await swarm.node(1, { uploadBytesPerSecond: 400_000 }));
  const numbers = [2, 3, 4, 5, 6, 7, 8, 9];
  const torrents: Torrent[] = [];
  for (const number of numbers) torrents.push(await swarm.leech(await swarm.node(number), [1, number - 1]));
  await swarm.done(torrents);
  // The seed alone would have to send eight copies.
  expect(seeder.status().uploadedBytes).toBeLessThan(4 * 4_000_000);
  for (const torrent of torrents) {
    const { wastedBytes, downloadedBytes } = torrent.status();
    expect(downloadedBytes - 4_000_000).toBeLessThan(400_000);
    expect(wastedBytes).toBeLessThan(400_000);
  }
});

/** Last finisher of twenty equal leeches, as a multiple of the bound that no swarm can beat. */
async function timesBound(options: Pick<AddOptions, 'suggest'>): Promise<number> {
  const [leeches, length, up] = [20, 32 * 2 ** 20, 1_250_000];
  const swarm = new SimSwarm(7, { latencyMs: { minMs: 10, maxMs: 50 } });
  await swarm.makeContent(length, 128 * 1024);
  const all = Array.from({ length: leeches + 1 }, (_, i) => i + 1);
  for (const number of all) swarm.host(number).setLink({ upBytesPerSecond: up, downBytesPerSecond: 4 * up });
  await swarm.seed(await swarm.node(1), options);
  const nodes: Node[] = [];
  for (const number of all.slice(1)) nodes.push(await swarm.node(number));
  const begunMs = swarm.world.nowMs;
  const torrents: Torrent[] = [];
  for (const node of nodes) torrents.push(await swarm.leech(node, all));
  await swarm.done(torrents);
  // max(F/us, F/dmin, N F/(us + N u)): here the seed's own upload is the bound.
  const boundMs = (length / up) * 1_000;
  return (swarm.world.nowMs - begunMs) / boundMs;
}

test('twenty leeches finish near the bound, for a seed that suggests sends little twice', async () => {
  expect(await timesBound({})).toBeLessThan(1.3);
  expect(await timesBound({ suggest: false })).toBeGreaterThan(1.3);
});

test('a full disk stops the torrent with a sentence, loses nothing, and it goes on when there is room', async () => {
  const swarm = new SimSwarm(5);
  await swarm.makeContent(3_000_000);
  await swarm.seed(await swarm.node(1));
  const node = await swarm.node(2);
  swarm.host(2).disk.capacityBytes = 1_000_000;
  const torrent = await swarm.leech(node, [1]);
  await swarm.run(torrent.waitFor(({ state }) => state === 'error'));
  expect(torrent.status().error).toMatchObject({
    code: 'disk-full',
    message: expect.stringContaining('disk is full'),
  });
  const { have } = torrent.status().pieces;
  swarm.host(2).disk.capacityBytes = Number.POSITIVE_INFINITY;
  torrent.resume();
  expect(torrent.status().pieces.have).toBe(have);
  await swarm.done([torrent]);
  expect(torrent.status().downloadedBytes).toBe(3_000_000);
});

test('a seed that vanishes and comes back is found again', async () => {
  const swarm = new SimSwarm(6);
  await swarm.makeContent(4_000_000);
  await swarm.seed(await swarm.node(1, { uploadBytesPerSecond: 500_000 }));
  const torrent = await swarm.leech(await swarm.node(2), [1]);
  await swarm.run(torrent.waitFor(({ pieces }) => pieces.have > 10));
  swarm.host(1).crash();
  await swarm.run(torrent.waitFor(({ peers }) => peers.connected === 0));
  swarm.hosts.set(1, swarm.host(1).restart());
  await swarm.seed(await swarm.node(1));
  await swarm.done([torrent]);
  expect(torrent.status().downloadedBytes - 4_000_000).toBeLessThan(1_100_000);
});
