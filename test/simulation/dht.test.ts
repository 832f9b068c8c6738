/**
 * The DHT on simulated machines, by seed: what one node announced, every node that lives finds, with every
 * fifth datagram lost and a third of the nodes dead without a word.
 */
import { createDht, type Dht } from '@skep/p2p-core/discovery/dht';
import { type SimHost, SimWorld } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const size = 60;
const port = 6881;
const infoHash = new Uint8Array(20).fill(0xab);
const addressOf = (index: number) => `10.0.0.${index + 1}`;

interface Member {
  readonly host: SimHost;
  readonly dht: Dht;
}

/** Nodes that enter one after the other by the first three, and have had a minute. */
async function cluster(world: SimWorld): Promise<Member[]> {
  const bootstrap = [0, 1, 2].map((index) => ({ host: addressOf(index), port }));
  const members: Member[] = [];
  for (let index = 0; index < size; index++) {
    const host = world.createHost({ address: addressOf(index) });
    const local = { host: host.address, port };
    members.push({ host, dht: await world.complete(createDht({ host }, { local, bootstrap })) });
    await world.run({ untilMs: world.nowMs + 20 });
  }
  await world.run({ untilMs: world.nowMs + 60_000 });
  return members;
}

/** The ports of the peers that one round of a search finds. */
async function search(world: SimWorld, { dht }: Member): Promise<number[]> {
  const found: number[] = [];
  const done = new Promise<void>((resolve) => {
    dht.findPeers(
      infoHash,
      (peers) => found.push(...peers.map((peer) => peer.port)),
      () => resolve(),
    );
  });
  await world.complete(done, { untilMs: world.nowMs + 30_000 });
  return found;
}

describe('a DHT of 60 nodes', () => {
  it.each([1, 2, 3, 4, 5])(
    'finds what was announced, from everywhere, in spite of loss and deaths (seed %i)',
    async (seed) => {
      const world = new SimWorld({ seed, network: { jitterMs: 40, udpLossRate: 0.2 } });
      const members = await cluster(world);
      const announcer = members[50]!;
      const accepted = new Promise<number>((resolve) => announcer.dht.announce(infoHash, 5_001, resolve));
      expect(await world.complete(accepted, { untilMs: world.nowMs + 30_000 })).toBeGreaterThanOrEqual(6);
      const victims = new Set(members.filter((_, index) => index % 3 === 1 && index !== 50));
      for (const { host } of victims) host.crash({ kind: 'machine' });
      const missed: string[] = [];
      for (const member of members) {
        if (victims.has(member)) continue;
        if (!(await search(world, member)).includes(5_001)) missed.push(member.host.address);
      }
      expect(missed).toEqual([]);
    },
    60_000,
  );
});
