/** Each fault that a SimHost can be given, and what its peers and its successor see of it. */
import type { Address, TcpConnection, TcpHandler } from '@skep/p2p-core/host';
import { describe, expect, test } from 'vitest';
import type { SimHost } from './sim-host.ts';
import type { SimWorldOptions } from './sim-world.ts';
import { SimWorld } from './sim-world.ts';

class Recorder implements TcpHandler {
  opened = false;
  bytes = 0;
  closed: string | undefined;
  onOpen(): void {
    this.opened = true;
  }
  onBytes(view: Uint8Array): number {
    this.bytes += view.length;
    return view.length;
  }
  onClose(error?: { code: string }): void {
    this.closed = error?.code ?? 'end';
  }
}

interface Scene {
  readonly world: SimWorld;
  readonly a: SimHost;
  readonly b: SimHost;
  /** b's address of a TCP listener whose connections are `accepted`. */
  readonly service: Address;
  readonly accepted: { connection: TcpConnection; handler: Recorder }[];
}

async function scene(network: SimWorldOptions['network'] = { latencyMs: 10 }): Promise<Scene> {
  const world = new SimWorld({ seed: 1, network });
  const a = world.createHost({ address: '10.0.0.1' });
  const b = world.createHost({ address: '10.0.0.2' });
  const accepted: Scene['accepted'] = [];
  const listener = await world.complete(
    b.net.listenTcp({ host: b.address, port: 80 }, (connection) => {
      const handler = new Recorder();
      accepted.push({ connection, handler });
      return handler;
    }),
  );
  return { world, a, b, service: listener.local, accepted };
}

async function connected(): Promise<Scene & { client: Recorder; connection: TcpConnection }> {
  const started = await scene();
  const client = new Recorder();
  const connection = started.a.net.connectTcp(started.service, client);
  await started.world.run({ until: () => client.opened && started.accepted[0]?.handler.opened === true });
  return { ...started, client, connection };
}

const rejection = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => 'no error',
    (error) => error.code,
  );

describe('time on the network', () => {
  test('a connection opens after one round trip; a byte arrives half a trip later', async () => {
    const { world, a, service, accepted } = await scene();
    const startMs = world.nowMs;
    const client = new Recorder();
    const connection = a.net.connectTcp(service, client);
    await world.run({ until: () => client.opened });
    expect(world.nowMs - startMs).toBeCloseTo(20);
    connection.send(Uint8Array.of(1));
    await world.run({ until: () => accepted[0]?.handler.bytes === 1 });
    expect(world.nowMs - startMs).toBeCloseTo(30);
  });

  test('a link serialises at its rate', async () => {
    const { world, a, accepted, connection } = await connected();
    a.setLink({ upBytesPerSecond: 1_000_000 });
    const startMs = world.nowMs;
    connection.send(new Uint8Array(3_000_000));
    await world.run({ until: () => accepted[0]!.handler.bytes === 3_000_000 });
    expect(world.nowMs - startMs).toBeGreaterThan(3_000);
    expect(world.nowMs - startMs).toBeLessThan(3_300);
  });

  test('datagrams are lost, doubled and reordered as asked for', async () => {
    const world = new SimWorld({
      seed: 5,
      network: { latencyMs: 10, jitterMs: 10, udpLossRate: 0.2, udpDuplicateRate: 0.1 },
    });
    const [a, b] = ['10.0.0.1', '10.0.0.2'].map((address) => world.createHost({ address }));
    const seen: number[] = [];
    const open = Promise.all([
      a!.net.bindUdp({ host: '0.0.0.0', port: 1 }, () => {}),
      b!.net.bindUdp({ host: '0.0.0.0', port: 2 }, (message) => seen.push(message[0]! * 256 + message[1]!)),
    ]);
    const [socket] = await world.complete(open);
    for (let i = 0; i < 10_000; i++) socket.send(Uint8Array.of(i >> 8, i), { host: '10.0.0.2', port: 2 });
    await world.run();
    const distinct = new Set(seen).size;
    expect(distinct).toBeGreaterThan(7_800);
    expect(distinct).toBeLessThan(8_200);
    expect(seen.length - distinct).toBeGreaterThan(600);
    expect(seen.length - distinct).toBeLessThan(1_000);
    expect(seen.some((value, i) => i > 0 && value < seen[i - 1]!)).toBe(true);
  });

  test('views that a handler keeps turn to noise', async () => {
    const { world, b, a } = await scene();
    const kept: Uint8Array[] = [];
    const at = { host: '0.0.0.0', port: 9 };
    await world.complete(b.net.bindUdp(at, (message) => kept.push(message)));
    const socket = await world.complete(a.net.bindUdp(at, () => {}));
    socket.send(Uint8Array.of(1, 2), { host: b.address, port: 9 });
    await world.run();
    expect(kept).toEqual([Uint8Array.of(0xdb, 0xdb)]);
  });
});

