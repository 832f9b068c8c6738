/** One seed, one course: the world's chance, and its order of async code. */
import { describe, expect, test } from 'vitest';
import { RandomStream } from './random-stream.ts';
import type { SimHost } from './sim-host.ts';
import { SimWorld } from './sim-world.ts';

/** Twenty hosts that gossip over lossy UDP and stream over TCP while one crashes and one is cut off. */
async function busyRun(seed: number): Promise<string> {
  const world = new SimWorld({
    seed,
    network: { jitterMs: 5, udpLossRate: 0.05, udpDuplicateRate: 0.05 },
  });
  const addresses = Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}`);
  const hosts = addresses.map((address) => world.createHost({ address, upBytesPerSecond: 1e6 }));
  const gossip = async (host: SimHost): Promise<void> => {
    const pick = () => addresses[Math.floor(host.random.float() * addresses.length)]!;
    const socket = await host.net.bindUdp({ host: '0.0.0.0', port: 7000 }, (message) => {
      if (message[0]! > 0) socket.send(Uint8Array.of(message[0]! - 1), { host: pick(), port: 7000 });
    });
    const onBytes = (view: Uint8Array) => view.length;
    await host.net.listenTcp({ host: '0.0.0.0', port: 7001 }, () => ({ onBytes, onClose: () => {} }));
    host.net
      .connectTcp({ host: pick(), port: 7001 }, { onBytes, onClose: () => {} })
      .send(host.random.bytes(90_000));
    for (let round = 0; round < 20; round++) {
      await new Promise<void>((resolve) => host.clock.setTimer(host.random.float() * 50, resolve));
      await host.files.append('/log', host.random.bytes(10));
      socket.send(Uint8Array.of(5), { host: pick(), port: 7000 });
    }
  };
  for (const host of hosts) void gossip(host);
  world.at(300, () => hosts[3]!.crash());
  world.at(350, () => world.partition([addresses[5]!], addresses));
  world.at(500, () => world.heal());
  await world.run({ untilMs: 5_000 });
  return world.traceHash();
}

describe('determinism', () => {
  test('the same seed takes the same course, another seed another', async () => {
    const first = await busyRun(1);
    expect(await busyRun(1)).toBe(first);
    expect(await busyRun(2)).not.toBe(first);
  });

  test('streams of one seed are unrelated and repeat', () => {
    const draws = (label: string) => new RandomStream(7, label).bytes(64);
    expect(draws('a')).toEqual(draws('a'));
    expect(draws('a')).not.toEqual(draws('b'));
    expect(new RandomStream(8, 'a').bytes(64)).not.toEqual(draws('a'));
  });

  test('a draw on one host shifts nothing on another', async () => {
    const drawOf = (extraDraws: number) => {
      const world = new SimWorld({ seed: 3 });
      world.createHost({ address: '10.0.0.1' }).random.bytes(extraDraws);
      return world.createHost({ address: '10.0.0.2' }).random.float();
    };
    expect(drawOf(0)).toBe(drawOf(1_000));
  });

  test('promises that one event settles run to their end before the next event of the same instant', async () => {
    const world = new SimWorld({ seed: 1 });
    const { clock } = world.createHost({ address: '10.0.0.1' });
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    void gate.promise.then(() => order.push('adopted'));
    clock.setTimer(5, () => {
      order.push('first');
      void (async () => {
        for (let step = 0; step < 3; step++) await null;
        order.push('awaited');
      })();
      gate.resolve(Promise.resolve());
    });
    clock.setTimer(5, () => order.push('second'));
    await world.run();
    expect(order.slice().sort()).toEqual(['adopted', 'awaited', 'first', 'second']);
    expect(order.at(-1)).toBe('second');
  });

  test('a run stops by time, condition, number of events, or when nothing is left', async () => {
    const world = new SimWorld({ seed: 1 });
    const { clock } = world.createHost({ address: '10.0.0.1' });
    let ticks = 0;
    const tick = () => {
      if (++ticks < 100) clock.setTimer(10, tick);
    };
    clock.setTimer(10, tick);
    expect((await world.run({ untilMs: 55 })).reason).toBe('time');
    expect([ticks, world.nowMs]).toEqual([5, 55]);
    expect((await world.run({ until: () => ticks === 8 })).reason).toBe('condition');
    expect(await world.run({ maxEvents: 3 })).toEqual({ reason: 'events', events: 3 });
    expect((await world.run()).reason).toBe('idle');
    expect(ticks).toBe(100);
  });
});

describe('a run', () => {
  test('an uncaught throw fails the run', async () => {
    const world = new SimWorld({ seed: 1 });
    world.createHost({ address: '10.0.0.1' }).clock.setTimer(1, () => {
      throw new Error('from a timer');
    });
    await expect(world.run()).rejects.toThrow('from a timer');
  });

  test('a promise that cannot settle is told as such', async () => {
    const world = new SimWorld({ seed: 1 });
    await expect(world.complete(new Promise(() => {}))).rejects.toThrow('nothing is left');
  });
});
