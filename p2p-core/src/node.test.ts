/** Whole nodes on real sockets and files: what the unit tests beside the parts cannot show. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Address } from './host/host.ts';
import { createNodeHost } from './host/node/index.ts';
import { createMetainfo, formatMagnet, type Metainfo } from './metainfo/index.ts';
import { type AddOptions, createNode, type Node, type NodeOptions } from './node.ts';
import { encodeHandshake, encodeMessage } from './wire/peer-messages.ts';

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

  test('what is on disk already is verified and not fetched again', async () => {
    const metainfo = await makeContent({ 'a.bin': 700_000 });
    const contentRoot = join(scratch, 'leech');
    await cp(join(scratch, 'seed'), contentRoot, { recursive: true });
    const file = await open(join(contentRoot, 'content/a.bin'), 'r+');
    await file.write(randomBytes(10), 0, 10, 300_000);
    await file.close();
    const [seeder, leech] = [await makeNode(), await makeNode()];
    await seed(seeder, metainfo);
    const torrent = await leech.add({ metainfo, contentRoot, mode: 'download', peers: [addressOf(seeder)] });
    expect((await torrent.waitFor(isDone)).downloadedBytes).toBe(metainfo.info.pieceLength);
  });

  test('a stopped magnet goes on without hashing, without its peers being told, and knows its metadata', async () => {
    const metainfo = await makeContent({ 'a.bin': 2_000_000 });
    const magnet = formatMagnet({ infoHash: metainfo.info.infoHash, trackers: [], peers: [] });
    const contentRoot = join(scratch, 'leech');
    const dataDirectory = join(scratch, 'state');
    const seeder = await makeNode();
    await seed(seeder, metainfo);
    const first = await makeNode({ dataDirectory });
    const options = { magnet, contentRoot, mode: 'download' } as const;
    const begun = await first.add({
      ...options,
      peers: [addressOf(seeder)],
      downloadBytesPerSecond: 2_000_000,
    });
    await begun.waitFor((status) => status.pieces.have > 5);
    await first.close();
    const had = begun.status().pieces.have;
    expect(begun.status().state).toBe('stopped');

    const second = await makeNode({ dataDirectory });
    const torrent = await second.add(options);
    const status = await torrent.waitFor(({ state }) => state === 'downloading');
    expect(status.pieces.have).toBe(had);
    // Nothing had is fetched again; a piece or two were half there when it stopped.
    const { downloadedBytes } = await torrent.waitFor(isDone);
    expect(downloadedBytes - metainfo.info.length).toBeLessThan(4 * metainfo.info.pieceLength);
  });

  test('a seed whose content has rotted is banned, and the download ends right', async () => {
    const metainfo = await makeContent({ 'a.bin': 2_000_000 });
    const [rotten, good, leech] = [await makeNode(), await makeNode(), await makeNode()];
    await cp(join(scratch, 'seed'), join(scratch, 'rotten'), { recursive: true });
    await seed(rotten, metainfo, { contentRoot: join(scratch, 'rotten') });
    await writeFile(join(scratch, 'rotten/content/a.bin'), randomBytes(2_000_000));
    const contentRoot = join(scratch, 'leech');
    const torrent = await leech.add({ metainfo, contentRoot, mode: 'download', peers: [addressOf(rotten)] });
    await torrent.waitFor(({ corruptBytes, peers }) => corruptBytes > 0 && peers.connected === 0);
    expect(torrent.status().peers.known).toBe(0);
    await seed(good, metainfo);
    torrent.addPeers([addressOf(rotten), addressOf(good)]);
    await torrent.waitFor(isDone);
    expect(await digests(metainfo, contentRoot)).toEqual(await digests(metainfo, join(scratch, 'seed')));
  });

  test('seeding what is not all there fails with a sentence', async () => {
    const metainfo = await makeContent({ 'a.bin': 200_000 });
    const node = await makeNode();
    const torrent = await node.add({ metainfo, contentRoot: join(scratch, 'nowhere'), mode: 'seed' });
    await expect(torrent.waitFor(isDone)).rejects.toMatchObject({
      code: 'content-incomplete',
      message: expect.stringContaining('4 of 4 pieces'),
    });
  });

  test('a seed of which a file vanishes goes on with the others, and says so', async () => {
    const metainfo = await makeContent({ 'a.bin': 300_000, 'b.bin': 300_000, 'c.bin': 300_000 });
    const seeder = await makeNode();
    const torrent = await seed(seeder, metainfo);
    await writeFile(join(scratch, 'seed', 'content', 'b.bin'), '');
    const contentRoot = join(scratch, 'leech');
    const leech = await makeNode();
    const got = await leech.add({ metainfo, contentRoot, mode: 'download', peers: [addressOf(seeder)] });
    const { error } = await torrent.waitFor((status) => status.error !== undefined);
    expect(error?.code).toBe('content-incomplete');
    expect(error?.message).toMatch(/^content\/b\.bin vanished .+: 6 pieces/);
    // Of 14 pieces those 6 that touch b.bin can no longer be had.
    const { bytes } = await got.waitFor(({ pieces }) => pieces.have === metainfo.info.pieceCount - 6);
    expect(bytes.have).toBe(metainfo.info.length - 6 * metainfo.info.pieceLength);
    expect(torrent.status().state).toBe('seeding');
  });

  test('a torrent that is removed while it begins leaves no state, and holds its place until then', async () => {
    const metainfo = await makeContent({ 'a.bin': 100_000 });
    const dataDirectory = join(scratch, 'state');
    const host = createNodeHost();
    hosts.push(host);
    let removed: Promise<void> | undefined;
    const { files } = host;
    const writeAtomic = async (path: string, bytes: Uint8Array) => {
      if (path.endsWith('.info')) {
        removed = node.remove(torrent);
        await expect(node.add(options)).rejects.toMatchObject({ code: 'exists' });
        for (let turn = 0; turn < 100; turn++) await files.stat(scratch);
      }
      return files.writeAtomic(path, bytes);
    };
    const wrapped = { ...host, files: Object.assign(Object.create(files), { writeAtomic }) };
    const listen = { host: '127.0.0.1', port: 0 };
    const node = await createNode({ host: wrapped }, { listen, dht: false, dataDirectory });
    nodes.push(node);
    const options = { metainfo, contentRoot: join(scratch, 'leech'), mode: 'download' } as const;
    const torrent = await node.add(options);
    await torrent.waitFor(() => removed !== undefined);
    await removed;
    expect(await readdir(join(dataDirectory, 'torrents'))).toEqual([]);
    expect(node.torrents.size).toBe(0);
  });

  test('peers may come while the files of a magnet are being made', async () => {
    const metainfo = await makeContent({ 'a.bin': 100_000 });
    const magnet = formatMagnet({ infoHash: metainfo.info.infoHash, trackers: [], peers: [] });
    const seeder = await makeNode();
    await seed(seeder, metainfo);
    const host = createNodeHost();
    hosts.push(host);
    let hold = (): void => {};
    const held = new Promise<void>((resolve) => {
      hold = resolve;
    });
    const makeDirectory = (path: string) => held.then(() => host.files.makeDirectory(path));
    const wrapped = { ...host, files: Object.assign(Object.create(host.files), { makeDirectory }) };
    const listen = { host: '127.0.0.1', port: 0 };
    const first = await createNode({ host: wrapped }, { listen, dht: false });
    nodes.push(first);
    const mode = 'download';
    const begun = await first.add({
      magnet,
      contentRoot: join(scratch, 'first'),
      mode,
      peers: [addressOf(seeder)],
    });
    await begun.waitFor(({ pieces }) => pieces.total > 0);
    expect(begun.status().state).toBe('checking');
    const second = await makeNode();
    const contentRoot = join(scratch, 'second');
    const other = await second.add({ magnet, contentRoot, mode, peers: [addressOf(first)] });
    // It learns the metadata from the one that has it already.
    await other.waitFor(({ state }) => state === 'downloading');
    hold();
    await other.waitFor(isDone);
  });

  test('a seed leaves a seed that would stay', async () => {
    const metainfo = await makeContent({ 'a.bin': 100_000 });
    const node = await makeNode();
    await seed(node, metainfo);
    const socket = connect(node.listen.port, '127.0.0.1');
    const supports = { extensions: false, fast: true, dht: false };
    const { infoHash } = metainfo.info;
    socket.write(encodeHandshake({ infoHash, peerId: new Uint8Array(20), supports }));
    socket.write(encodeMessage({ type: 'have-all' }));
    await once(socket.resume(), 'end');
    socket.destroy();
  });

  test('a port in use is told', async () => {
    const node = await makeNode();
    await expect(makeNode({ listen: addressOf(node) })).rejects.toMatchObject({ code: 'address-in-use' });
  });

  test('a node does not talk to itself, and has each torrent once', async () => {
    const metainfo = await makeContent({ 'a.bin': 100_000 });
    const node = await makeNode();
    const torrent = await seed(node, metainfo);
    torrent.addPeers([addressOf(node)]);
    await torrent.waitFor(({ peers }) => peers.known === 0);
    expect(torrent.status().peers.connected).toBe(0);
    const again = { metainfo, contentRoot: scratch, mode: 'seed' } as const;
    await expect(node.add(again)).rejects.toMatchObject({ code: 'exists' });
  });
});