describe('partitions', () => {
  test('a short one delays a stream, which loses and doubles nothing', async () => {
    const { world, a, b, accepted, connection, client } = await connected();
    world.partition([a.address], [b.address]);
    connection.send(new Uint8Array(500_000));
    await world.run({ untilMs: world.nowMs + 3_000 });
    expect(accepted[0]!.handler.bytes).toBe(0);
    world.heal();
    connection.send(new Uint8Array(5));
    await world.run({ untilMs: world.nowMs + 10_000 });
    expect(accepted[0]!.handler.bytes).toBe(500_005);
    expect([client.closed, accepted[0]!.handler.closed]).toEqual([undefined, undefined]);
  });

  test('a lost acknowledgement doubles nothing', async () => {
    const { world, a, b, accepted, connection } = await connected();
    const heal = world.cutOneWay([b.address], [a.address]);
    connection.send(new Uint8Array(3_000_000));
    await world.run({ untilMs: world.nowMs + 3_000 });
    // No more than the first window, for nothing that is under way is known to have arrived.
    expect(accepted[0]!.handler.bytes).toBe(10 * 1_448);
    heal();
    await world.run({ untilMs: world.nowMs + 10_000 });
    expect(accepted[0]!.handler.bytes).toBe(3_000_000);
  });

  test('a long one is a timeout for who has something to say, and silence for who has not', async () => {
    const { world, a, b, accepted, connection, client } = await connected();
    world.partition([a.address], [b.address]);
    connection.send(Uint8Array.of(1));
    await world.run({ untilMs: world.nowMs + 60_000 });
    expect([client.closed, accepted[0]!.handler.closed]).toEqual(['timeout', undefined]);
    world.heal();
    accepted[0]!.connection.send(Uint8Array.of(1));
    await world.run();
    expect(accepted[0]!.handler.closed).toBe('reset');
  });

  test('connecting and fetching across one time out; to nobody is unreachable', async () => {
    const { world, a, b, service } = await scene();
    world.partition([a.address], [b.address]);
    const cut = new Recorder();
    a.net.connectTcp(service, cut, { timeoutMs: 5_000 });
    const nobody = new Recorder();
    a.net.connectTcp({ host: '10.9.9.9', port: 1 }, nobody);
    const fetched = rejection(a.http.fetch(`http://${service.host}/`, { timeoutMs: 2_000 }));
    await world.run();
    expect([cut.closed, nobody.closed, await fetched]).toEqual(['timeout', 'unreachable', 'timeout']);
  });
});

describe('loopback', () => {
  test('a machine reaches itself, cut off from all others or not', async () => {
    const { world, a, b } = await scene();
    world.partition([a.address], [a.address, b.address]);
    await world.complete(a.http.serve({ host: '127.0.0.1', port: 80 }, (_, from) => new Response(from.host)));
    const answer = async () => (await a.http.fetch('http://localhost/')).text();
    expect(await world.complete(answer())).toBe('127.0.0.1');
  });

  test('what listens on it is reached by nobody else', async () => {
    const { world, a, b } = await scene();
    await world.complete(a.http.serve({ host: '127.0.0.1', port: 80 }, () => new Response()));
    expect(await world.complete(rejection(b.http.fetch(`http://${a.address}/`)))).toBe('refused');
  });
});

