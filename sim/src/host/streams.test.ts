/** Streams over simulated links and paths: how fast they are, how they share, and that they lose nothing. */
import type { TcpConnection, TcpHandler } from '@skep/p2p-core/host';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SimHost } from './sim-host.ts';
import type { SimHostOptions, SimWorldOptions } from './sim-world.ts';
import { SimWorld } from './sim-world.ts';

const SEGMENT_BYTES = 1_448;
const FIRST_WINDOW_BYTES = 10 * SEGMENT_BYTES;
/** Share of what a link carries that is not headers. */
const PAYLOAD_SHARE = SEGMENT_BYTES / (SEGMENT_BYTES + 52);

/** Takes everything, and notes when how much of it was there. */
class Sink implements TcpHandler {
  bytes = 0;
  lastMs = 0;
  closed: string | undefined;
  connection!: TcpConnection;
  readonly #world: SimWorld;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  onBytes(view: Uint8Array): number {
    this.bytes += view.length;
    this.lastMs = this.#world.nowMs;
    return view.length;
  }

  onClose(error?: { code: string }): void {
    this.closed = error?.code ?? 'end';
  }
}

type Links = Omit<SimHostOptions, 'address'>;

/** A world of machines 10.0.0.1 and on, which accept connections at port 80; accepted ends are sinks. */
async function worldOf(network: NonNullable<SimWorldOptions['network']>, links: readonly Links[]) {
  const world = new SimWorld({ seed: 1, network });
  const hosts = links.map((link, i) => world.createHost({ address: `10.0.0.${i + 1}`, ...link }));
  const sinks: Sink[][] = hosts.map(() => []);
  const listening = hosts.map((host, i) =>
    host.net.listenTcp({ host: host.address, port: 80 }, (connection) => {
      const sink = new Sink(world);
      sink.connection = connection;
      sinks[i]!.push(sink);
      return sink;
    }),
  );
  await world.complete(Promise.all(listening));
  /** Both ends of a new connection, once it is open. */
  const connect = async (from: number, to: number): Promise<{ near: Sink; far: Sink }> => {
    const near = new Sink(world);
    const opened = new Promise<void>((resolve) => {
      const handler = Object.assign(near, { onOpen: resolve });
      near.connection = hosts[from]!.net.connectTcp({ host: hosts[to]!.address, port: 80 }, handler);
    });
    const before = sinks[to]!.length;
    await world.complete(opened);
    return { near, far: sinks[to]![before]! };
  };
  return { world, hosts, sinks, connect };
}

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7) & 255);

describe('how fast a stream is', () => {
  test.each([50_000, 1_250_000, 12_500_000])(
    'it fills an uplink of %i bytes a second to the percent',
    async (rate) => {
      const { world, connect } = await worldOf({ latencyMs: 5 }, [{ upBytesPerSecond: rate }, {}]);
      const { near, far } = await connect(0, 1);
      const startMs = world.nowMs;
      near.connection.send(new Uint8Array(rate * 20));
      await world.run();
      expect(far.bytes).toBe(rate * 20);
      expect(((far.lastMs - startMs) * PAYLOAD_SHARE) / 20_000).toBeCloseTo(1, 2);
    },
  );

  test('a short transfer takes the round trips of slow start', async () => {
    const { world, connect } = await worldOf({ latencyMs: 50 }, [{}, {}]);
    for (const [windows, roundTrips] of [
      [1, 0.5],
      [3, 1.5],
      [7, 2.5],
      [7.01, 3.5],
      [63, 5.5],
    ] as const) {
      const { near, far } = await connect(0, 1);
      const startMs = world.nowMs;
      near.connection.send(new Uint8Array(Math.round(windows * FIRST_WINDOW_BYTES)));
      await world.run();
      expect(far.lastMs - startMs).toBeCloseTo(roundTrips * 100);
    }
  });

  test('a window of 1 MiB bounds it on a long path', async () => {
    const { world, connect } = await worldOf({ latencyMs: 100 }, [{}, {}]);
    const { near, far } = await connect(0, 1);
    near.connection.send(new Uint8Array(40 * 2 ** 20));
    await world.run({ untilMs: world.nowMs + 2_000 });
    const before = far.bytes;
    await world.run({ untilMs: world.nowMs + 4_000 });
    expect((far.bytes - before) / (20 * 2 ** 20)).toBeCloseTo(1, 1);
  });

  // Mathis, Semke, Mahdavi and Ott 1997: MSS / RTT * sqrt(3/2) / sqrt(p).
  test.each([0.001, 0.003, 0.01, 0.03])(
    'under a loss of %f it is near what Mathis et al. found',
    async (lossRate) => {
      const { world, hosts, connect } = await worldOf({ latencyMs: 50 }, [{}, {}]);
      const { near, far } = await connect(0, 1);
      world.degrade([hosts[0]!.address], [hosts[1]!.address], { lossRate });
      near.connection.send(new Uint8Array(200 * 2 ** 20));
      await world.run({ untilMs: world.nowMs + 300_000 });
      const expected = (SEGMENT_BYTES / 0.1) * Math.sqrt(1.5 / lossRate) * 300;
      expect(far.bytes / expected).toBeGreaterThan(0.6);
      expect(far.bytes / expected).toBeLessThan(1.4);
    },
  );

  test('a connection that nobody lets in through a NAT times out; the way out works both ways', async () => {
    const { world, hosts, connect } = await worldOf({ latencyMs: 10 }, [{ nat: 'restricted' }, {}]);
    const refused = new Sink(world);
    hosts[1]!.net.connectTcp({ host: hosts[0]!.address, port: 80 }, refused, { timeoutMs: 5_000 });
    await world.run();
    expect(refused.closed).toBe('timeout');
    const { near, far } = await connect(0, 1);
    far.connection.send(new Uint8Array(50_000));
    await world.run();
    expect(near.bytes).toBe(50_000);
  });
});

