/** What ShapedHost does where the network is cut, and to HTTP. */
import type { Conditions } from '@skep/p2p-core/host';
import { describe, expect, test } from 'vitest';
import { A, B, bench, connect, latencyMs, Sink, streamWire } from './testing/shaped-bench.ts';

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
