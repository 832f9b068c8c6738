/**
 * A swarm of real nodes in one simulated world, on one core: one seed, and leeches on links of one kind that all
 * begin at once and get their neighbours as a tracker would give them. Tells how much processor time that
 * takes, and how near the last to finish comes to the bound that no swarm can beat.
 */
import { minimumDistributionMs } from '@skep/control-api/experiments';
import { createNode, type Node, type Torrent } from '@skep/p2p-core';
import { createMetainfo, type Metainfo } from '@skep/p2p-core/metainfo';
import type { SimHost } from '@skep/sim';
import { RandomStream, SimWorld } from '@skep/sim';
import { liveBytes, shares } from './profile.ts';

export interface SwarmOptions {
  /** Leeches, beside the one seed. */
  readonly peers: number;
  /** Of the content. */
  readonly bytes: number;
  readonly pieceBytes?: number | undefined;
  /** Of every link, the seed's too. @default 1.25 million: 10 Mbit/s */
  readonly upBytesPerSecond?: number;
  /** @default four times the upload */
  readonly downBytesPerSecond?: number;
  /** Addresses that each peer is told, and the most it connects to. @default 50 */
  readonly neighbours?: number;
  readonly seed?: number;
  /** Gives up after so much virtual time. @default no limit */
  readonly untilMs?: number;
  /** Looks at memory and at where the time goes in the middle of the run. @default false */
  readonly isProfiled?: boolean;
  /** Called every ten virtual seconds. */
  readonly onProgress?: (line: string) => void;
}

export interface SwarmResult {
  /** Leeches that finished, and when each did, in order. */
  readonly finishedMs: readonly number[];
  /** See `minimumDistributionMs`. */
  readonly boundMs: number;
  readonly virtualMs: number;
  /** Processor time of all threads, the garbage collector's included; without what building and looking into the world took. */
  readonly cpuMs: number;
  readonly blocks: number;
  readonly events: number;
  /** Bytes that the seed sent, as a multiple of the content. */
  readonly seedCopies: number;
  /** Part of what was received that came twice. */
  readonly wastedRate: number;
  readonly peakBytes: number;
  readonly profile?: {
    readonly shares: readonly [layer: string, share: number][];
    /** What one end of a connection keeps alive, all parts of its node and of the simulator shared out. */
    readonly bytesPerConnection: number;
  };
}

const PORT = 6881;
const BLOCK_BYTES = 16 * 1024;
const STEP_MS = 10_000;
const PROFILED_MS = 5_000;

const LAYERS: Readonly<Record<string, RegExp>> = {
  engine:
    /sim\/src\/host\/(event-queue|driver|sim-process|sim-host|sim-world|random-stream|trace|slot-heap)\.ts$/,
  'network model': /sim\/src\/host\/(tcp|send-stream|receive-stream|links|fabric|paths|sockets|machine|nat)/,
  'disk model': /sim\/src\/host\//,
  'torrent and wire': /p2p-core\/src\/(torrent|wire)\//,
  'rest of p2p-core': /p2p-core\/src\//,
  benchmark: /bench\/sim\//,
};

/** Runs a swarm to its end, or until `untilMs`. */
export async function swarm(options: SwarmOptions): Promise<SwarmResult> {
  const scene = new Scene(options);
  await scene.build();
  return scene.run();
}

