/** Swarms that share content nobody stores: real torrent code, with hashing modelled and for real. */
import { createNode, type Torrent } from '@skep/p2p-core';
import { createMetainfo } from '@skep/p2p-core/metainfo';
import { type Hashing, SimWorld } from '@skep/sim';
import { describe, expect, test } from 'vitest';

const PATH = '/data/film.bin';
const addressOf = (number: number) => `10.0.0.${number}`;

interface SwarmOptions {
  readonly hashing: Hashing;
  readonly length: number;
  readonly pieceLength: number;
  readonly leeches: number;
  /** Machine 2 seeds as machine 1 does, and has this much gone bad once it has verified it. */
  readonly corruptBytes?: number;
}

/** Machines 1 and 2 seed, the others leech until they have it all. */
async function share({ hashing, length, pieceLength, leeches, corruptBytes = 0 }: SwarmOptions) {
  const world = new SimWorld({ seed: 'synthetic', hashing, network: { latencyMs: { minMs: 5, maxMs: 40 } } });
  const addresses = Array.from({ length: 2 + leeches }, (_, i) => addressOf(1 + i));
  const hosts = addresses.map((address) => world.createHost({ address, upBytesPerSecond: 10e6 }));
  for (const host of hosts.slice(0, 2)) host.disk.putSynthetic(PATH, { seed: 'film', length });
  const metainfo = await world.complete(createMetainfo(hosts[0]!, PATH, { pieceLength }));
  const torrents: Torrent[] = [];
  for (const [i, host] of hosts.entries()) {
    const listen = { host: host.address, port: 6881 };
    const node = await world.complete(createNode({ host }, { listen, dht: false }));
    const peers = addresses.slice(0, i).map((address) => ({ host: address, port: 6881 }));
    const mode = i < 2 ? 'seed' : 'download';
    torrents.push(await world.complete(node.add({ metainfo, contentRoot: '/data', mode, peers })));
    if (i === 1) {
      await world.complete(torrents[1]!.waitFor(({ state }) => state === 'seeding'));
      if (corruptBytes > 0) host.disk.corrupt(PATH, { offset: 0, length: corruptBytes });
    }
  }
  const finished = torrents.map((torrent) => torrent.waitFor(({ state }) => state === 'seeding'));
  await world.complete(Promise.all(finished), { untilMs: 3_600_000 });
  return { world, hosts, torrents, traceHash: world.traceHash() };
}

describe('synthetic content', () => {
  test('takes the same course whether hashing is modelled or real', async () => {
    const options = { length: 3 * 2 ** 20 + 5, pieceLength: 65_536, leeches: 3, corruptBytes: 2 ** 20 };
    const modelled = await share({ ...options, hashing: 'modelled' });
    const real = await share({ ...options, hashing: 'real' });
    expect(modelled.traceHash).toBe(real.traceHash);
    const corrupt = ({ torrents }: typeof real) => torrents.map((torrent) => torrent.status().corruptBytes);
    expect(corrupt(modelled)).toEqual(corrupt(real));
    // The corrupt seed was believed for a while, and nothing of it was kept.
    expect(Math.max(...corrupt(real))).toBeGreaterThan(0);
    const reading = Promise.all(real.hosts.map((host) => host.files.read(PATH, 2 ** 22)));
    const [original, , ...copies] = await real.world.complete(reading);
    for (const copy of copies) expect(Buffer.compare(copy, original!)).toBe(0);
  });

  test('of 4 GiB is described and verified at once, and a bad sector found', async () => {
    const world = new SimWorld({ seed: 1 });
    const [author, seed, bad] = [1, 2, 3].map((number) => world.createHost({ address: addressOf(number) }));
    const length = 2 ** 32;
    for (const host of [author!, seed!, bad!]) host.disk.putSynthetic(PATH, { seed: 'film', length });
    bad!.disk.corrupt(PATH, { offset: length - 1, length: 1 });
    const metainfo = await world.complete(createMetainfo(author!, PATH));
    const leftOf = async (host: typeof seed): Promise<number> => {
      const node = await world.complete(
        createNode({ host: host! }, { listen: { host: host!.address, port: 6881 }, dht: false }),
      );
      const torrent = await world.complete(node.add({ metainfo, contentRoot: '/data', mode: 'download' }));
      await world.complete(torrent.waitFor(({ state }) => state === 'downloading' || state === 'seeding'));
      const { have, total } = torrent.status().bytes;
      return total - have;
    };
    expect(await leftOf(seed)).toBe(0);
    const left = await leftOf(bad);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(2 ** 25);
  });
});
