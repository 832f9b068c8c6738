/** Http: a fetch and a server that meet in the middle, whole bodies and streams, and every way to end early. */
import { describe, expect } from 'vitest';
import type { HostWorld, WorldTest } from '../compliance.ts';
import type { HttpHandler, HttpServer } from '../host.ts';
import { codeOf, pattern, sameBytes, unusedPort } from './probe.ts';

async function serve(world: HostWorld, handler: HttpHandler): Promise<{ server: HttpServer; url: string }> {
  const { host, address } = world.machines[0];
  const server = await host.http.serve({ host: address, port: 0 }, handler);
  return { server, url: `http://${address}:${server.local.port}` };
}

export function describeHttp(test: WorldTest): void {
  describe('HTTP', () => {
    test('method, path, headers, body and remote reach the handler; status, headers, body come back', async (world) => {
      const { http } = world.machines[1].host;
      const { server, url } = await serve(world, async (request, remote) => {
        const { pathname, search } = new URL(request.url);
        const body = new Uint8Array(await request.arrayBuffer());
        return new Response(body.reverse(), {
          status: 201,
          headers: {
            'x-seen': `${request.method} ${pathname}${search} ${request.headers.get('x-asked')} ${remote.host}`,
          },
        });
      });
      const sent = pattern(50_000);
      const response = await http.fetch(`${url}/a/b%20c?d=%ff&d=2`, {
        method: 'PUT',
        headers: { 'X-Asked': 'yes' },
        body: sent,
      });
      expect(response.status).toBe(201);
      expect(response.headers.get('x-seen')).toBe(`PUT /a/b%20c?d=%ff&d=2 yes ${world.machines[1].address}`);
      expect(sameBytes(new Uint8Array(await response.arrayBuffer()), sent.slice().reverse())).toBe(true);
      await server.close();
    });

    test('a body is streamed: the first part is read while the second is not written yet', async (world) => {
      const { http } = world.machines[1].host;
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writable.getWriter();
      const { server, url } = await serve(world, () => new Response(readable));
      const wrote = writer.write(Uint8Array.of(1, 2));
      const response = await http.fetch(url, { timeoutMs: Number.POSITIVE_INFINITY });
      const reader = response.body!.getReader();
      expect((await reader.read()).value).toEqual(Uint8Array.of(1, 2));
      await wrote;
      void writer.write(Uint8Array.of(3));
      expect((await reader.read()).value).toEqual(Uint8Array.of(3));
      void writer.close();
      expect((await reader.read()).done).toBe(true);
      await server.close();
    });

    test('a streaming body is cancelled when its reader goes away', async (world) => {
      const { http } = world.machines[1].host;
      const cancelled = Promise.withResolvers<void>();
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(Uint8Array.of(1)),
        cancel: () => cancelled.resolve(),
      });
      const { server, url } = await serve(world, () => new Response(body));
      const response = await http.fetch(url, { timeoutMs: Number.POSITIVE_INFINITY });
      await response.body!.cancel();
      await cancelled.promise;
      await server.close();
    });

    test('an answer that stays away is a timeout, and so is a body that stalls', async (world) => {
      const { http } = world.machines[1].host;
      const { server, url } = await serve(world, (request) =>
        request.url.endsWith('/body')
          ? new Response(new ReadableStream({ start: (c) => c.enqueue(Uint8Array.of(1)) }))
          : new Promise<Response>(() => {}),
      );
      expect(await codeOf(http.fetch(url, { timeoutMs: 50 }))).toBe('timeout');
      const response = await http.fetch(`${url}/body`, { timeoutMs: 150 });
      expect(await codeOf(response.arrayBuffer())).toBe('timeout');
      await server.close();
    });

    test('an aborted exchange rejects with closed', async (world) => {
      const { http } = world.machines[1].host;
      const { server, url } = await serve(world, () => new Promise<Response>(() => {}));
      const controller = new AbortController();
      const exchange = codeOf(http.fetch(url, { signal: controller.signal }));
      controller.abort();
      expect(await exchange).toBe('closed');
      expect(await codeOf(http.fetch(url, { signal: controller.signal }))).toBe('closed');
      await server.close();
    });

    test('closing the server ends held requests and open streams', async (world) => {
      const { http } = world.machines[1].host;
      const asked = Promise.withResolvers<void>();
      const { server, url } = await serve(world, (request) => {
        if (request.url.endsWith('/stream'))
          return new Response(new ReadableStream({ start: (c) => c.enqueue(Uint8Array.of(1)) }));
        asked.resolve();
        return new Promise<Response>(() => {});
      });
      const stream = await http.fetch(`${url}/stream`, { timeoutMs: Number.POSITIVE_INFINITY });
      const held = codeOf(http.fetch(`${url}/held`));
      const body = codeOf(stream.arrayBuffer());
      await asked.promise;
      await server.close();
      expect(await held).toBe('reset');
      expect(await body).toBe('reset');
      expect(await codeOf(http.fetch(url))).toBe('refused');
    });

    test('nobody there is refused; a taken port is address-in-use', async (world) => {
      const [first, second] = world.machines;
      const port = await unusedPort(first.host.net, first.address);
      expect(await codeOf(second.host.http.fetch(`http://${first.address}:${port}/`))).toBe('refused');
      const { server } = await serve(world, () => new Response());
      expect(await codeOf(first.host.http.serve(server.local, () => new Response()))).toBe('address-in-use');
      await server.close();
    });

    test('a handler that throws answers 500, tells onUncaught, and the server goes on', async (world) => {
      const { http } = world.machines[1].host;
      const { server, url } = await serve(world, (request) => {
        if (request.url.endsWith('/bad')) throw new Error('from a handler');
        return new Response('fine');
      });
      const bad = await http.fetch(`${url}/bad`);
      expect(bad.status).toBe(500);
      await bad.body?.cancel();
      expect(world.uncaught.splice(0)).toMatchObject([{ message: 'from a handler' }]);
      expect(await (await http.fetch(url)).text()).toBe('fine');
      await server.close();
    });

    test('a request body of more than 1 MiB is answered 413', async (world) => {
      const { http } = world.machines[1].host;
      const { server, url } = await serve(world, async (request) => {
        await request.arrayBuffer();
        return new Response('taken');
      });
      const full = await http.fetch(url, { method: 'POST', body: new Uint8Array(2 ** 20) });
      expect(await full.text()).toBe('taken');
      const over = await http.fetch(url, { method: 'POST', body: new Uint8Array(2 ** 20 + 1) });
      expect(over.status).toBe(413);
      await over.body?.cancel();
      await server.close();
    });

    test('a server may take longer bodies, if it says so', async (world) => {
      const [{ host, address }, { host: other }] = world.machines;
      const length = async (request: Request) =>
        new Response(String((await request.arrayBuffer()).byteLength));
      const server = await host.http.serve({ host: address, port: 0 }, length, { maxBodyBytes: 3 * 2 ** 20 });
      const url = `http://${address}:${server.local.port}/`;
      const full = await other.http.fetch(url, { method: 'POST', body: new Uint8Array(3 * 2 ** 20) });
      expect(await full.text()).toBe(String(3 * 2 ** 20));
      const over = await other.http.fetch(url, { method: 'POST', body: new Uint8Array(3 * 2 ** 20 + 1) });
      expect(over.status).toBe(413);
      await over.body?.cancel();
      await server.close();
    });
  });
}
