/** ShapedHost over virtual time, where what it does to rates, delays, loss, cuts and disks can be told exactly. */
import {
  type Conditions,
  type Host,
  type HostError,
  ShapedHost,
  type TcpConnection,
} from '@skep/p2p-core/host';
import { describeHost } from '@skep/p2p-core/host/compliance';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SimWorld } from './sim-world.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';
const latencyMs = 0.25;

function describeShaped(name: string, conditions: Conditions): void {
  describeHost(name, async () => {
    const uncaught: unknown[] = [];
    const world = new SimWorld({ seed: name, network: { latencyMs: 5 } });
    const sims = [A, B].map((address) =>
      world.createHost({ address, onUncaught: (error) => uncaught.push(error) }),
    );
    const machineOf = (index: 0 | 1) => ({
      host: new ShapedHost(sims[index]!, conditions),
      address: sims[index]!.address,
      scratch: '/scratch',
    });
    await world.complete(Promise.all(sims.map((sim) => sim.files.makeDirectory('/scratch'))));
    return {
      machines: [machineOf(0), machineOf(1)],
      uncaught,
      run: (body) => world.complete(body()),
      close: async () => {
        for (const sim of sims) sim.crash();
      },
    };
  });
}

describeShaped('ShapedHost over SimHost', {});
describeShaped('ShapedHost over SimHost on slow links and long paths', {
  link: { upBytesPerSecond: 30e6, downBytesPerSecond: 40e6 },
  paths: [{ with: 'any', delayMs: 4, jitterMs: 3 }],
  disk: { delayMs: 1, bytesPerSecond: 200e6 },
});

interface Bench {
  readonly world: SimWorld;
  readonly a: ShapedHost;
  readonly b: ShapedHost;
  now(): number;
  pause(ms: number): Promise<void>;
}

/** Runs `body` with two shaped machines, a quarter of a millisecond apart. */
async function bench(body: (bench: Bench) => Promise<void>, seed: number | string = 1): Promise<SimWorld> {
  const world = new SimWorld({ seed, network: { latencyMs } });
  const [a, b] = [A, B].map((address) => new ShapedHost(world.createHost({ address })));
  const now = () => world.nowMs;
  const pause = (ms: number) => new Promise<void>((resolve) => void a!.clock.setTimer(ms, resolve));
  await world.complete(body({ world, a: a!, b: b!, now, pause }));
  return world;
}

