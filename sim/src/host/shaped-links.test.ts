/** What ShapedHost does to links and paths: rates, delays, jitter, loss, told exactly in virtual time. */
import type { Conditions } from '@skep/p2p-core/host';
import { describe, expect, test } from 'vitest';
import { A, B, bench, connect, latencyMs, streamWire } from './testing/shaped-bench.ts';

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
