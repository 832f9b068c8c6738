/** The same swarm in the simulator: the same torrent code, links of the same rates, paths of the same delay. */
import { createNode } from '@skep/p2p-core';
import type { Metainfo } from '@skep/p2p-core/metainfo';
import { SimWorld } from '@skep/sim';

export interface SimulatedSwarm {
  readonly seed: number;
  readonly metainfo: Metainfo;
  readonly content: Uint8Array;
  readonly leeches: number;
  /** Whether the seed suggests pieces, as Skep does and libtorrent does not. */
  readonly suggest: boolean;
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  /** One way, between any two machines. */
  readonly delayMs: number;
}

const port = 6881;
const addressOf = (machine: number) => `10.214.${machine}.2`;

/** Seconds of virtual time that each leech took. */
export async function simulateSwarm(swarm: SimulatedSwarm): Promise<number[]> {
  const { metainfo, upBytesPerSecond, downBytesPerSecond } = swarm;
  const world = new SimWorld({ seed: swarm.seed, network: { latencyMs: swarm.delayMs } });
  const start = async (machine: number) => {
    const host = world.createHost({ address: addressOf(machine), upBytesPerSecond, downBytesPerSecond });
    const listen = { host: addressOf(machine), port };
    return { host, node: await world.complete(createNode({ host }, { listen, dht: false })) };
  };
  const seed = await start(0);
  await world.complete(seed.host.files.writeAtomic(`/content/${metainfo.info.name}`, swarm.content));
  const seeding = await world.complete(
    seed.node.add({ metainfo, contentRoot: '/content', mode: 'seed', suggest: swarm.suggest }),
  );
  await world.complete(seeding.waitFor(({ state }) => state === 'seeding'));
  const leeches = [];
  for (let machine = 1; machine <= swarm.leeches; machine++) leeches.push(await start(machine));
  const begunMs = world.nowMs;
  const seconds = leeches.map(async ({ node }, index) => {
    const peers = Array.from({ length: index + 1 }, (_, other) => ({ host: addressOf(other), port }));
    const torrent = await node.add({ metainfo, contentRoot: '/content', mode: 'download', peers });
    await torrent.waitFor(({ state }) => state === 'seeding');
    return (world.nowMs - begunMs) / 1_000;
  });
  return world.complete(Promise.all(seconds));
}