describe('how streams share', () => {
  test('one uplink: evenly, and a third has a third from when it starts', async () => {
    const { world, connect } = await worldOf({ latencyMs: { minMs: 5, maxMs: 60 } }, [
      { upBytesPerSecond: 1e6 },
      {},
      {},
      {},
    ]);
    const first = await connect(0, 1);
    const second = await connect(0, 2);
    const third = await connect(0, 3);
    for (const { near } of [first, second, third]) near.connection.send(new Uint8Array(1));
    await world.run({ untilMs: world.nowMs + 1_000 });
    for (const { near } of [first, second]) near.connection.send(new Uint8Array(100e6));
    const shares = async (flows: readonly { readonly far: Sink }[], seconds: number) => {
      const before = flows.map(({ far }) => far.bytes);
      await world.run({ untilMs: world.nowMs + seconds * 1_000 });
      return flows.map(({ far }, i) => (far.bytes - before[i]!) / seconds / PAYLOAD_SHARE / 1e6);
    };
    await world.run({ untilMs: world.nowMs + 2_000 });
    for (const share of await shares([first, second], 30))
      expect(Math.abs(share - 1 / 2)).toBeLessThan(0.005);
    third.near.connection.send(new Uint8Array(100e6));
    await world.run({ untilMs: world.nowMs + 2_000 });
    for (const share of await shares([first, second, third], 30))
      expect(Math.abs(share - 1 / 3)).toBeLessThan(0.005);
  });

  test('one downlink: three senders evenly, near or far, and the link is full', async () => {
    const latencyMs = (from: string, to: string) => (from.endsWith('2') || to.endsWith('2') ? 5 : 40);
    const { world, connect } = await worldOf({ latencyMs }, [
      { downBytesPerSecond: 1e6 },
      {},
      {},
      { upBytesPerSecond: 2e6 },
    ]);
    const flows = [await connect(1, 0), await connect(2, 0), await connect(3, 0)];
    for (const { near } of flows) near.connection.send(new Uint8Array(100e6));
    await world.run({ untilMs: world.nowMs + 5_000 });
    const before = flows.map(({ far }) => far.bytes);
    await world.run({ untilMs: world.nowMs + 30_000 });
    const moved = flows.map(({ far }, i) => far.bytes - before[i]!);
    const sum = moved.reduce((total, bytes) => total + bytes, 0);
    expect(sum / 3e7 / PAYLOAD_SHARE).toBeCloseTo(1, 2);
    for (const bytes of moved) expect(bytes / sum).toBeCloseTo(1 / 3, 1.5);
  });

  test('a sender that is slower than its share leaves the rest to others', async () => {
    const { world, connect } = await worldOf({ latencyMs: 20 }, [
      { downBytesPerSecond: 1e6 },
      {},
      { upBytesPerSecond: 1e5 },
    ]);
    const fast = await connect(1, 0);
    const slow = await connect(2, 0);
    for (const { near } of [fast, slow]) near.connection.send(new Uint8Array(100e6));
    await world.run({ untilMs: world.nowMs + 30_000 });
    expect(slow.far.bytes / 3e6 / PAYLOAD_SHARE).toBeCloseTo(1, 1);
    expect(fast.far.bytes / 27e6 / PAYLOAD_SHARE).toBeCloseTo(1, 1);
  });

  test('small messages of others do not wait for bulk', async () => {
    const { world, connect } = await worldOf({ latencyMs: 20 }, [
      { upBytesPerSecond: 250_000 },
      {},
      {},
      {},
      {},
      {},
    ]);
    const small = await connect(0, 1);
    for (const to of [2, 3, 4, 5]) (await connect(0, to)).near.connection.send(new Uint8Array(20e6));
    await world.run({ untilMs: world.nowMs + 1_000 });
    let mostMs = 0;
    for (let round = 1; round <= 50; round++) {
      const sentMs = world.nowMs;
      small.near.connection.send(new Uint8Array(17));
      await world.run({ until: () => small.far.bytes === round * 17 });
      mostMs = Math.max(mostMs, small.far.lastMs - sentMs);
      await world.run({ untilMs: world.nowMs + 37 });
    }
    // A packet of each other flow takes 6 ms each.
    expect(mostMs).toBeLessThan(20 + 4 * 6);
  });
});