describe('crash', () => {
  test('of a process: peers are reset at once, new connections refused, until it restarts', async () => {
    const { world, a, b, client, service } = await connected();
    b.crash();
    await world.run({ untilMs: world.nowMs + 100 });
    expect([b.state, client.closed]).toEqual(['dead', 'reset']);
    expect(await world.complete(rejection(a.http.fetch(`http://${service.host}/`)))).toBe('refused');
    const next = b.restart();
    expect([next.generation, next.address]).toEqual([2, b.address]);
    await world.complete(next.http.serve(service, () => new Response('back')));
    const answer = async () => (await a.http.fetch(`http://${service.host}/`)).text();
    expect(await world.complete(answer())).toBe('back');
  });

  test('of a machine: peers hear nothing, and time out', async () => {
    const { world, a, b, client, connection, service } = await connected();
    b.crash({ kind: 'machine' });
    const late = new Recorder();
    a.net.connectTcp(service, late, { timeoutMs: 5_000 });
    await world.run({ untilMs: world.nowMs + 6_000 });
    expect([client.closed, late.closed]).toEqual([undefined, 'timeout']);
    connection.send(Uint8Array.of(1));
    await world.run();
    expect(client.closed).toBe('timeout');
  });

  test('dead code is inert: its timers, promises and calls come to nothing', async () => {
    const { world, a, b, connection, accepted } = await connected();
    const happened: string[] = [];
    const tell = (what: string) => () => happened.push(what);
    a.clock.setTimer(50, tell('timer'));
    a.files.writeAtomic('/x', Uint8Array.of(1)).then(tell('write'), tell('write failed'));
    a.http.fetch('http://10.0.0.2/').then(tell('fetch'), tell('fetch failed'));
    a.crash();
    connection.send(Uint8Array.of(1));
    connection.destroy();
    a.clock.setTimer(1, tell('new timer'));
    a.files.append('/x', Uint8Array.of(1)).then(tell('append'));
    a.net.connectTcp({ host: b.address, port: 80 }, { onBytes: () => 0, onClose: tell('close') });
    await world.run({ untilMs: world.nowMs + 60_000 });
    expect(happened).toEqual([]);
    expect([accepted.length, accepted[0]!.handler.closed]).toEqual([1, 'reset']);
    const next = a.restart();
    expect(await world.complete(next.files.stat('/x'))).toBeUndefined();
  });

  test('files survive; of unsynced writes power loss takes some', async () => {
    const { world, b } = await scene();
    await world.complete(b.files.writeAtomic('/state', Uint8Array.of(1, 2)));
    await world.complete(b.files.append('/log', new Uint8Array(100)));
    b.crash();
    const second = b.restart();
    expect(await world.complete(second.files.stat('/log'))).toMatchObject({ sizeBytes: 100 });
    second.crash({ kind: 'machine', unsyncedLossRate: 1 });
    const third = second.restart();
    expect(await world.complete(third.files.stat('/log'))).toMatchObject({ sizeBytes: 0 });
    expect(await world.complete(third.files.read('/state', 9))).toEqual(Uint8Array.of(1, 2));
  });
});

describe('pause', () => {
  test('timers and deliveries wait, in order, while the kernel accepts and acknowledges', async () => {
    const { world, a, b, service, accepted, connection } = await connected();
    const order: string[] = [];
    const startMs = world.nowMs;
    b.clock.setTimer(100, () => order.push(`100 at ${b.clock.now() - startMs}`));
    b.clock.setTimer(200, () => order.push('200'));
    const cancelled = b.clock.setTimer(150, () => order.push('never'));
    b.pause();
    connection.send(new Uint8Array(3 * 2 ** 20));
    const late = new Recorder();
    a.net.connectTcp(service, late);
    await world.run({ untilMs: startMs + 60_000 });
    expect([order, accepted.length, accepted[0]!.handler.bytes]).toEqual([[], 1, 0]);
    expect(late.opened).toBe(true);
    // One window waits in the receiver's kernel, the rest at the sender.
    expect(connection.queuedBytes).toBe(2 * 2 ** 20);
    b.resume();
    cancelled.cancel();
    await world.run();
    expect(order).toEqual(['100 at 60000', '200']);
    expect([accepted.length, accepted[0]!.handler.bytes]).toEqual([2, 3 * 2 ** 20]);
  });

  test('a socket keeps only so many datagrams', async () => {
    const { world, a, b } = await scene();
    let received = 0;
    await world.complete(b.net.bindUdp({ host: '0.0.0.0', port: 5 }, () => received++));
    const socket = await world.complete(a.net.bindUdp({ host: '0.0.0.0', port: 5 }, () => {}));
    b.pause();
    for (let i = 0; i < 1_000; i++) socket.send(new Uint8Array(1_024), { host: b.address, port: 5 });
    await world.run();
    b.resume();
    await world.run();
    expect(received).toBe(256);
  });
});

