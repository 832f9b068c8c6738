/**
 * Many DHT nodes in one simulated world, all on one core: they join from cold through three bootstrap nodes,
 * talk at about two messages per node and second, and at the end find what some of them announced. Messages are
 * counted where sockets take them in, so a tick of the simulator counts for nothing.
 */
import type { Dht } from '@skep/p2p-core/discovery/dht';
import { createDht } from '@skep/p2p-core/discovery/dht';
import type { Host } from '@skep/p2p-core/host';
import type { SimHost } from '@skep/sim';
import { SimWorld } from '@skep/sim';
import { liveBytes, shares } from './profile.ts';

export interface DhtBenchmarkOptions {
  /** @default 10 000 */
  readonly nodes?: number;
  readonly seed?: number;
}

const PORT = 6881;
const BOOTSTRAP_NODES = 3;
/** Between two starts. */
const START_INTERVAL_MS = 2;
/** A lookup takes some 20 queries, each of two messages; pings make up what lacks to two messages a second. */
const LOOKUP_INTERVAL_MS = 40_000;
const PING_INTERVAL_MS = 1_500;
const STEADY_MS = 60_000;
const PROFILED_MS = 20_000;
const SEARCHES = 100;
/** One node in so many is watched for what kinds of messages it gets: all would cost what is measured. */
const WATCHED = 64;

/** What shares of the time are told by: file names of the simulator's engine and network, the DHT, the rest. */
const LAYERS: Readonly<Record<string, RegExp>> = {
  engine:
    /sim\/src\/host\/(event-queue|slot-heap|driver|sim-process|sim-host|sim-world|random-stream|trace)\.ts$/,
  'network model': /sim\/src\/host\//,
  DHT: /p2p-core\/src\//,
  benchmark: /bench\/sim\//,
};

/** Runs all phases and prints a line for each. */
export async function benchmarkDht(options: DhtBenchmarkOptions = {}): Promise<void> {
  const { nodes = 10_000, seed = 1 } = options;
  const scene = new Scene(nodes, seed);
  const join = await scene.measure(() => scene.join());
  console.log(`join      ${describe(join)}`);
  await scene.letPass(30_000);
  scene.startChatter();
  await scene.letPass(10_000);
  scene.forgetKinds();
  const steady = await scene.measure(() => scene.letPass(STEADY_MS));
  const perNodeSecond = steady.delivered / nodes / (steady.virtualMs / 1_000);
  console.log(`steady    ${describe(steady)}, ${perNodeSecond.toFixed(2)} messages per node and second`);
  console.log(`mix       ${scene.mix()} of what nodes get, answers included`);
  console.log(`memory    ${(scene.bytesPerNode() / 1_024).toFixed(1)} KiB a node`);
  const found = await scene.search();
  console.log(`lookups   ${found} of ${SEARCHES} announced keys found`);
  const parts = await shares(LAYERS, () => scene.letPass(PROFILED_MS));
  console.log(
    `time      ${parts.map(([layer, share]) => `${layer} ${(share * 100).toFixed(0)} %`).join(', ')}`,
  );
  console.log(`trace     ${scene.traceHash()}`);
}

interface Measured {
  readonly delivered: number;
  readonly virtualMs: number;
  /** Processor time of all threads, the garbage collector's included. */
  readonly cpuMs: number;
}

function describe({ delivered, virtualMs, cpuMs }: Measured): string {
  const rate = Math.round((delivered / cpuMs) * 1_000).toLocaleString('en-US');
  const speed = (virtualMs / cpuMs).toFixed(1);
  return `${delivered.toLocaleString('en-US')} delivered, ${rate} a second of processor time; ${speed} times real time`;
}

class Scene {
  readonly #world: SimWorld;
  readonly #nodes: number;
  readonly #heapBefore = liveBytes();
  readonly #hosts: SimHost[] = [];
  readonly #dhts: Dht[] = [];
  /** What watched nodes got, by kind. */
  readonly #kinds = new Map<string, number>();

  constructor(nodes: number, seed: number) {
    this.#nodes = nodes;
    this.#world = new SimWorld({ seed, network: { latencyMs: { minMs: 10, maxMs: 50 } } });
  }

