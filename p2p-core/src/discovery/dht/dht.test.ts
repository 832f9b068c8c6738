/** The DHT as a whole, in a world of virtual time: small clusters, large ones, loss, deaths and hostile bytes. */
import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../host/address.ts';
import type { Address } from '../../host/host.ts';
import { createDht, type Dht, type DhtOptions } from './dht.ts';
import { encodeKrpc } from './krpc.ts';
import { World, type WorldOptions } from './testing/world.ts';

const infoHash = new Uint8Array(20).fill(0xab);

function addressOf(index: number): Address {
  return { host: `10.0.${index >> 8}.${index & 255}`, port: 6881 };
}

async function start(world: World, index: number, options: Partial<DhtOptions> = {}): Promise<Dht> {
  const bootstrap = [addressOf(0), addressOf(1), addressOf(2)];
  return createDht({ host: world.host(1000 + index) }, { local: addressOf(index), bootstrap, ...options });
}

async function cluster(size: number, options: WorldOptions = {}): Promise<{ world: World; nodes: Dht[] }> {
  const world = new World(options);
  const nodes: Dht[] = [];
  for (let index = 0; index < size; index++) {
    nodes.push(await start(world, index));
    if (size > 20) world.run(20);
  }
  return { world, nodes };
}

/** Lets time pass until one round of a search is over; the peers it found. */
function search(world: World, dht: Dht): string[] {
  const found: string[] = [];
  let isDone = false;
  dht.findPeers(
    infoHash,
    (peers) => found.push(...peers.map(formatAddress)),
    () => {
      isDone = true;
    },
  );
  expect(world.run(30_000, () => isDone)).toBe(true);
  return found;
}

function announced(world: World, dht: Dht, port: number): number {
  let accepted = 0;
  dht.announce(infoHash, port, (count) => {
    accepted = count;
  });
  expect(world.run(30_000, () => accepted > 0)).toBe(true);
  return accepted;
}

