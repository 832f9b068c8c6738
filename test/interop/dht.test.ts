/** Our DHT and libtorrent's, on real sockets: each enters by the other and finds what the other announced. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createDht, type Dht } from '@skep/p2p-core/discovery/dht';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const python = '/usr/bin/python3';
const isMissing = spawnSync(python, ['-c', 'import libtorrent']).status !== 0;
const isRequired = process.env.SKEP_TEST_ALL === '1';

interface Told {
  port?: number;
  found?: string;
  peers?: [string, number][];
}

/** A libtorrent process that tells lines of JSON. */
class LibtorrentDht {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #listeners = new Set<(told: Told) => void>();
  readonly listening: Promise<number>;

  constructor(bootstrap: string) {
    const script = join(import.meta.dirname, 'libtorrent-dht.py');
    this.#child = spawn(python, [script, bootstrap], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      for (const listener of [...this.#listeners]) listener(JSON.parse(line));
    });
    this.listening = this.next((told) => told.port);
  }

  announce(infoHash: string): void {
    this.#child.stdin!.write(`announce ${infoHash}\n`);
  }

  /** Asks until a peer is named: what was announced to a node a moment ago may not be everywhere yet. */
  async find(infoHash: string): Promise<[string, number][]> {
    for (;;) {
      const peers = this.next((told) => (told.found === infoHash ? told.peers : undefined));
      this.#child.stdin!.write(`find ${infoHash}\n`);
      const named = await peers;
      if (named.length > 0) return named;
    }
  }

  next<T>(pick: (told: Told) => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const listener = (told: Told): void => {
        const picked = pick(told);
        if (picked === undefined) return;
        this.#listeners.delete(listener);
        resolve(picked);
      };
      this.#listeners.add(listener);
    });
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

function firstPeer(dht: Dht, infoHash: Uint8Array): Promise<{ host: string; port: number }> {
  return new Promise((resolve) => {
    const cancel = dht.findPeers(
      infoHash,
      ([peer]) => {
        cancel();
        resolve(peer!);
      },
      undefined,
      { wantedPeers: 1, firstDelayMs: 100, maxDelayMs: 1_000 },
    );
  });
}

/** Resolves once the routing table has so many nodes: looks up until it does. */
function knowing(dht: Dht, nodes: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = dht.findPeers(
      new Uint8Array(20).fill(0x33),
      () => {},
      () => {
        if (dht.stats().nodes < nodes) return;
        cancel();
        resolve();
      },
      { wantedPeers: 1, firstDelayMs: 50, maxDelayMs: 100 },
    );
  });
}

describe('DHT with libtorrent', () => {
  if (isMissing) {
    it.skipIf(!isRequired)('needs python3-libtorrent, which is missing', () => {
      throw new Error('install python3-libtorrent: SKEP_TEST_ALL=1 asks for every test');
    });
    return;
  }

  const host = createNodeHost();
  const nodes: Dht[] = [];
  let libtorrent: LibtorrentDht;
  let libtorrentPort = 0;
  const start = async (bootstrap: readonly { host: string; port: number }[]): Promise<Dht> => {
    const dht = await createDht({ host }, { local: { host: '127.0.0.1', port: 0 }, bootstrap });
    nodes.push(dht);
    return dht;
  };

  beforeAll(async () => {
    const first = await start([]);
    for (let index = 0; index < 3; index++) await start([first.local]);
    libtorrent = new LibtorrentDht(`127.0.0.1:${first.local.port}`);
    libtorrentPort = await libtorrent.listening;
  });

  afterAll(async () => {
    for (const node of nodes) node.close();
    await libtorrent.close();
    await host.close();
  });

  it('libtorrent finds what we announced', async () => {
    nodes[2]!.announce(new Uint8Array(20).fill(0x11), 4111);
    expect(await libtorrent.find('11'.repeat(20))).toContainEqual(['127.0.0.1', 4111]);
  });

  it('we find what libtorrent announced', async () => {
    libtorrent.announce('22'.repeat(20));
    const peer = await firstPeer(nodes[3]!, new Uint8Array(20).fill(0x22));
    expect(peer).toEqual({ host: '127.0.0.1', port: libtorrentPort });
  });

  it('a newcomer enters by libtorrent alone', async () => {
    const newcomer = await start([{ host: '127.0.0.1', port: libtorrentPort }]);
    expect(await firstPeer(newcomer, new Uint8Array(20).fill(0x11))).toEqual({
      host: '127.0.0.1',
      port: 4111,
    });
    await knowing(newcomer, 4);
  });
});
