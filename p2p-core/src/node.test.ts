/** Whole nodes on real sockets and files: what the unit tests beside the parts cannot show. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Address } from './host/host.ts';
import { createNodeHost } from './host/node/index.ts';
import { createMetainfo, formatMagnet, type Metainfo } from './metainfo/index.ts';
import { type AddOptions, createNode, type Node, type NodeOptions } from './node.ts';

let scratch: string;
let hosts: ReturnType<typeof createNodeHost>[] = [];
let nodes: Node[] = [];

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'skep-node-'));
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await Promise.all(hosts.map((host) => host.close()));
  nodes = [];
  hosts = [];
  await rm(scratch, { recursive: true, force: true });
});

async function makeNode(options: Partial<NodeOptions> = {}) {
  const host = createNodeHost();
  hosts.push(host);
  const node = await createNode({ host }, { listen: { host: '127.0.0.1', port: 0 }, dht: false, ...options });
  nodes.push(node);
  return node;
}

/** Writes files of random bytes below `scratch/seed` and makes a torrent of them. */
async function makeContent(files: Record<string, number>, name = 'content', pieceLength = 16 * 1024 * 4) {
  for (const [path, length] of Object.entries(files)) {
    const target = join(scratch, 'seed', name, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, randomBytes(length));
  }
  const host = createNodeHost();
  hosts.push(host);
  return createMetainfo(host, join(scratch, 'seed', name), { pieceLength });
}

async function seed(node: Node, metainfo: Metainfo, more: Partial<AddOptions> = {}) {
  const torrent = await node.add({ metainfo, contentRoot: join(scratch, 'seed'), mode: 'seed', ...more });
  await torrent.waitFor((status) => status.state === 'seeding');
  return torrent;
}

async function digests(metainfo: Metainfo, root: string) {
  const found: Record<string, string> = {};
  for (const { path } of metainfo.info.files) {
    found[path] = createHash('sha256')
      .update(await readFile(join(root, path)))
      .digest('hex');
  }
  return found;
}

const addressOf = (node: Node): Address => node.listen;
const isDone = (status: { state: string }) => status.state === 'seeding';

describe('a seed and a leech', () => {
  test('spread several files, empty ones and a short last piece included', async () => {
    const metainfo = await makeContent({ 'a.bin': 300_001, 'empty/nothing': 0, 'z/b.bin': 70_123, one: 1 });
    const [seeder, leech] = [await makeNode(), await makeNode()];
    await seed(seeder, metainfo);
    const contentRoot = join(scratch, 'leech');
    const torrent = await leech.add({ metainfo, contentRoot, mode: 'download', peers: [addressOf(seeder)] });
    const status = await torrent.waitFor(isDone);
    expect(await digests(metainfo, contentRoot)).toEqual(await digests(metainfo, join(scratch, 'seed')));
    expect(status.bytes).toEqual({ have: metainfo.info.length, total: metainfo.info.length });
    expect(status.downloadedBytes).toBe(metainfo.info.length);
    expect(status.wastedBytes).toBe(0);
  });

  test('a magnet finds its peer by DHT and fetches the metadata first', async () => {
    const metainfo = await makeContent({ 'a.bin': 500_000 });
    const bootstrap = await makeNode({ dht: { bootstrap: [] } });
    const dht = { bootstrap: [addressOf(bootstrap)] };
    const [seeder, leech] = [await makeNode({ dht }), await makeNode({ dht })];
    await seed(seeder, metainfo);
    const magnet = formatMagnet({ infoHash: metainfo.info.infoHash, trackers: [], peers: [] });
    const contentRoot = join(scratch, 'leech');
    const torrent = await leech.add({ magnet, contentRoot, mode: 'download' });
    await torrent.waitFor(isDone);
    expect(await digests(metainfo, contentRoot)).toEqual(await digests(metainfo, join(scratch, 'seed')));
  });
});