describe('a small cluster', () => {
  it('that knows enough nodes pings one it is told of, and does not join anew for each', async () => {
    const { world, nodes } = await cluster(12);
    world.run(10_000);
    const dht = nodes[5]!;
    const before = dht.stats().messagesOut;
    for (let turn = 0; turn < 20; turn++) dht.addNodes([addressOf(99)]);
    world.run(1_000);
    expect(dht.stats().messagesOut).toBe(before + 1);
  });

  it('finds the seed within tens of ms of its announcement', async () => {
    const { world, nodes } = await cluster(8);
    world.run(100);
    expect(announced(world, nodes[3]!, 4000)).toBe(7);
    const beforeMs = world.nowMs;
    let foundAtMs: number | undefined;
    nodes[7]!.findPeers(infoHash, () => {
      foundAtMs ??= world.nowMs;
    });
    world.run(1_000, () => foundAtMs !== undefined);
    expect(foundAtMs! - beforeMs).toBeLessThan(10);
    for (const node of nodes) expect(search(world, node)).toEqual(['10.0.0.3:4000']);
  });

  it('tells of a ping whether it was answered, and nothing once that is cancelled', async () => {
    const { world, nodes } = await cluster(2);
    world.run(100);
    const told: [number, boolean][] = [];
    for (const index of [1, 99]) nodes[0]!.ping(addressOf(index), (answered) => told.push([index, answered]));
    nodes[0]!.ping(addressOf(1), () => told.push([-1, true]))();
    expect(told).toEqual([]);
    world.run(5_000);
    expect(told).toEqual([
      [1, true],
      [99, false],
    ]);
  });

  it('finds what it announced at others, if they have it', async () => {
    const { world, nodes } = await cluster(3);
    world.run(100);
    const named: string[] = [];
    const ofOthers = { wantedPeers: 1, firstDelayMs: 100, fromOthersOnly: true };
    const tell = (peers: readonly Address[]) => named.push(...peers.map(formatAddress));
    const alone = await start(world, 3, { bootstrap: [] });
    alone.announce(infoHash, 4000);
    alone.findPeers(infoHash, tell, undefined, ofOthers);
    world.run(2_000);
    expect(named).toEqual([]);
    nodes[1]!.announce(infoHash, 4001);
    nodes[1]!.findPeers(infoHash, tell, undefined, ofOthers);
    world.run(2_000);
    expect(named).toContain('10.0.0.1:4001');
  });

  it('answers a search begun before anybody was there', async () => {
    const world = new World();
    const leech = await start(world, 5);
    const found: string[] = [];
    let rounds = 0;
    const onPeers = (peers: Address[]): void => {
      found.push(...peers.map(formatAddress));
    };
    leech.findPeers(infoHash, onPeers, () => rounds++);
    world.run(2_500);
    expect(rounds).toBe(0);
    const bootstrap = await start(world, 0);
    bootstrap.announce(infoHash, 4001);
    world.run(3_000, () => rounds === 1);
    expect(found).toEqual(['10.0.0.0:4001']);
  });

  it('searches again while there are too few peers, and less often in time', async () => {
    const { world, nodes } = await cluster(4);
    world.run(100);
    const rounds: number[] = [];
    const found: string[] = [];
    const cancel = nodes[0]!.findPeers(
      infoHash,
      (peers) => found.push(...peers.map(formatAddress)),
      () => rounds.push(world.nowMs),
      { wantedPeers: 1, firstDelayMs: 100, maxDelayMs: 1_600 },
    );
    world.run(1_000);
    const pauses = rounds.slice(1).map((atMs, index) => Math.round((atMs - rounds[index]!) / 100));
    expect(pauses).toEqual([1, 2, 4]);
    nodes[1]!.announce(infoHash, 4002);
    world.run(2_000);
    expect(found).toContain('10.0.0.1:4002');
    cancel();
    const before = rounds.length;
    world.run(60_000);
    expect(rounds.length).toBe(before);
  });

  it('keeps an announcement alive until it is cancelled, and then lets it fade', async () => {
    const { world, nodes } = await cluster(5);
    world.run(100);
    const cancel = nodes[1]!.announce(infoHash, 4003);
    world.run(3 * 3_600_000);
    expect(search(world, nodes[4]!)).toEqual(['10.0.0.1:4003']);
    cancel();
    world.run(3_600_000);
    expect(search(world, nodes[4]!)).toEqual([]);
  });

  it('takes a replaced bootstrap node at the same address in, and joins others through it alone', async () => {
    const { world, nodes } = await cluster(8);
    world.run(1_000);
    const before = nodes[0]!.nodeId;
    nodes[0]!.close();
    const replacement = await start(world, 0, { nodeId: new Uint8Array(20).fill(0x55) });
    expect(replacement.nodeId).not.toEqual(before);
    world.run(2_000);
    expect(replacement.stats().nodes).toBe(7);
    announced(world, nodes[6]!, 4004);
    const fresh = await start(world, 20, { bootstrap: [addressOf(0)] });
    expect(search(world, fresh)).toEqual(['10.0.0.6:4004']);
    expect(nodes[4]!.stats().nodes).toBe(8);
  });

  it('answers nothing while read-only, and enters no table', async () => {
    const { world, nodes } = await cluster(3);
    world.run(100);
    announced(world, nodes[2]!, 4005);
    const visitor = await start(world, 9, { readOnly: true });
    expect(search(world, visitor)).toEqual(['10.0.0.2:4005']);
    world.run(60_000);
    expect(nodes.map((node) => node.stats().nodes)).toEqual([2, 2, 2]);
    expect(visitor.stats().nodes).toBe(3);
  });

  it('comes back from a snapshot without any bootstrap node, with its id', async () => {
    const { world, nodes } = await cluster(6);
    world.run(1_000);
    const snapshot = nodes[5]!.snapshot();
    expect(snapshot.length).toBe(20 + 5 * 26);
    nodes[5]!.close();
    const restored = await start(world, 5, { bootstrap: [], snapshot });
    expect(restored.nodeId).toEqual(snapshot.subarray(0, 20));
    world.run(1_000);
    expect(restored.stats().nodes).toBe(5);
  });

  it('ignores a damaged snapshot', async () => {
    const world = new World();
    for (const [index, length] of [0, 19, 21, 45].entries()) {
      const dht = await start(world, index, { snapshot: new Uint8Array(length) });
      expect(dht.nodeId.length).toBe(20);
      expect(dht.nodeId.some((byte) => byte !== 0)).toBe(true);
    }
  });

  it('calls nobody back after close, and falls silent', async () => {
    const { world, nodes } = await cluster(4);
    world.run(100);
    let calls = 0;
    nodes[3]!.findPeers(
      infoHash,
      () => calls++,
      () => calls++,
    );
    nodes[3]!.announce(infoHash, 4006, () => calls++);
    for (const node of nodes) node.close();
    const { datagrams } = world;
    world.run(3_600_000);
    expect(calls).toBe(0);
    expect(world.datagrams).toBe(datagrams);
    expect(() => nodes[3]!.announce(infoHash, 4006)).toThrow(/closed/);
  });
});

