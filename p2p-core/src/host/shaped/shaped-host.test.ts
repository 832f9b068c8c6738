/**
 * ShapedHost over real sockets: without conditions it keeps Host's promises, and under some it does what it
 * should by order and bounds. How exactly it does so is told over virtual time, in the simulator's tests.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Probe, pattern, sameBytes } from '../compliance/probe.ts';
import { describeHost } from '../compliance.ts';
import { createNodeHost, type NodeHost } from '../node/index.ts';
import { ShapedHost } from './index.ts';

describeHost('ShapedHost over NodeHost', async () => {
  const uncaught: unknown[] = [];
  const directory = await mkdtemp(join(tmpdir(), 'skep-shaped-'));
  const hosts = [0, 1].map(() => createNodeHost({ onUncaught: (error) => uncaught.push(error), workers: 1 }));
  const makeMachine = async (index: number) => ({
    host: new ShapedHost(hosts[index]!),
    address: '127.0.0.1',
    scratch: await mkdtemp(join(directory, `machine-${index}-`)),
  });
  return {
    machines: [await makeMachine(0), await makeMachine(1)],
    uncaught,
    run: (body) => body(),
    async close() {
      await Promise.all(hosts.map((host) => host.close()));
      await rm(directory, { recursive: true });
    },
  };
});

let nodes: NodeHost[];
let near: ShapedHost;
let far: ShapedHost;
const LOOPBACK = '127.0.0.1';

beforeEach(() => {
  nodes = [0, 1].map(() => createNodeHost({ workers: 1 }));
  [near, far] = nodes.map((node) => new ShapedHost(node)) as [ShapedHost, ShapedHost];
});
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
});

const sleep = (ms: number) => new Promise<void>((resolve) => void near.clock.setTimer(ms, resolve));

async function connect(): Promise<{ client: Probe; server: Probe }> {
  const [client, server] = [new Probe(), new Probe()];
  const listener = await far.net.listenTcp({ host: LOOPBACK, port: 0 }, (connection) => {
    server.connection = connection;
    return server;
  });
  client.connection = near.net.connectTcp(listener.local, client);
  await client.until(() => client.calls.includes('open'));
  await server.until(() => server.calls.includes('open'));
  return { client, server };
}

test.each(['up', 'down'] as const)(
  'a link %s is never faster than its rate, and bytes are the same',
  async (way) => {
    const { client, server } = await connect();
    const sent = pattern(100_000);
    if (way === 'up') near.setConditions({ link: { upBytesPerSecond: 500_000 } });
    else far.setConditions({ link: { downBytesPerSecond: 500_000 } });
    const startMs = near.clock.now();
    client.connection.send(sent);
    client.connection.close();
    await server.until(() => server.closed);
    expect(sameBytes(server.received, sent)).toBe(true);
    expect(server.closeError).toBeUndefined();
    // 16 KiB may be shown before they are paid for.
    expect(near.clock.now() - startMs).toBeGreaterThan(165);
  },
);

test('a delay holds bytes back for as long at least, and streams and datagrams alike', async () => {
  const { client, server } = await connect();
  const arrived = Promise.withResolvers<void>();
  const receiver = await far.net.bindUdp({ host: LOOPBACK, port: 0 }, () => arrived.resolve());
  const sender = await near.net.bindUdp({ host: LOOPBACK, port: 0 }, () => undefined);
  near.setConditions({ paths: [{ with: [LOOPBACK], delayMs: 40 }] });
  const startMs = near.clock.now();
  client.connection.send(Uint8Array.of(1));
  sender.send(Uint8Array.of(1), receiver.local);
  await Promise.all([server.until(() => server.received.length === 1), arrived.promise]);
  expect(near.clock.now() - startMs).toBeGreaterThanOrEqual(40);
});

test('a cut stops streams, datagrams and requests; after it all goes on', async () => {
  const { client, server } = await connect();
  const web = await far.http.serve({ host: LOOPBACK, port: 0 }, () => new Response('here'));
  const url = `http://${LOOPBACK}:${web.local.port}/`;
  near.setConditions({ paths: [{ with: 'any', cut: 'both' }] });
  client.connection.send(Uint8Array.of(1));
  server.connection.send(Uint8Array.of(2));
  await expect(near.http.fetch(url, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
  const held = near.http.fetch(url);
  await sleep(50);
  expect([server.received.length, client.received.length]).toEqual([0, 0]);
  near.setConditions({});
  expect(await (await held).text()).toBe('here');
  await Promise.all([
    server.until(() => server.received.length === 1),
    client.until(() => client.received.length === 1),
  ]);
  await web.close();
});
