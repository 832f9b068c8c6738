/** What NodeHost's sockets promise beyond the compliance suite: bulk, memory, odd addresses, an end to everything. */
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Probe, pattern } from '../compliance/probe.ts';
import type { OutgoingBlock } from '../host.ts';
import { createNodeHost, type NodeHost } from './index.ts';
import { plainAddress } from './tcp.ts';

const LOOPBACK = '127.0.0.1';
let host: NodeHost;

beforeEach(() => {
  host = createNodeHost({ workers: 1 });
});
afterEach(() => host.close());

test('64 MiB of blocks arrive whole, and a receiver that stalls costs the sender little memory', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skep-bulk-'));
  try {
    const length = 64 * 2 ** 20;
    const digest = createHash('sha256');
    const fd = openSync(join(directory, 'file'), 'w');
    for (let turn = 0; turn < 64; turn++) {
      const bytes = pattern(2 ** 20, turn + 1);
      writeSync(fd, bytes);
      digest.update(bytes);
    }
    closeSync(fd);
    const content = await host.payload.openContent({
      root: directory,
      files: [{ path: 'file', length }],
      readOnly: true,
    });
    const server = new Probe();
    const listener = await host.net.listenTcp({ host: LOOPBACK, port: 0 }, (connection) => {
      server.connection = connection;
      return server;
    });
    const receiver = connect({ host: LOOPBACK, port: listener.local.port });
    receiver.pause();
    await server.until(() => server.calls.includes('open'));
    const blocks: OutgoingBlock[] = [];
    for (let offset = 0; offset < length; offset += 16_384)
      blocks.push({ header: new Uint8Array(0), offset, length: 16_384 });
    const before = process.memoryUsage().arrayBuffers;
    server.connection.sendBlocks(content, blocks);
    expect(server.connection.queuedBytes).toBe(length);
    // The content's own work goes through the same disk queue, so reads ahead have happened once this is over.
    await content.hashRange(0, length, 'sha1');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 2 ** 20);
    const received = createHash('sha256');
    receiver.on('data', (chunk) => received.update(chunk)).resume();
    server.connection.close();
    await server.until(() => server.closed);
    expect(server.closeError).toBeUndefined();
    expect(received.digest('hex')).toBe(digest.digest('hex'));
    await content.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what is no address ends like one that cannot be reached', async () => {
  for (const remote of [
    { host: 'localhost', port: 80 },
    { host: LOOPBACK, port: 0 },
    { host: LOOPBACK, port: 65_536 },
    { host: '', port: 1 },
  ]) {
    const probe = new Probe();
    const connection = host.net.connectTcp(remote, probe);
    connection.send(Uint8Array.of(1));
    expect(probe.calls).toEqual([]);
    await probe.until(() => probe.closed);
    expect([remote, probe.closeError?.code]).toEqual([remote, 'unreachable']);
  }
});

test('a peer that resets is reset', async () => {
  const server: Server = createServer((socket) => socket.resetAndDestroy());
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const probe = new Probe();
  host.net.connectTcp({ host: LOOPBACK, port: (server.address() as { port: number }).port }, probe);
  await probe.until(() => probe.closed);
  expect(probe.closeError?.code).toBe('reset');
  server.close();
});

test('an accept that throws is reported and costs only its connection', async () => {
  const uncaught: unknown[] = [];
  const careful = createNodeHost({ onUncaught: (error) => uncaught.push(error) });
  const listener = await careful.net.listenTcp({ host: LOOPBACK, port: 0 }, () => {
    throw new Error('from accept');
  });
  const probe = new Probe();
  host.net.connectTcp(listener.local, probe);
  await probe.until(() => probe.closed);
  expect(uncaught).toMatchObject([{ message: 'from accept' }]);
  await careful.close();
});

test('close ends connections, listeners and servers, and nothing of them stays', async () => {
  const other = createNodeHost();
  const server = new Probe();
  const listener = await other.net.listenTcp({ host: LOOPBACK, port: 0 }, () => server);
  await other.net.bindUdp({ host: LOOPBACK, port: 0 }, () => {});
  const web = await other.http.serve({ host: LOOPBACK, port: 0 }, () => new Promise<Response>(() => {}));
  const held = host.http.fetch(`http://${LOOPBACK}:${web.local.port}/`);
  const lost = expect(held).rejects.toMatchObject({ code: 'reset' });
  const client = new Probe();
  host.net.connectTcp(listener.local, client);
  await client.until(() => client.calls.includes('open'));
  await other.close();
  await lost;
  await client.until(() => client.closed);
  await server.until(() => server.closed);
  const late = new Probe();
  host.net.connectTcp(listener.local, late);
  await late.until(() => late.closed);
  expect(late.closeError?.code).toBe('refused');
});

test.runIf(process.platform === 'linux')('outgoing connections come from the address asked for', async () => {
  const other = createNodeHost({ outgoingHost: '127.9.8.7' });
  const hasIpv6 = networkInterfaces().lo?.some(({ address }) => address === '::1');
  for (const listening of hasIpv6 ? [LOOPBACK, '::1'] : [LOOPBACK]) {
    const server = new Probe();
    const listener = await host.net.listenTcp({ host: listening, port: 0 }, (connection) => {
      server.connection = connection;
      return server;
    });
    const client = new Probe();
    client.connection = other.net.connectTcp(listener.local, client);
    await client.until(() => client.calls.length > 0);
    await server.until(() => server.calls.length > 0);
    // Another family is left as the system routes it.
    const from = listening === LOOPBACK ? '127.9.8.7' : '::1';
    expect([server.connection.remote.host, client.connection.local.host]).toEqual([from, from]);
  }
  await other.close();
});

test('an outgoing address that the machine does not have ends the connection', async () => {
  const other = createNodeHost({ outgoingHost: '192.0.2.1' });
  const listener = await host.net.listenTcp({ host: LOOPBACK, port: 0 }, () => new Probe());
  const client = new Probe();
  other.net.connectTcp(listener.local, client);
  await client.until(() => client.closed);
  expect(client.closeError?.code).toBe('address-unavailable');
  await other.close();
});

test('addresses the system gives are brought to one spelling', () => {
  expect(plainAddress('::ffff:192.0.2.1', 5)).toEqual({ host: '192.0.2.1', port: 5 });
  expect(plainAddress('fe80::1%eth0', 5)).toEqual({ host: 'fe80::1', port: 5 });
  expect(plainAddress('0:0:0:0:0:0:0:1', 5)).toEqual({ host: '::1', port: 5 });
});

test('where a handle cannot be adopted, accepted connections work all the same', async () => {
  const sent = pattern(2 ** 20, 3);
  const server = new Probe();
  const listener = await host.net.listenTcp({ host: LOOPBACK, port: 0 }, (connection) => {
    server.connection = connection;
    return server;
  });
  const client = connect({ host: LOOPBACK, port: listener.local.port });
  // Before the connection is accepted, in a later turn of the loop: what a future Node may lack.
  const methods = Object.getPrototypeOf((client as unknown as { _handle: object })._handle);
  Object.defineProperty(methods, 'useUserBuffer', { value: undefined, configurable: true });
  try {
    await server.until(() => server.calls.includes('open'));
  } finally {
    delete methods.useUserBuffer;
  }
  client.end(sent);
  await server.until(() => server.received.length === sent.length);
  expect(Buffer.compare(server.received, sent)).toBe(0);
  client.destroy();
  await server.until(() => server.closed);
});