describe('200 nodes', () => {
  it('join with fewer than 150 datagrams each, queries and answers, even all at once', async () => {
    const { world } = await cluster(200, { jitterMs: 40 });
    world.run(60_000);
    expect(world.datagrams / 200).toBeLessThan(150);
  });

  it('find what was announced, from everywhere', async () => {
    const { world, nodes } = await cluster(200, { jitterMs: 40 });
    world.run(60_000);
    expect(announced(world, nodes[77]!, 5000)).toBe(8);
    for (const node of nodes) expect(search(world, node)).toEqual(['10.0.0.77:5000']);
  });

  it('still do with every fifth datagram lost and a third of the nodes dead', async () => {
    const { world, nodes } = await cluster(200, { seed: 7, jitterMs: 40, loss: 0.2 });
    world.run(60_000);
    announced(world, nodes[150]!, 5001);
    world.run(10_000);
    const alive = nodes.filter((node, index) => {
      const dies = index % 3 === 1 && index !== 150;
      if (dies) node.close();
      return !dies;
    });
    const missed = alive.filter((node) => !search(world, node).includes('10.0.0.150:5001'));
    expect(missed.length).toBe(0);
  });

  it('do the same again from the same seed', async () => {
    const trace = async (): Promise<string> => {
      const { world, nodes } = await cluster(30, { seed: 3, jitterMs: 30, loss: 0.1 });
      announced(world, nodes[9]!, 5002);
      world.run(60_000);
      return JSON.stringify([world.datagrams, nodes.map((node) => node.stats())]);
    };
    expect(await trace()).toBe(await trace());
  });
});

describe('hostile datagrams', () => {
  it('neither throw nor grow anything without end', async () => {
    const { world, nodes } = await cluster(3);
    world.run(1_000);
    const before = nodes[0]!.stats();
    const sample = encodeKrpc({
      kind: 'query',
      method: 'get_peers',
      transactionId: Uint8Array.of(1, 2),
      id: new Uint8Array(20).fill(9),
      readOnly: false,
      infoHash,
    }).slice();
    for (let round = 0; round < 20_000; round++) {
      const datagram = sample.slice(0, 1 + world.random.float() * sample.length);
      for (let flips = world.random.float() * 4; flips > 0; flips--)
        datagram[world.random.float() * datagram.length] = world.random.float() * 256;
      const from = {
        host: `9.${(world.random.float() * 256) | 0}.${round & 255}.7`,
        port: 1 + (round % 60_000),
      };
      world.send(round % 3 === 0 ? world.random.bytes(round % 100) : datagram, from, addressOf(0));
      if (round % 100 === 0) world.run(2);
    }
    world.run(10_000);
    const after = nodes[0]!.stats();
    expect(after.messagesIn - before.messagesIn).toBeGreaterThan(19_000);
    expect(after.dropped).toBeGreaterThan(10_000);
    expect(after.nodes).toBe(2);
    expect(after.outstanding).toBe(0);
    expect(search(world, nodes[1]!)).toEqual([]);
  });

  it('from one source are answered no more than the limit allows', async () => {
    const { world, nodes } = await cluster(1);
    const query = encodeKrpc({
      kind: 'query',
      method: 'ping',
      transactionId: Uint8Array.of(1),
      id: new Uint8Array(20).fill(9),
      readOnly: true,
    }).slice();
    world.run(20_000);
    const before = nodes[0]!.stats().messagesOut;
    for (let count = 0; count < 5_000; count++) world.send(query, { host: '9.9.9.9', port: 9 }, addressOf(0));
    world.run(50);
    expect(nodes[0]!.stats().messagesOut - before).toBeLessThanOrEqual(203);
    expect(nodes[0]!.stats().messagesOut - before).toBeGreaterThan(190);
  });
});
