/** Real clients download from our node and seed to it, by .torrent with a tracker and by magnet over a DHT of our nodes. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNode, type Node, type NodeOptions } from '@skep/p2p-core';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { createMetainfo, encodeMetainfo, formatMagnet, type Metainfo } from '@skep/p2p-core/metainfo';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { aria2 } from './clients/aria2.ts';
import { type Client, ownAddress } from './clients/client.ts';
import { libtorrent } from './clients/libtorrent.ts';
import { startTracker } from './clients/tracker.ts';
import { transmission } from './clients/transmission.ts';

/** No empty file: Transmission 3 makes none. */
const FILES = { 'a.bin': 3_000_017, 'sub/b.bin': 400_000 };
const NAME = 'content';
const PATIENCE_MS = 60_000;
/** Transmission looks into the DHT now and then only, and not before it knows four good nodes of nine. */
const DHT_PATIENCE_MS = 180_000;
const DHT_NODES = 14;
const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const host = ownAddress();

let scratch: string;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'skep-interop-'));
  cleanups.push(() => rmSync(scratch, { recursive: true, force: true }));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function makeHost() {
  const nodeHost = createNodeHost();
  cleanups.push(() => nodeHost.close());
  return nodeHost;
}

async function makeNode(dht: NodeOptions['dht']): Promise<Node> {
  const node = await createNode({ host: makeHost() }, { listen: { host, port: 0 }, dht });
  cleanups.push(() => node.close());
  return node;
}

/** A DHT of our nodes; gives the one to enter by. */
async function makeDht(): Promise<Node['listen']> {
  const nodeHost = makeHost();
  const entry = await makeNode({ bootstrap: [] });
  for (let i = 1; i < DHT_NODES; i++) {
    const node = await createNode(
      { host: nodeHost },
      { listen: { host, port: 0 }, dht: { bootstrap: [entry.listen] } },
    );
    cleanups.push(() => node.close());
  }
  return entry.listen;
}

/** The original, in `scratch/original`, and its torrent. */
async function makeContent(trackers: string[][]): Promise<{ metainfo: Metainfo; torrentFile: string }> {
  for (const [path, length] of Object.entries(FILES)) {
    const target = join(scratch, 'original', NAME, path);
    mkdirSync(join(target, '..'), { recursive: true });
    writeFileSync(target, randomBytes(length));
  }
  const metainfo = await createMetainfo(makeHost(), join(scratch, 'original', NAME), { trackers });
  const torrentFile = join(scratch, 'content.torrent');
  writeFileSync(torrentFile, encodeMetainfo(metainfo));
  return { metainfo, torrentFile };
}

function digests(root: string): string[] {
  return Object.keys(FILES).map((path) =>
    createHash('sha256')
      .update(readFileSync(join(root, NAME, path)))
      .digest('hex'),
  );
}

async function startClient(
  client: Client,
  job: { torrent: string; directory: string; dhtNode?: Node['listen'] },
) {
  mkdirSync(job.directory, { recursive: true });
  const running = await client.start({ ...job, host, stateDirectory: join(scratch, 'client') });
  cleanups.push(() => running.stop());
  return running;
}

const isSeeding = (status: { state: string }) => status.state === 'seeding';

describe.each([transmission, libtorrent, aria2])('$name', (client) => {
  const interop = test.skipIf(mayBeMissing && !client.isInstalled());
  const original = () => join(scratch, 'original');
  const copy = () => join(scratch, 'copy');

  interop('downloads from our node by .torrent', { timeout: PATIENCE_MS }, async () => {
    const tracker = await startTracker(host);
    cleanups.push(tracker.stop);
    const { metainfo, torrentFile } = await makeContent([[tracker.url]]);
    const node = await makeNode(false);
    await (await node.add({ metainfo, contentRoot: original(), mode: 'seed' })).waitFor(isSeeding);
    const running = await startClient(client, { torrent: torrentFile, directory: copy() });
    await running.complete;
    expect(digests(copy())).toEqual(digests(original()));
  });

  interop('seeds to our node by .torrent', { timeout: PATIENCE_MS }, async () => {
    const tracker = await startTracker(host);
    cleanups.push(tracker.stop);
    const { metainfo, torrentFile } = await makeContent([[tracker.url]]);
    const running = await startClient(client, { torrent: torrentFile, directory: original() });
    await running.complete;
    const node = await makeNode(false);
    const torrent = await node.add({ metainfo, contentRoot: copy(), mode: 'download' });
    await torrent.waitFor(isSeeding);
    expect(digests(copy())).toEqual(digests(original()));
  });

  interop('downloads from our node by magnet over our DHT', { timeout: DHT_PATIENCE_MS }, async () => {
    const { metainfo } = await makeContent([]);
    const dhtNode = await makeDht();
    const node = await makeNode({ bootstrap: [dhtNode] });
    await (await node.add({ metainfo, contentRoot: original(), mode: 'seed' })).waitFor(isSeeding);
    const magnet = formatMagnet({ infoHash: metainfo.info.infoHash, trackers: [], peers: [] });
    const running = await startClient(client, {
      torrent: magnet,
      directory: copy(),
      dhtNode,
    });
    await running.complete;
    expect(digests(copy())).toEqual(digests(original()));
  });

  interop('seeds to our node by magnet over our DHT', { timeout: DHT_PATIENCE_MS }, async () => {
    const { metainfo, torrentFile } = await makeContent([]);
    const dhtNode = await makeDht();
    const running = await startClient(client, { torrent: torrentFile, directory: original(), dhtNode });
    await running.complete;
    const node = await makeNode({ bootstrap: [dhtNode] });
    const magnet = formatMagnet({ infoHash: metainfo.info.infoHash, trackers: [], peers: [] });
    const torrent = await node.add({ magnet, contentRoot: copy(), mode: 'download' });
    await torrent.waitFor(isSeeding);
    expect(digests(copy())).toEqual(digests(original()));
  });
});