describe('bytes', () => {
  interface Step {
    readonly atMs: number;
    readonly what: 'send' | 'sendBack' | 'pause' | 'resume' | 'cut' | 'cutOut' | 'heal' | 'rate';
    readonly amount: number;
  }
  /** Slower ones take longer over a single segment than a connection waits after a loss: those may well fail. */
  const slowestBytesPerSecond = 2_000;
  const steps = fc.array(
    fc.record<Step>({
      atMs: fc.nat(8_000),
      what: fc.constantFrom(
        'send',
        'send',
        'send',
        'sendBack',
        'pause',
        'resume',
        'cut',
        'cutOut',
        'heal',
        'rate',
      ),
      amount: fc.integer({ min: 1, max: 300_000 }),
    }),
    { maxLength: 40 },
  );
  const rates = fc.constantFrom(Number.POSITIVE_INFINITY, 30_000, 500_000, 1e7);
  const links = fc.record({ upBytesPerSecond: rates, downBytesPerSecond: rates });

  /** Keeps what it gets, leaving some of each view for later. */
  class Keeper implements TcpHandler {
    readonly parts: Uint8Array[] = [];
    length = 0;
    isOpen = false;
    closed: string | undefined;
    onOpen(): void {
      this.isOpen = true;
    }
    onBytes(view: Uint8Array): number {
      const taken = view.length - (view.length % 5 === 0 && view.length > 5 ? 5 : 0);
      this.parts.push(view.slice(0, taken));
      this.length += taken;
      return taken;
    }
    onClose(error?: { code: string }): void {
      this.closed = error?.code ?? 'end';
    }
    whole(): Uint8Array {
      const whole = new Uint8Array(this.length);
      let at = 0;
      for (const part of this.parts) {
        whole.set(part, at);
        at += part.length;
      }
      return whole;
    }
  }

  test('come in order, each once, whatever pauses, cuts, losses and rates do', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        links,
        links,
        fc.constantFrom(0, 0.02, 0.3),
        steps,
        async (seed, a, b, lossRate, plan) => {
          const world = new SimWorld({ seed, network: { latencyMs: 15, jitterMs: 10 } });
          const near: SimHost = world.createHost({ address: '10.0.0.1', ...a });
          const far: SimHost = world.createHost({ address: '10.0.0.2', ...b });
          const client = new Keeper();
          const server = new Keeper();
          let accepted: TcpConnection | undefined;
          await world.complete(
            far.net.listenTcp({ host: far.address, port: 80 }, (connection) => {
              accepted = connection;
              return server;
            }),
          );
          const connection = near.net.connectTcp({ host: far.address, port: 80 }, client, {
            timeoutMs: 60_000,
          });
          // A handshake in such weather may fail, and rightly.
          await world.run({ until: () => client.isOpen && server.isOpen });
          world.degrade([near.address, far.address], [near.address, far.address], { lossRate });
          const sent: Uint8Array[] = [];
          const sentBack: Uint8Array[] = [];
          const startMs = world.nowMs;
          const heal = () => {
            for (const end of heals.splice(0)) end();
          };
          const heals: (() => void)[] = [];
          const act = ({ what, amount }: Step): void => {
            if (what === 'send' || what === 'sendBack') {
              const bytes = pattern(amount).map((byte) => byte ^ sent.length);
              (what === 'send' ? sent : sentBack).push(bytes);
              (what === 'send' ? connection : accepted!).send(bytes);
            } else if (what === 'pause') far.pause();
            else if (what === 'resume') far.resume();
            else if (what === 'cut') heals.push(world.partition([near.address], [far.address]));
            else if (what === 'cutOut') heals.push(world.cutOneWay([near.address], [far.address]));
            else if (what === 'heal') heal();
            else near.setLink({ upBytesPerSecond: Math.max(slowestBytesPerSecond, amount) });
          };
          for (const step of plan) world.at(startMs + step.atMs, () => act(step));
          world.at(startMs + 8_001, () => {
            heal();
            far.resume();
            near.setLink({ upBytesPerSecond: 1e8, downBytesPerSecond: 1e8 });
            connection.close();
            accepted!.close();
          });
          await world.run({ untilMs: startMs + 3_600_000 });
          const expected = (parts: Uint8Array[]) => Buffer.concat(parts);
          for (const [keeper, parts] of [
            [server, sent],
            [client, sentBack],
          ] as const) {
            const whole = keeper.whole();
            const all = expected(parts);
            // What is lost of the end of a stream that failed is the end; all else is what was sent.
            expect(Buffer.compare(whole, all.subarray(0, whole.length))).toBe(0);
            if (server.closed === 'end' && client.closed === 'end')
              expect(whole.length).toBe(all.length - left(whole, all));
          }
          // Where a reset may get lost too, one end may never hear that the other gave up.
          if (lossRate < 0.3) expect([server.closed, client.closed]).toEqual(['end', 'end']);
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  /** A Keeper leaves five bytes for ever if nothing comes after them. */
  const left = (whole: Uint8Array, all: Uint8Array) => (whole.length < all.length ? 5 : 0);
});