/** A connection of which the receiving end keeps what it gets, and when. */
class Sink {
  connection!: TcpConnection;
  bytes = 0;
  lastMs = 0;
  parts: Uint8Array[] = [];
  closed: { error: HostError | undefined; atMs: number } | undefined;
  opened = false;
  readonly #host: Host;
  #waiting: (() => void)[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  onOpen(): void {
    this.opened = true;
    this.#wake();
  }

  onBytes(view: Uint8Array): number {
    this.bytes += view.length;
    this.lastMs = this.#host.clock.now();
    this.parts.push(view.slice());
    this.#wake();
    return view.length;
  }

  onClose(error?: HostError): void {
    this.closed = { error, atMs: this.#host.clock.now() };
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get received(): Uint8Array {
    const whole = new Uint8Array(this.bytes);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

async function connect(from: Host, to: Host, toAddress: string): Promise<{ client: Sink; server: Sink }> {
  const client = new Sink(from);
  const server = new Sink(to);
  const listener = await to.net.listenTcp({ host: toAddress, port: 0 }, (connection) => {
    server.connection = connection;
    return server;
  });
  client.connection = from.net.connectTcp(listener.local, client);
  await client.until(() => client.opened);
  await server.until(() => server.opened);
  return { client, server };
}

const streamWire = 1 + 52 / 1_448;

describe('links', () => {
  for (const way of ['up', 'down'] as const)
    test(`a stream ${way} a link takes the time of its bytes, within 1 %`, () =>
      bench(async ({ a, b, now }) => {
        const { client, server } = await connect(a, b, B);
        if (way === 'up') a.setConditions({ link: { upBytesPerSecond: 1e6 } });
        else b.setConditions({ link: { downBytesPerSecond: 1e6 } });
        const startMs = now();
        client.connection.send(new Uint8Array(5e6));
        await server.until(() => server.bytes === 5e6);
        expect((now() - startMs) / (5_000 * streamWire)).toBeCloseTo(1, 2);
      }));

  test('streams and datagrams share a link fairly, and fill it', () =>
    bench(async ({ a, b, now, pause }) => {
      const pairs = [await connect(a, b, B), await connect(a, b, B), await connect(a, b, B)];
      let datagramBytes = 0;
      const receiver = await b.net.bindUdp({ host: B, port: 0 }, (message) => {
        datagramBytes += message.length + 28;
      });
      const sender = await a.net.bindUdp({ host: A, port: 0 }, () => undefined);
      a.setConditions({ link: { upBytesPerSecond: 4e6 } });
      const startMs = now();
      for (const { client } of pairs) client.connection.send(new Uint8Array(20e6));
      while (now() - startMs < 5_000) {
        for (let message = 0; message < 20; message++) sender.send(new Uint8Array(1_000), receiver.local);
        await pause(10);
      }
      const shares = [...pairs.map(({ server }) => server.bytes * streamWire), datagramBytes];
      const total = shares.reduce((sum, share) => sum + share, 0);
      expect(total / 20e6).toBeGreaterThan(0.99);
      expect(total / 20e6).toBeLessThan(1.01);
      for (const share of shares) expect(share / total).toBeCloseTo(0.25, 1);
      // Streams are at most a turn of 10 ms apart.
      for (const share of shares.slice(0, 3)) expect(Math.abs(share - shares[0]!)).toBeLessThan(42_500);
    }));

  test('a new rate counts at once, for what is on the link too', () =>
    bench(async ({ a, b, now, pause }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({ link: { upBytesPerSecond: 1_000 } });
      client.connection.send(new Uint8Array(1e6));
      await pause(1_000);
      a.setConditions({ link: { upBytesPerSecond: 1e6 } });
      const startMs = now();
      await server.until(() => server.bytes === 1e6);
      expect((now() - startMs) / (1_000 * streamWire)).toBeCloseTo(1, 2);
      a.setConditions({});
      client.connection.send(new Uint8Array(1e6));
      const freeMs = now();
      await server.until(() => server.bytes === 2e6);
      expect(now() - freeMs).toBeLessThan(5);
    }));

  test('what waits for a slow link shows as queued, and its end as a drain', () =>
    bench(async ({ a, b }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({ link: { upBytesPerSecond: 1e6 } });
      const drained = Promise.withResolvers<number>();
      Object.assign(client, { onDrain: () => drained.resolve(client.connection.queuedBytes) });
      client.connection.send(new Uint8Array(2e6));
      expect(client.connection.queuedBytes).toBeGreaterThan(1.9e6);
      const queuedBytes = await drained.promise;
      expect(queuedBytes).toBeLessThan(2 ** 19);
      expect(queuedBytes).toBeGreaterThan(2 ** 19 - 8_192);
      client.connection.close();
      await server.until(() => server.closed !== undefined);
      expect([server.bytes, server.closed?.error]).toEqual([2e6, undefined]);
    }));

  test('a link without room drops datagrams', () =>
    bench(async ({ a, b, pause }) => {
      let got = 0;
      const receiver = await b.net.bindUdp({ host: B, port: 0 }, () => got++);
      const sender = await a.net.bindUdp({ host: A, port: 0 }, () => undefined);
      a.setConditions({ link: { upBytesPerSecond: 1e5 } });
      for (let message = 0; message < 1_000; message++) sender.send(new Uint8Array(972), receiver.local);
      await pause(20_000);
      expect(got).toBe(212);
    }));
});

describe('paths', () => {
  test('a delay is added to what this end sends, to the microsecond, and to its remotes alone', () =>
    bench(async ({ a, b, now }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({
        paths: [
          { with: ['10.9.9.9'], delayMs: 500 },
          { with: [B], delayMs: 80 },
          { with: 'any', delayMs: 900 },
        ],
      });
      const startMs = now();
      client.connection.send(Uint8Array.of(1));
      await server.until(() => server.bytes === 1);
      expect(now() - startMs).toBeCloseTo(80 + latencyMs, 3);
      const backMs = now();
      server.connection.send(Uint8Array.of(1));
      await client.until(() => client.bytes === 1);
      expect(now() - backMs).toBeCloseTo(latencyMs, 3);
      const arrived = Promise.withResolvers<void>();
      const receiver = await b.net.bindUdp({ host: B, port: 0 }, () => arrived.resolve());
      const sender = await a.net.bindUdp({ host: A, port: 0 }, () => undefined);
      const datagramMs = now();
      sender.send(Uint8Array.of(1), receiver.local);
      await arrived.promise;
      expect(now() - datagramMs).toBeCloseTo(80 + latencyMs, 3);
    }));

  test('messages in quick turns bear the whole delay each', () =>
    bench(async ({ a, b, now }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({ paths: [{ with: 'any', delayMs: 1 }] });
      const startMs = now();
      for (let turn = 1; turn <= 10; turn++) {
        client.connection.send(Uint8Array.of(turn));
        await server.until(() => server.bytes === turn);
        server.connection.send(Uint8Array.of(turn));
        await client.until(() => client.bytes === turn);
      }
      expect(now() - startMs).toBeCloseTo(10 * (1 + 2 * latencyMs), 3);
    }));

  test('a long path is full of a window at most, and carries one a round trip', () =>
    bench(async ({ a, b, now }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({ paths: [{ with: 'any', delayMs: 100 }] });
      const startMs = now();
      client.connection.send(new Uint8Array(40 * 2 ** 20));
      await server.until(() => server.bytes === 40 * 2 ** 20);
      // 2 MiB, half of the window, every 100 ms: as much as 4 MiB in each round trip of 200.
      expect(now() - startMs).toBeGreaterThan(1_900);
      expect(now() - startMs).toBeLessThan(2_200);
    }));

  test('datagrams are lost, doubled and overtaken as often as asked', () =>
    bench(async ({ a, b, pause }) => {
      let got: number[] = [];
      const receiver = await b.net.bindUdp({ host: B, port: 0 }, (message) => {
        got.push(new DataView(message.buffer, message.byteOffset).getUint32(0));
      });
      const sender = await a.net.bindUdp({ host: A, port: 0 }, () => undefined);
      const run = async (conditions: Conditions): Promise<number[]> => {
        got = [];
        a.setConditions(conditions);
        for (let index = 0; index < 10_000; index++) {
          const message = new Uint8Array(4);
          new DataView(message.buffer).setUint32(0, index);
          sender.send(message, receiver.local);
          if (index % 10 === 0) await pause(1);
        }
        await pause(1_000);
        return got;
      };
      const lost = 10_000 - (await run({ paths: [{ with: 'any', lossRate: 0.2 }] })).length;
      // Five standard deviations of a binomial: 5 · √(10,000 · 0.2 · 0.8) = 200.
      expect(Math.abs(lost - 2_000)).toBeLessThan(200);
      const doubled = (await run({ paths: [{ with: 'any', duplicateRate: 0.1 }] })).length - 10_000;
      expect(Math.abs(doubled - 1_000)).toBeLessThan(150);
      const order = await run({ paths: [{ with: 'any', reorderRate: 0.05, delayMs: 20 }] });
      const overtaken = order.filter((value, index) => index > 0 && value < order[index - 1]!).length;
      expect(order.length).toBe(10_000);
      expect(overtaken).toBeGreaterThan(300);
      expect(overtaken).toBeLessThan(600);
      expect(await run({})).toEqual(Array.from({ length: 10_000 }, (_, index) => index));
    }));

  test('loss costs a stream time and no bytes, and the more the longer the path', () =>
    bench(async ({ a, b, now }) => {
      const durations: number[] = [];
      for (const path of [
        {},
        { lossRate: 0.01, delayMs: 5 },
        { lossRate: 0.01, delayMs: 50 },
        { lossRate: 0.2, delayMs: 50 },
      ]) {
        const { client, server } = await connect(a, b, B);
        a.setConditions({ link: { upBytesPerSecond: 10e6 }, paths: [{ with: 'any', ...path }] });
        const sent = Uint8Array.from({ length: 1e6 }, (_, index) => index * 31);
        const startMs = now();
        client.connection.send(sent);
        await server.until(() => server.bytes === sent.length);
        durations.push(now() - startMs);
        expect(Buffer.compare(server.received, sent)).toBe(0);
        a.setConditions({});
      }
      for (const [index, duration] of durations.slice(1).entries())
        expect(duration).toBeGreaterThan(durations[index]! * 1.2);
    }));

  test('a link and a delay add up, and jitter keeps a stream in order', () =>
    bench(async ({ a, b, now }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions({
        link: { upBytesPerSecond: 1e6 },
        paths: [{ with: 'any', delayMs: 50, jitterMs: 30 }],
      });
      const sent = Uint8Array.from({ length: 1e6 }, (_, index) => (index * 2_654_435_761) >>> 24);
      const startMs = now();
      client.connection.send(sent);
      await server.until(() => server.bytes === sent.length);
      expect(Buffer.compare(server.received, sent)).toBe(0);
      expect(now() - startMs).toBeGreaterThan(1_000 * streamWire + 50);
      expect(now() - startMs).toBeLessThan(1_000 * streamWire + 90);
    }));
});

describe('cuts', () => {
  const cut = (way: 'both' | 'in' | 'out'): Conditions => ({ paths: [{ with: [B], cut: way }] });

  test('a stream stalls, and goes on at the first retry after the heal', () =>
    bench(async ({ a, b, now, pause }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions(cut('both'));
      client.connection.send(Uint8Array.of(1, 2, 3));
      server.connection.send(Uint8Array.of(4, 5));
      const startMs = now();
      await pause(1_000);
      expect([server.bytes, client.bytes]).toEqual([0, 0]);
      a.setConditions({});
      await server.until(() => server.bytes === 3);
      // Retries come 200, 600, 1,400 ms after the first loss.
      expect(now() - startMs).toBeCloseTo(1_400 + latencyMs, 3);
      await client.until(() => client.bytes === 2);
      expect([...server.received, ...client.received]).toEqual([1, 2, 3, 4, 5]);
      client.connection.close();
      await client.until(() => client.closed !== undefined);
      expect(client.closed?.error).toBeUndefined();
    }));

  test('one way alone: out lets answers in, in lets a window out', () =>
    bench(async ({ a, b, pause }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions(cut('out'));
      client.connection.send(new Uint8Array(1e6));
      server.connection.send(new Uint8Array(100));
      await pause(100);
      expect([server.bytes, client.bytes]).toEqual([0, 100]);
      a.setConditions(cut('in'));
      server.connection.send(new Uint8Array(100));
      await pause(100);
      expect(client.bytes).toBe(100);
      expect(server.bytes).toBeGreaterThanOrEqual(2 ** 18);
      expect(server.bytes).toBeLessThan(2 ** 18 + 2 ** 17);
      a.setConditions({});
      await server.until(() => server.bytes === 1e6);
      await client.until(() => client.bytes === 200);
    }));

  test('datagrams vanish, each way by itself, also those under way', () =>
    bench(async ({ a, b, pause }) => {
      let [atA, atB] = [0, 0];
      const socketB = await b.net.bindUdp({ host: B, port: 0 }, () => atB++);
      const socketA = await a.net.bindUdp({ host: A, port: 0 }, () => atA++);
      const exchange = async (): Promise<[number, number]> => {
        [atA, atB] = [0, 0];
        socketA.send(Uint8Array.of(1), socketB.local);
        socketB.send(Uint8Array.of(1), socketA.local);
        await pause(50);
        return [atA, atB];
      };
      expect(await exchange()).toEqual([1, 1]);
      a.setConditions(cut('out'));
      expect(await exchange()).toEqual([1, 0]);
      a.setConditions(cut('in'));
      expect(await exchange()).toEqual([0, 1]);
      a.setConditions(cut('both'));
      expect(await exchange()).toEqual([0, 0]);
      a.setConditions({ paths: [{ with: 'any', delayMs: 10 }] });
      socketA.send(Uint8Array.of(1), socketB.local);
      a.setConditions(cut('out'));
      await pause(50);
      expect(atB).toBe(0);
    }));

  test('attempts to connect time out, or get through by a retry after the heal', () =>
    bench(async ({ a, b, now, pause }) => {
      const server = new Sink(b);
      const listener = await b.net.listenTcp({ host: B, port: 0 }, () => server);
      a.setConditions(cut('both'));
      const late = new Sink(a);
      const startMs = now();
      late.connection = a.net.connectTcp(listener.local, late, { timeoutMs: 2_500 });
      late.connection.send(Uint8Array.of(1));
      await late.until(() => late.closed !== undefined);
      expect([late.closed?.error?.code, now() - startMs]).toEqual(['timeout', 2_500]);
      const early = new Sink(a);
      const againMs = now();
      early.connection = a.net.connectTcp(listener.local, early);
      early.connection.send(Uint8Array.of(7));
      await pause(1_500);
      a.setConditions({});
      await early.until(() => early.opened);
      // SYNs at 0, 1 and 3 s.
      expect(now() - againMs).toBeCloseTo(3_000 + 2 * latencyMs, 3);
      await server.until(() => server.bytes === 1);
      expect([...server.received]).toEqual([7]);
    }));

  test('a connection that arrives through a cut is shown after it', () =>
    bench(async ({ a, b, pause }) => {
      const server = new Sink(b);
      const listener = await b.net.listenTcp({ host: B, port: 0 }, () => server);
      b.setConditions({ paths: [{ with: [A], cut: 'in' }] });
      const client = new Sink(a);
      client.connection = a.net.connectTcp(listener.local, client);
      client.connection.send(Uint8Array.of(9));
      await pause(1_000);
      expect([server.opened, server.bytes]).toEqual([false, 0]);
      b.setConditions({});
      await server.until(() => server.bytes === 1);
      expect(server.opened).toBe(true);
    }));

  test('a dropped connection is over here at once, and there after the heal', () =>
    bench(async ({ a, b, pause }) => {
      const { client, server } = await connect(a, b, B);
      a.setConditions(cut('both'));
      client.connection.destroy();
      await client.until(() => client.closed !== undefined);
      await pause(5_000);
      expect(server.closed).toBeUndefined();
      a.setConditions({});
      await server.until(() => server.closed !== undefined);
    }));

  test('a stall that outlasts TCP’s retries is a timeout; a close lingers no longer than 30 s', () =>
    bench(async ({ a, b, now }) => {
      const { client } = await connect(a, b, B);
      const closing = (await connect(a, b, B)).client;
      const startMs = now();
      a.setConditions(cut('out'));
      client.connection.send(Uint8Array.of(1));
      closing.connection.close();
      await closing.until(() => closing.closed !== undefined);
      expect([closing.closed?.error?.code, now() - startMs]).toEqual(['timeout', 30_000]);
      await client.until(() => client.closed !== undefined);
      expect([client.closed?.error?.code, now() - startMs]).toEqual(['timeout', 924_600]);
    }));
});

describe('HTTP', () => {
  test('a request bears the delay of its path, an answer that of its own', () =>
    bench(async ({ a, b, now }) => {
      const server = await b.http.serve(
        { host: B, port: 0 },
        async (request) => new Response(await request.text()),
      );
      const url = `http://${B}:${server.local.port}/`;
      const plainMs = now();
      await (await a.http.fetch(url, { method: 'POST', body: 'hello' })).text();
      const takenMs = now() - plainMs;
      a.setConditions({ paths: [{ with: [B], delayMs: 100 }] });
      b.setConditions({ paths: [{ with: [A], delayMs: 30 }] });
      const startMs = now();
      const response = await a.http.fetch(url, { method: 'POST', body: 'hello' });
      expect(now() - startMs).toBeCloseTo(takenMs + 130, 0);
      expect(await response.text()).toBe('hello');
      await server.close();
    }));

  test('a cut costs an answer, and a long poll under way too, until it heals or time is up', () =>
    bench(async ({ a, b, now, pause }) => {
      const answer = Promise.withResolvers<void>();
      const server = await b.http.serve({ host: B, port: 0 }, async (request) => {
        if (request.url.endsWith('/poll')) await answer.promise;
        return new Response('now');
      });
      const url = `http://${B}:${server.local.port}`;
      const poll = a.http.fetch(`${url}/poll`);
      await pause(100);
      a.setConditions({ paths: [{ with: [B], cut: 'both' }] });
      answer.resolve();
      const startMs = now();
      await expect(a.http.fetch(url, { timeoutMs: 700 })).rejects.toMatchObject({ code: 'timeout' });
      expect(now() - startMs).toBeCloseTo(700, 3);
      const controller = new AbortController();
      const aborted = a.http.fetch(url, { signal: controller.signal });
      controller.abort();
      await expect(aborted).rejects.toMatchObject({ code: 'closed' });
      expect(await Promise.race([poll, pause(1_000)])).toBeUndefined();
      a.setConditions({});
      expect(await (await poll).text()).toBe('now');
      await server.close();
    }));

  test('a stream stalls in a cut and goes on after it, and crosses the link at its rate', () =>
    bench(async ({ a, b, now, pause }) => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writable.getWriter();
      const server = await b.http.serve({ host: B, port: 0 }, () => new Response(readable as ReadableStream));
      const response = await a.http.fetch(`http://${B}:${server.local.port}/`, {
        timeoutMs: Number.POSITIVE_INFINITY,
      });
      const reader = response.body!.getReader();
      void writer.write(Uint8Array.of(1));
      expect((await reader.read()).value).toEqual(Uint8Array.of(1));
      a.setConditions({ paths: [{ with: [B], cut: 'in' }] });
      void writer.write(Uint8Array.of(2));
      const second = reader.read();
      expect(await Promise.race([second, pause(1_000)])).toBeUndefined();
      a.setConditions({ link: { downBytesPerSecond: 1e5 } });
      expect((await second).value).toEqual(Uint8Array.of(2));
      const startMs = now();
      void writer.write(new Uint8Array(1e5)).then(() => writer.close());
      let bytes = 0;
      for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
      expect(bytes).toBe(1e5);
      expect((now() - startMs) / (1_000 * streamWire)).toBeCloseTo(1, 1);
      await server.close();
    }));

  test('a part of nothing takes no time on a link, and stops nothing', () =>
    bench(async ({ a, b }) => {
      const parts = [new Uint8Array(0), Uint8Array.of(1)];
      const server = await b.http.serve({ host: B, port: 0 }, () => new Response(ReadableStream.from(parts)));
      b.setConditions({ link: { upBytesPerSecond: 1e4 } });
      const response = await a.http.fetch(`http://${B}:${server.local.port}/`);
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(1));
      await server.close();
    }));

  test('a request through a cut that its sender gave up never reaches the handler', () =>
    bench(async ({ a, b, pause }) => {
      let handled = 0;
      const server = await b.http.serve({ host: B, port: 0 }, () => {
        handled++;
        return new Response('now');
      });
      b.setConditions({ paths: [{ with: [A], cut: 'in' }] });
      const url = `http://${B}:${server.local.port}/`;
      await expect(a.http.fetch(url, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'timeout' });
      await pause(1_000);
      b.setConditions({});
      await pause(1_000);
      expect(handled).toBe(0);
      await server.close();
    }));

  test('a request that was given up leaves the link to others', () =>
    bench(async ({ a, b, now }) => {
      const server = await b.http.serve({ host: B, port: 0 }, () => new Response('now'));
      const url = `http://${B}:${server.local.port}/`;
      a.setConditions({ link: { upBytesPerSecond: 1e4 } });
      const large = { method: 'POST', body: new Uint8Array(1e6), timeoutMs: 500 };
      for (let attempt = 0; attempt < 5; attempt++)
        await expect(a.http.fetch(url, large)).rejects.toMatchObject({ code: 'timeout' });
      const startMs = now();
      await (await a.http.fetch(url)).text();
      expect(now() - startMs).toBeLessThan(500);
      await server.close();
    }));

  test('loss that nothing survives ends a request by its time limit', () =>
    bench(async ({ a, b, now }) => {
      const server = await b.http.serve({ host: B, port: 0 }, () => new Response('now'));
      const url = `http://${B}:${server.local.port}/`;
      a.setConditions({ paths: [{ with: 'any', lossRate: 1 - 1e-15 }] });
      const startMs = now();
      await expect(a.http.fetch(url, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'timeout' });
      expect(now() - startMs).toBeCloseTo(500, 3);
      await server.close();
    }));
});

describe('clock and disk', () => {
  test('a skew moves the wall clock at once, and nothing else', () =>
    bench(async ({ a, b, now }) => {
      a.setConditions({ clock: { skewMs: -90_000 } });
      expect(a.clock.wallTime() - b.clock.wallTime()).toBe(-90_000);
      expect(a.clock.now()).toBe(now());
      a.setConditions({});
      expect(a.clock.wallTime()).toBe(b.clock.wallTime());
    }));

  test('a full disk refuses what would write, and reads and removes', () =>
    bench(async ({ a }) => {
      const bytes = Uint8Array.of(1, 2, 3);
      await a.files.writeAtomic('/d/f', bytes);
      const content = await a.payload.openContent({ root: '/d', files: [{ path: 'f', length: 3 }] });
      a.setConditions({ disk: { full: true } });
      const full = { code: 'disk-full' };
      await expect(a.files.writeAtomic('/d/g', bytes)).rejects.toMatchObject(full);
      await expect(a.files.append('/d/g', bytes)).rejects.toMatchObject(full);
      await expect(a.files.createExclusive('/d/g', bytes)).rejects.toMatchObject(full);
      await expect(a.files.makeDirectory('/e')).rejects.toMatchObject(full);
      await expect(content.createFiles()).rejects.toMatchObject(full);
      const piece = a.payload.allocatePiece(3);
      await expect(content.storePiece(piece, 0, new Uint8Array(20))).rejects.toMatchObject(full);
      expect(await a.files.read('/d/f', 10)).toEqual(bytes);
      await a.files.remove('/d/f');
      a.setConditions({});
      await a.files.writeAtomic('/d/g', bytes);
      piece.release();
    }));

  test('a slow disk takes its time, for blocks on their way out too', () =>
    bench(async ({ a, b, now }) => {
      const bytes = Uint8Array.from({ length: 65_536 }, (_, index) => index);
      await a.files.writeAtomic('/d/f', bytes);
      const content = await a.payload.openContent({ root: '/d', files: [{ path: 'f', length: 65_536 }] });
      const { client, server } = await connect(a, b, B);
      a.setConditions({ disk: { bytesPerSecond: 65_536, delayMs: 100 } });
      const startMs = now();
      client.connection.sendBlocks(content, blocks(0, 65_536));
      await server.until(() => server.bytes === 65_536);
      expect(now() - startMs).toBeGreaterThanOrEqual(1_100);
      expect(now() - startMs).toBeLessThan(1_120);
      expect(server.received).toEqual(bytes);
      const order: string[] = [];
      await Promise.all(
        ['x', 'y', 'z'].map((text) =>
          a.files.append('/d/log', new TextEncoder().encode(text)).then(() => order.push(text)),
        ),
      );
      expect([order.join(''), new TextDecoder().decode(await a.files.read('/d/log', 9))]).toEqual([
        'xyz',
        'xyz',
      ]);
    }));

  test('errors and corruption come by their rates, and hashes tell', () =>
    bench(async ({ a, b }) => {
      await a.files.writeAtomic(
        '/d/f',
        Uint8Array.from({ length: 1_000 }, (_, index) => index),
      );
      const content = await a.payload.openContent({ root: '/d', files: [{ path: 'f', length: 1_000 }] });
      const right = await content.hashRange(0, 1_000, 'sha1');
      a.setConditions({ disk: { readErrorRate: 0.5, writeErrorRate: 0.25 } });
      const failures = async (attempt: () => Promise<unknown>): Promise<number> => {
        let failed = 0;
        for (let round = 0; round < 400; round++)
          await attempt().catch((error) => {
            expect(error).toMatchObject({ code: 'io' });
            failed++;
          });
        return failed;
      };
      expect(Math.abs((await failures(() => a.files.read('/d/f', 1_000))) - 200)).toBeLessThan(50);
      expect(Math.abs((await failures(() => a.files.append('/d/g', right))) - 100)).toBeLessThan(45);
      a.setConditions({ disk: { corruptReadRate: 1 } });
      expect(await content.hashRange(0, 1_000, 'sha1')).not.toEqual(right);
      const { client, server } = await connect(a, b, B);
      client.connection.sendBlocks(content, [{ header: Uint8Array.of(1), offset: 0, length: 1_000 }]);
      await server.until(() => server.bytes === 1_001);
      expect(a.compute.hash('sha1', server.received.slice(1))).not.toEqual(right);
      a.setConditions({});
      expect(await content.hashRange(0, 1_000, 'sha1')).toEqual(right);
      a.setConditions({ disk: { readErrorRate: 1 } });
      const told: string[] = [];
      Object.assign(client, { onReadError: (error: HostError) => told.push(error.code) });
      client.connection.sendBlocks(content, [{ header: Uint8Array.of(1), offset: 0, length: 1_000 }]);
      await client.until(() => client.closed !== undefined);
      expect(told).toEqual(['io']);
    }));
});

function blocks(offset: number, length: number) {
  const list = [];
  for (let at = offset; at < offset + length; at += 16_384)
    list.push({ header: new Uint8Array(0), offset: at, length: Math.min(16_384, offset + length - at) });
  return list;
}

test('what cannot be is refused, and changes nothing', () =>
  bench(async ({ a }) => {
    a.setConditions({ clock: { skewMs: 5 } });
    const wrong: Conditions[] = [
      { link: { upBytesPerSecond: 0 } },
      { link: { downBytesPerSecond: Number.NaN } },
      { paths: [{ with: 'any', delayMs: -1 }] },
      { paths: [{ with: 'any', lossRate: 1.1 }] },
      { paths: [{ with: 'any', jitterMs: Number.POSITIVE_INFINITY }] },
      { disk: { bytesPerSecond: -1 } },
      { disk: { corruptReadRate: 2 } },
      { clock: { skewMs: Number.NaN } },
    ];
    for (const conditions of wrong) expect(() => a.setConditions(conditions)).toThrow(RangeError);
    expect(a.clock.wallTime() - a.clock.now()).toBe(Date.UTC(2026, 0, 1) + 5);
  }));

// ---------------------------------------------------------------- the property

const rate = fc.integer({ min: 20_000, max: 50_000_000 });
const conditionsArbitrary: fc.Arbitrary<Conditions> = fc.record(
  {
    link: fc.record({ upBytesPerSecond: rate, downBytesPerSecond: rate }, { requiredKeys: [] }),
    paths: fc.tuple(
      fc.record(
        {
          with: fc.constantFrom<'any' | string[]>('any', [A, B]),
          delayMs: fc.integer({ min: 0, max: 300 }),
          jitterMs: fc.integer({ min: 0, max: 100 }),
          lossRate: fc.constantFrom(0, 0.01, 0.3, 1),
          cut: fc.constantFrom('in' as const, 'out' as const, 'both' as const),
        },
        { requiredKeys: ['with'] },
      ),
    ),
    disk: fc.record({ delayMs: fc.integer({ min: 0, max: 50 }), bytesPerSecond: rate }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

const stepArbitrary = fc.record({
  pauseMs: fc.integer({ min: 0, max: 400 }),
  side: fc.constantFrom('a' as const, 'b' as const),
  conditions: fc.option(conditionsArbitrary, { nil: undefined }),
  send: fc.oneof(
    fc.integer({ min: 0, max: 70_000 }),
    fc.array(fc.tuple(fc.nat(150_000), fc.nat(40_000)), { maxLength: 8 }),
  ),
});

test('whatever the conditions, and however they change, bytes are the same and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 12 }), fc.boolean(), async (steps, bothClose) => {
      const stored = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 40_503) >>> 8);
      const play = () =>
        bench(async ({ a, b, pause }) => {
          const content = await Promise.all(
            [a, b].map(async (host) => {
              await host.files.writeAtomic('/d/f', stored);
              return host.payload.openContent({ root: '/d', files: [{ path: 'f', length: stored.length }] });
            }),
          );
          const { client, server } = await connect(a, b, B);
          const sent: Record<'a' | 'b', Uint8Array[]> = { a: [], b: [] };
          let round = 0;
          for (const { pauseMs, side, conditions, send } of steps) {
            round++;
            const { connection } = side === 'a' ? client : server;
            if (conditions !== undefined) (side === 'a' ? a : b).setConditions(conditions);
            if (typeof send === 'number') {
              const bytes = new Uint8Array(send).fill(round);
              sent[side].push(bytes);
              connection.send(bytes);
            } else {
              const header = Uint8Array.of(255, round);
              connection.sendBlocks(
                side === 'a' ? content[0]! : content[1]!,
                send.map(([offset, length]) => ({ header: header.slice(), offset, length })),
              );
              for (const [offset, length] of send)
                sent[side].push(header, stored.subarray(offset, offset + length));
            }
            await pause(pauseMs);
          }
          client.connection.close();
          if (bothClose) server.connection.close();
          await pause(20);
          a.setConditions({});
          b.setConditions({});
          await client.until(() => client.closed !== undefined);
          await server.until(() => server.closed !== undefined);
          expect([client.closed?.error, server.closed?.error]).toEqual([undefined, undefined]);
          expect(Buffer.compare(server.received, Buffer.concat(sent.a))).toBe(0);
          expect(Buffer.compare(client.received, Buffer.concat(sent.b))).toBe(0);
        }, steps.length);
      const first = await play();
      const again = await play();
      expect([again.traceHash(), again.nowMs]).toEqual([first.traceHash(), first.nowMs]);
    }),
    { numRuns: 60 },
  );
});