/** Runs a swarm and prints what came of it. */
export async function benchmarkSwarm(options: SwarmOptions): Promise<SwarmResult> {
  const result = await swarm({ isProfiled: true, ...options });
  const { boundMs, cpuMs, virtualMs, blocks, events, finishedMs, profile } = result;
  const count = (value: number) => Math.round(value).toLocaleString('en-US');
  const toBound = (ms: number | undefined) => (ms === undefined ? '-' : (ms / boundMs).toFixed(3));
  console.log(
    `speed     ${count(blocks)} blocks, ${count((blocks / cpuMs) * 1_000)} a second of processor time; ${(virtualMs / cpuMs).toFixed(2)} times real time`,
  );
  console.log(
    `time      ${(virtualMs / 1_000).toFixed(0)} s virtual, ${(cpuMs / 1_000).toFixed(0)} s of processor; ${(events / blocks).toFixed(1)} events a block`,
  );
  console.log(
    `finished  ${finishedMs.length} of ${options.peers}; bound ${(boundMs / 1_000).toFixed(1)} s, first ${toBound(finishedMs[0])} of it, median ${toBound(finishedMs[finishedMs.length >> 1])}, last ${toBound(finishedMs.at(-1))}`,
  );
  console.log(
    `traffic   the seed sent the content ${result.seedCopies.toFixed(2)} times; ${(result.wastedRate * 100).toFixed(2)} % came twice`,
  );
  const perConnection =
    profile && `, ${(profile.bytesPerConnection / 1_024).toFixed(1)} KiB an end of a connection`;
  console.log(`memory    ${count(result.peakBytes / 2 ** 20)} MiB at most${perConnection ?? ''}`);
  if (profile !== undefined)
    console.log(
      `          ${profile.shares.map(([layer, share]) => `${layer} ${(share * 100).toFixed(0)} %`).join(', ')}`,
    );
  return result;
}

class Scene {
  readonly #options: Required<
    Pick<SwarmOptions, 'peers' | 'bytes' | 'upBytesPerSecond' | 'neighbours' | 'seed'>
  > &
    SwarmOptions;
  readonly #world: SimWorld;
  readonly #chance: RandomStream;
  readonly #torrents: Torrent[] = [];
  readonly #finishedMs: number[] = [];
  #seed!: Torrent;
  #beganMs = 0;
  #events = 0;
  #cpuMs = 0;
  #peakBytes = 0;

  constructor(options: SwarmOptions) {
    this.#options = { upBytesPerSecond: 1_250_000, neighbours: 50, seed: 1, ...options };
    const { seed } = this.#options;
    this.#world = new SimWorld({ seed, network: { latencyMs: { minMs: 10, maxMs: 50 } } });
    this.#chance = new RandomStream(seed, 'neighbours');
  }

