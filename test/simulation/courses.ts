/**
 * Courses of three kinds of world by seed, each as a hash over all that crossed its network: the whole product
 * under faults, a swarm, a DHT. Run by itself it prints them: what must be equal wherever and whenever it runs.
 */
import { createNode, type Node } from '@skep/p2p-core';
import { createMetainfo } from '@skep/p2p-core/metainfo';
import { runSafety, type SimHost, SimWorld } from '@skep/sim';

const port = 6881;
const addressOf = (number: number) => `10.0.0.${number}`;

export interface Courses {
  readonly product: string;
  readonly swarm: string;
  readonly dht: string;
}

export async function courses(): Promise<Courses> {
  const { hash: product } = await runSafety(3);
  return { product, swarm: await swarm(7), dht: await dht(11) };
}

/** Four leeches, losses, a crash of one of them, half a megabyte. */
async function swarm(seed: number): Promise<string> {
  const network = { latencyMs: { minMs: 5, maxMs: 40 }, jitterMs: 5, udpLossRate: 0.05 };
  const world = new SimWorld({ seed, network });
  const hosts = hostsIn(world, 5);
  const [first] = hosts;
  await world.complete(first!.files.writeAtomic('/data/content', first!.random.bytes(500_000)));
  const metainfo = await world.complete(createMetainfo(first!, '/data/content', { pieceLength: 32 * 1_024 }));
  const nodes = await nodesOn(world, hosts, false);
  await world.complete(nodes[0]!.add({ metainfo, contentRoot: '/data', mode: 'seed' }));
  const torrents = [];
  for (const node of nodes.slice(1)) {
    const peers = [{ host: addressOf(1), port }];
    torrents.push(
      await world.complete(node.add({ metainfo, contentRoot: '/data', mode: 'download', peers })),
    );
  }
  world.at(world.nowMs + 300, () => hosts[4]!.crash());
  const living = torrents.slice(0, 3);
  await world.complete(
    Promise.all(living.map((torrent) => torrent.waitFor(({ state }) => state === 'seeding'))),
  );
  return world.traceHash();
}

/** Twelve nodes that find each other through the first, under loss, for twenty virtual seconds. */
async function dht(seed: number): Promise<string> {
  const world = new SimWorld({ seed, network: { udpLossRate: 0.1, udpDuplicateRate: 0.02, jitterMs: 10 } });
  await nodesOn(world, hostsIn(world, 12), true);
  await world.run({ untilMs: world.nowMs + 20_000 });
  return world.traceHash();
}

function hostsIn(world: SimWorld, count: number): SimHost[] {
  return Array.from({ length: count }, (_, index) => world.createHost({ address: addressOf(index + 1) }));
}

async function nodesOn(world: SimWorld, hosts: readonly SimHost[], withDht: boolean): Promise<Node[]> {
  const nodes: Node[] = [];
  for (const host of hosts) {
    const bootstrap = host === hosts[0] ? [] : [{ host: addressOf(1), port }];
    const listen = { host: host.address, port };
    nodes.push(await world.complete(createNode({ host }, { listen, dht: withDht ? { bootstrap } : false })));
  }
  return nodes;
}

if (import.meta.main) process.stdout.write(JSON.stringify(await courses()));