describe('clock and disk', () => {
  test('skew moves wallTime, and only that', async () => {
    const { a, b } = await scene();
    b.clockSkewMs = 5_000;
    expect(b.clock.wallTime() - a.clock.wallTime()).toBe(5_000);
    expect(b.clock.now()).toBe(a.clock.now());
  });

  test('a full disk refuses and keeps what it has; freed room can be used', async () => {
    const { world, a } = await scene();
    a.disk.capacityBytes = 1_000;
    await world.complete(a.files.writeAtomic('/a', new Uint8Array(900)));
    expect(await world.complete(rejection(a.files.writeAtomic('/b', new Uint8Array(200))))).toBe('disk-full');
    expect(await world.complete(rejection(a.files.append('/a', new Uint8Array(200))))).toBe('disk-full');
    const content = await world.complete(
      a.payload.openContent({ root: '/', files: [{ path: 'c', length: 400 }] }),
    );
    await world.complete(content.createFiles());
    const digest = a.compute.hash('sha1', new Uint8Array(400));
    const piece = a.payload.allocatePiece(400);
    expect(await world.complete(rejection(content.storePiece(piece, 0, digest)))).toBe('disk-full');
    await world.complete(a.files.remove('/a'));
    expect(a.disk.usedBytes).toBe(0);
    expect(await world.complete(content.storePiece(piece, 0, digest))).toBe('stored');
    expect(a.disk.usedBytes).toBe(400);
  });

  test('failing reads and writes are io', async () => {
    const { world, a } = await scene();
    a.disk.setConditions({ writeErrorRate: 1 });
    expect(await world.complete(rejection(a.files.writeAtomic('/a', new Uint8Array(9))))).toBe('io');
    a.disk.setConditions({});
    await world.complete(a.files.writeAtomic('/a', new Uint8Array(9)));
    a.disk.setConditions({ readErrorRate: 1 });
    expect(await world.complete(rejection(a.files.read('/a', 9)))).toBe('io');
  });
});

describe('HTTP', () => {
  test('a crash of the server in mid-body is a reset for the reader', async () => {
    const { world, a, b } = await scene();
    const server = await world.complete(
      b.http.serve({ host: '0.0.0.0', port: 8080 }, () => {
        return new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(10)) }));
      }),
    );
    expect(server.local.port).toBe(8080);
    const response = await world.complete(a.http.fetch('http://10.0.0.2:8080/'));
    const body = rejection(response.arrayBuffer());
    b.crash();
    expect(await world.complete(body)).toBe('reset');
  });

  test('a slow reader slows the handler down', async () => {
    const { world, a, b } = await scene();
    let written = 0;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            written += 65_536;
            controller.enqueue(new Uint8Array(65_536));
          },
        }),
      );
    await world.complete(b.http.serve({ host: '0.0.0.0', port: 8080 }, endless));
    world.setName('files.example', [b.address]);
    const response = await world.complete(a.http.fetch('http://files.example:8080/'));
    await world.run({ untilMs: world.nowMs + 10_000 });
    const stalledAt = written;
    expect(stalledAt).toBeLessThan(6 * 2 ** 20);
    const reader = response.body!.getReader();
    for (let parts = 0; parts < 100; parts++) await world.complete(reader.read());
    await world.run({ untilMs: world.nowMs + 1_000 });
    expect(written).toBeGreaterThan(stalledAt);
  });
});