  get #downBytesPerSecond(): number {
    return this.#options.downBytesPerSecond ?? 4 * this.#options.upBytesPerSecond;
  }

  async build(): Promise<void> {
    const { peers, bytes, pieceBytes } = this.#options;
    const hosts = Array.from({ length: peers + 1 }, (_, i) => this.#host(i));
    const [first] = hosts;
    first!.disk.putSynthetic('/data/content', { seed: 'content', length: bytes });
    const metainfo = await this.#world.complete(
      createMetainfo(first!, '/data/content', pieceBytes === undefined ? {} : { pieceLength: pieceBytes }),
    );
    const nodes: Node[] = [];
    for (const host of hosts) nodes.push(await this.#world.complete(this.#node(host)));
    this.#seed = await this.#world.complete(nodes[0]!.add({ metainfo, contentRoot: '/data', mode: 'seed' }));
    await this.#world.complete(this.#seed.waitFor(({ state }) => state === 'seeding'));
    this.#beganMs = this.#world.nowMs;
    await this.#world.complete(
      Promise.all(nodes.map((node, i) => (i === 0 ? undefined : this.#leech(node, i, metainfo)))),
    );
  }

  #host(i: number): SimHost {
    const { upBytesPerSecond } = this.#options;
    return this.#world.createHost({
      address: addressOf(i),
      upBytesPerSecond,
      downBytesPerSecond: this.#downBytesPerSecond,
    });
  }

  #node(host: SimHost): Promise<Node> {
    const listen = { host: host.address, port: PORT };
    return createNode({ host }, { listen, dht: false, maxPeers: this.#options.neighbours });
  }

  async #leech(node: Node, i: number, metainfo: Metainfo): Promise<void> {
    const peers = [...this.#neighboursOf(i)].map((other) => ({ host: addressOf(other), port: PORT }));
    const torrent = await node.add({ metainfo, contentRoot: '/data', mode: 'download', peers });
    this.#torrents.push(torrent);
    void torrent
      .waitFor(({ state }) => state === 'seeding')
      .then(() => this.#finishedMs.push(this.#world.nowMs - this.#beganMs));
  }

  #neighboursOf(i: number): Set<number> {
    const { peers, neighbours } = this.#options;
    const chosen = new Set<number>();
    while (chosen.size < Math.min(neighbours, peers)) {
      const other = Math.floor(this.#chance.float() * (peers + 1));
      if (other !== i) chosen.add(other);
    }
    return chosen;
  }

  async run(): Promise<SwarmResult> {
    const { peers, bytes, isProfiled = false, untilMs = Number.POSITIVE_INFINITY } = this.#options;
    const boundMs = this.#boundMs();
    let profile: SwarmResult['profile'];
    while (this.#finishedMs.length < peers && this.#world.nowMs - this.#beganMs < untilMs) {
      await this.#pass(STEP_MS);
      if (isProfiled && profile === undefined && this.#world.nowMs - this.#beganMs > boundMs / 3) {
        profile = await this.#profile();
      }
    }
    const statuses = this.#torrents.map((torrent) => torrent.status());
    const received = statuses.reduce((sum, { downloadedBytes }) => sum + downloadedBytes, 0);
    const wasted = statuses.reduce((sum, { wastedBytes }) => sum + wastedBytes, 0);
    return {
      finishedMs: [...this.#finishedMs].sort((a, b) => a - b),
      boundMs,
      virtualMs: this.#world.nowMs - this.#beganMs,
      cpuMs: this.#cpuMs,
      blocks: received / BLOCK_BYTES,
      events: this.#events,
      seedCopies: this.#seed.status().uploadedBytes / bytes,
      wastedRate: wasted / received,
      peakBytes: this.#peakBytes,
      profile,
    };
  }

  #boundMs(): number {
    const { peers, bytes, upBytesPerSecond } = this.#options;
    const rates = { upBytesPerSecond, downBytesPerSecond: this.#downBytesPerSecond };
    const leeches = Array.from({ length: peers }, () => rates);
    return minimumDistributionMs(bytes, { seedUpBytesPerSecond: upBytesPerSecond, leeches })!;
  }

  async #pass(ms: number): Promise<void> {
    const { peers, onProgress } = this.#options;
    const before = process.cpuUsage();
    const { events } = await this.#world.run({
      untilMs: this.#world.nowMs + ms,
      until: () => this.#finishedMs.length >= peers,
    });
    const { user, system } = process.cpuUsage(before);
    this.#cpuMs += (user + system) / 1_000;
    this.#events += events;
    this.#peakBytes = Math.max(this.#peakBytes, process.memoryUsage().rss);
    if (onProgress === undefined) return;
    const pieces = this.#torrents.map((torrent) => torrent.status().pieces.have);
    const [least, most] = pieces.reduce(
      ([a, b], have) => [Math.min(a, have), Math.max(b, have)],
      [Infinity, 0],
    );
    onProgress(
      `${((this.#world.nowMs - this.#beganMs) / 1_000).toFixed(0)} s: ${least} to ${most} pieces, ${this.#finishedMs.length} finished, ${(this.#peakBytes / 2 ** 20).toFixed(0)} MiB`,
    );
  }

  async #profile(): Promise<SwarmResult['profile']> {
    const parts = await shares(LAYERS, () => this.#pass(PROFILED_MS));
    const ends = this.#torrents.reduce((sum, torrent) => sum + torrent.status().peers.connected, 0);
    return { shares: parts, bytesPerConnection: liveBytes() / ends };
  }
}

function addressOf(i: number): string {
  const n = i + 1;
  return `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
}
