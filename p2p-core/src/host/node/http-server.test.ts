/** What NodeHost's HTTP server does with requests that fetch would never send, and with answers that fail. */
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HttpHandler, HttpServer } from '../host.ts';
import { createNodeHost, type NodeHost } from './index.ts';

const LOOPBACK = '127.0.0.1';
let host: NodeHost;
let uncaught: unknown[];

beforeEach(() => {
  uncaught = [];
  host = createNodeHost({ onUncaught: (error) => uncaught.push(error) });
});
afterEach(() => host.close());

const serve = (handler: HttpHandler): Promise<HttpServer> =>
  host.http.serve({ host: LOOPBACK, port: 0 }, handler);

/** Sends `request` as it is and gives all that comes back. */
function exchange(server: HttpServer, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.local.port, LOOPBACK, () => socket.write(request));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

test.each([
  'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
  'GET * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  'TRACE / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  'GET //// HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n',
  'nonsense\r\n\r\n',
])('%j is answered 400 and never reaches the handler', async (request) => {
  const server = await serve(() => {
    throw new Error('reached');
  });
  expect(await exchange(server, request)).toMatch(/^HTTP\/1\.1 400 /);
  expect(uncaught).toEqual([]);
});

test('a client that leaves in the middle of its body is no error', async () => {
  const server = await serve(() => new Response('never'));
  const socket = connect(server.local.port, LOOPBACK);
  socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf');
  await new Promise<void>((resolve) => socket.end(resolve));
  socket.destroy();
  expect(await (await host.http.fetch(`http://${LOOPBACK}:${server.local.port}/`)).text()).toBe('never');
  expect(uncaught).toEqual([]);
});

test('cookies stay apart, HEAD has no body, 204 has none either', async () => {
  const server = await serve((request) => {
    if (request.url.endsWith('/none')) return new Response(null, { status: 204 });
    const headers = new Headers([
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ]);
    return new Response('body', { headers });
  });
  const url = `http://${LOOPBACK}:${server.local.port}`;
  const head = await host.http.fetch(url, { method: 'HEAD' });
  expect(head.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect(await head.text()).toBe('');
  expect((await host.http.fetch(`${url}/none`)).status).toBe(204);
});

test('a body that fails in the middle cuts the connection, so that nobody takes the half for the whole', async () => {
  const failing = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(Uint8Array.of(1));
      },
      pull(controller) {
        controller.error(new Error('from a body'));
      },
    },
    { highWaterMark: 0 },
  );
  const server = await serve(() => new Response(failing));
  const response = await host.http.fetch(`http://${LOOPBACK}:${server.local.port}/`);
  await expect(response.arrayBuffer()).rejects.toMatchObject({ code: 'reset' });
  expect(uncaught).toMatchObject([{ message: 'from a body' }]);
});

test('the signal of a request tells the handler that its client has gone', async () => {
  const gone = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const server = await serve((request) => {
    request.signal.addEventListener('abort', () => gone.resolve());
    asked.resolve();
    return new Promise<Response>(() => {});
  });
  const controller = new AbortController();
  const held = host.http.fetch(`http://${LOOPBACK}:${server.local.port}/`, { signal: controller.signal });
  const ended = expect(held).rejects.toMatchObject({ code: 'closed' });
  await asked.promise;
  controller.abort();
  await gone.promise;
  await ended;
});