  /** Starts one node after another. */
  async join(): Promise<void> {
    const bootstrap = Array.from({ length: BOOTSTRAP_NODES }, (_, i) => ({ host: addressOf(i), port: PORT }));
    for (let i = 0; i < this.#nodes; i++) {
      const host = this.#world.createHost({ address: addressOf(i) });
      const seen = i % WATCHED === WATCHED - 1 ? watched(host, (message) => this.#noteKind(message)) : host;
      const created = createDht({ host: seen }, { local: { host: host.address, port: PORT }, bootstrap });
      this.#hosts.push(host);
      this.#dhts.push(await this.#world.complete(created));
      await this.letPass(START_INTERVAL_MS);
    }
  }

  /** From now on every node looks up random keys and asks others whether they are there. */
  startChatter(): void {
    const addresses = this.#dhts.map(({ local }) => local);
    for (const [i, dht] of this.#dhts.entries()) {
      const { clock, random } = this.#hosts[i]!;
      const repeat = (intervalMs: number, act: () => void): void => {
        const tick = (): void => {
          act();
          clock.setTimer(intervalMs, tick);
        };
        clock.setTimer(random.float() * intervalMs, tick);
      };
      repeat(LOOKUP_INTERVAL_MS, () => dht.findPeers(random.bytes(20), ignore));
      repeat(PING_INTERVAL_MS, () => {
        dht.addNodes([addresses[Math.floor(random.float() * this.#nodes)]!]);
      });
    }
  }

  forgetKinds(): void {
    this.#kinds.clear();
  }

  /** Kinds of messages that watched nodes got, with their shares. */
  mix(): string {
    const total = [...this.#kinds.values()].reduce((sum, count) => sum + count, 0);
    return [...this.#kinds]
      .sort((a, b) => b[1] - a[1])
      .map(([kind, count]) => `${kind} ${((count / total) * 100).toFixed(0)} %`)
      .join(', ');
  }

  async letPass(ms: number): Promise<void> {
    await this.#world.run({ untilMs: this.#world.nowMs + ms });
  }

  /** Announces keys at some nodes and looks for them from others; how many were found. */
  async search(): Promise<number> {
    const { random } = this.#hosts[0]!;
    let found = 0;
    for (let k = 0; k < SEARCHES; k++) {
      const key = random.bytes(20);
      const announcer = this.#dhts[(k * 37) % this.#nodes]!;
      const seeker = this.#dhts[(k * 101 + 7) % this.#nodes]!;
      await this.#world.complete(
        new Promise<void>((resolve) => {
          const stop = announcer.announce(key, 5_000 + k, () => {
            stop();
            resolve();
          });
        }),
      );
      const ports = new Set<number>();
      await this.#world.complete(
        new Promise<number>((resolve) => {
          seeker.findPeers(key, (peers) => peers.forEach(({ port }) => void ports.add(port)), resolve);
        }),
      );
      if (ports.has(5_000 + k)) found++;
    }
    return found;
  }

  /** What each node keeps alive, objects and buffers, its Host's part included. */
  bytesPerNode(): number {
    return (liveBytes() - this.#heapBefore) / this.#nodes;
  }

  async measure(work: () => Promise<void>): Promise<Measured> {
    const before = { delivered: this.#delivered(), virtualMs: this.#world.nowMs, cpu: process.cpuUsage() };
    await work();
    const { user, system } = process.cpuUsage(before.cpu);
    return {
      delivered: this.#delivered() - before.delivered,
      virtualMs: this.#world.nowMs - before.virtualMs,
      cpuMs: (user + system) / 1_000,
    };
  }

  traceHash(): string {
    return this.#world.traceHash();
  }

  #noteKind(message: Uint8Array): void {
    const kind = kindOf(message);
    this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
  }

  #delivered(): number {
    let messages = 0;
    for (const dht of this.#dhts) messages += dht.stats().messagesIn;
    return messages;
  }
}

/** The same Host, with `onMessage` told of each datagram that its UDP sockets get. */
function watched(host: SimHost, onMessage: (message: Uint8Array) => void): Host {
  const { clock, random, net, http, files, payload, compute } = host;
  return {
    clock,
    random,
    http,
    files,
    payload,
    compute,
    net: {
      connectTcp: (...parameters) => net.connectTcp(...parameters),
      listenTcp: (...parameters) => net.listenTcp(...parameters),
      resolve: (name) => net.resolve(name),
      bindUdp: (local, handle) =>
        net.bindUdp(local, (message, from) => {
          onMessage(message);
          handle(message, from);
        }),
    },
  };
}

const latin1 = new TextDecoder('latin1');

/** By the query's name; answers by what only answers to that query bring. Only get_peers is answered with a token. */
function kindOf(message: Uint8Array): string {
  const text = latin1.decode(message);
  if (text.startsWith('d1:ad')) {
    if (text.includes('9:get_peers')) return 'lookup';
    if (text.includes('9:find_node')) return 'join and refresh';
    return text.includes('4:ping') ? 'ping' : 'announce';
  }
  if (text.includes('5:token')) return 'lookup';
  return text.includes('5:nodes') ? 'join and refresh' : 'ping';
}

function addressOf(i: number): string {
  const n = i + 1;
  return `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
}

function ignore(): void {}
