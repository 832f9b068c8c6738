/**
 * The real `skep` and the real clients of others, each downloading from the other: by .torrent with a direct
 * peer, by .torrent with a tracker, and by magnet over a DHT that is entered at two bootstrap nodes of ours.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createNode, type Node } from '@skep/p2p-core';
import { createDht, type Dht } from '@skep/p2p-core/discovery/dht';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCli } from '../../cli/src/testing/run-cli.ts';
import { aria2 } from './clients/aria2.ts';
import { type Client, freePort, listening } from './clients/client.ts';
import { libtorrent } from './clients/libtorrent.ts';
import { openTestNetwork } from './clients/network.ts';
import { opentracker } from './clients/opentracker.ts';
import { transmission } from './clients/transmission.ts';

/** Many pieces, the last one short, borders of files within pieces, and files of no bytes and of one. */
const FILES = { 'a.bin': 1_500_017, 'sub/b.bin': 400_001, 'sub/empty': 0, 'sub/deeper/c': 1 };
const WAYS = ['.torrent and a direct peer', '.torrent and a tracker', 'magnet and the DHT'] as const;
type Way = (typeof WAYS)[number];
/** Transmission looks for peers in the DHT, and for something to do for its peers, at leisure. */
const PATIENCE_MS = 300_000;
/** Transmission trusts a DHT only if it knows more than eight of its nodes. */
const DHT_NODES = 12;

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const network = openTestNetwork();
const { host, clientHost } = network;

const nodeHost = createNodeHost();
const bootstrapNodes: Node[] = [];
const furtherNodes: Dht[] = [];

beforeAll(async () => {
  for (let index = 0; index < 2; index++) {
    const bootstrap = bootstrapNodes.map((node) => node.listen);
    bootstrapNodes.push(
      await createNode({ host: nodeHost }, { listen: { host, port: 0 }, dht: { bootstrap } }),
    );
  }
  while (bootstrapNodes.length + furtherNodes.length < DHT_NODES) {
    const bootstrap = bootstrapNodes.map((node) => node.listen);
    furtherNodes.push(await createDht({ host: nodeHost }, { local: { host, port: 0 }, bootstrap }));
  }
});

afterAll(async () => {
  for (const dht of furtherNodes) dht.close();
  for (const node of bootstrapNodes) await node.close();
  await nodeHost.close();
  network.close();
});

/** One test's directory and processes. */
class Scene {
  readonly directory = mkdtempSync(join(tmpdir(), 'skep-interop-'));
  readonly name: string;
  readonly #cleanups: (() => Promise<unknown>)[] = [];

  /** Names differ, so that no two tests are of one torrent: they share the DHT. */
  constructor(name: string) {
    this.name = name;
    for (const [path, length] of Object.entries(FILES)) {
      const file = join(this.original, name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, randomBytes(length));
    }
    mkdirSync(this.copy);
  }

  get original(): string {
    return join(this.directory, 'original');
  }

  get copy(): string {
    return join(this.directory, 'copy');
  }

  skep(...args: string[]) {
    const running = startCli([...args, '--json'], join(this.directory, 'state'));
    this.#cleanups.push(() => {
      running.child.kill('SIGKILL');
      return running.finished;
    });
    return running;
  }

  /** Makes the torrent, and what each side is told to find the other by. */
  async prepare(way: Way) {
    const file = join(this.directory, 'content.torrent');
    const create = async (...more: string[]) =>
      JSON.parse(
        await this.skep('torrent', 'create', join(this.original, this.name), '-o', file, ...more).line(),
      );
    const { infoHash } = await create();
    const port = await freePort('127.0.0.1');
    const magnet = `magnet:?xt=urn:btih:${infoHash}`;
    if (way === '.torrent and a direct peer') {
      return {
        file,
        forLeech: file,
        skepArgs: ['--no-dht', '--peer', `${clientHost}:${port}`],
        client: { port },
      };
    }
    if (way === '.torrent and a tracker') {
      const tracker = await opentracker.start(host, infoHash, join(this.directory, 'tracker'));
      this.#cleanups.push(tracker.stop);
      await create('--tracker', tracker.url, '--force');
      return { file, forLeech: file, skepArgs: ['--no-dht'], client: { port } };
    }
    const addresses = bootstrapNodes.map(({ listen }) => `${listen.host}:${listen.port}`);
    const skepArgs = addresses.flatMap((address) => ['--dht-bootstrap', address]);
    return { file, forLeech: magnet, skepArgs, client: { port, dhtNode: bootstrapNodes[0]!.listen } };
  }

  async start(
    client: Client,
    job: { torrent: string; directory: string; port: number; dhtNode?: Node['listen'] },
  ) {
    const stateDirectory = join(this.directory, 'client');
    mkdirSync(stateDirectory);
    const running = await client.start({ ...job, host: clientHost, enter: network.enter, stateDirectory });
    this.#cleanups.push(running.stop);
    await listening(clientHost, job.port);
    return running;
  }

  expectCopy(options: { makesEmptyFiles: boolean }): void {
    for (const [path, length] of Object.entries(FILES)) {
      const copy = join(this.copy, this.name, path);
      if (length === 0 && !options.makesEmptyFiles && !existsSync(copy)) continue;
      const isSame = readFileSync(copy).equals(readFileSync(join(this.original, this.name, path)));
      expect({ path, isSame }).toEqual({ path, isSame: true });
    }
  }

  async end(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const clients = [transmission, libtorrent, aria2];
const cases = WAYS.flatMap((way) => clients.map((client) => ({ client, way, name: client.name }))).reverse();

describe.concurrent.each(cases)('$name, by $way', { timeout: PATIENCE_MS }, ({ client, way }) => {
  const isMissing =
    !client.isInstalled() ||
    (network.isLoopback && !client.takesLoopback) ||
    (way === '.torrent and a tracker' && !opentracker.isInstalled());
  const interop = test.skipIf(mayBeMissing && isMissing);
  const slug = `${client.name}-${WAYS.indexOf(way)}`;

  interop('downloads from skep seed', async () => {
    const scene = new Scene(`${slug}-down`);
    try {
      const { file, forLeech, skepArgs, client: job } = await scene.prepare(way);
      const running = await scene.start(client, { ...job, torrent: forLeech, directory: scene.copy });
      const path = join(scene.original, scene.name);
      const seed = scene.skep('seed', path, '--torrent', file, '--host', host, ...skepArgs);
      const failed = seed.finished.then(({ stderr }) => Promise.reject(new Error(`skep ended: ${stderr}`)));
      await Promise.race([running.complete, failed]);
      scene.expectCopy(client);
    } finally {
      await scene.end();
    }
  });

  interop('seeds to skep get', async () => {
    const scene = new Scene(`${slug}-up`);
    try {
      const { file, forLeech, skepArgs, client: job } = await scene.prepare(way);
      const running = await scene.start(client, { ...job, torrent: file, directory: scene.original });
      await running.complete;
      const get = scene.skep('get', forLeech, '-o', scene.copy, '--host', host, ...skepArgs);
      const { code, stdout, stderr } = await get.finished;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(JSON.parse(stdout)).toMatchObject({ verified: true, bytes: 1_900_019 });
      scene.expectCopy({ makesEmptyFiles: true });
    } finally {
      await scene.end();
    }
  });
});
