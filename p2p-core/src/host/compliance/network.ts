/** Network: TCP's order, ends and limits, UDP, names. */
import { describe, expect } from 'vitest';
import type { WorldTest } from '../compliance.ts';
import { codeOf, connectPair, Probe, pattern, pause, sameBytes, unusedPort } from './probe.ts';

export function describeNetwork(test: WorldTest): void {
  describe('TCP', () => {
    test('both sides open, later than the call, and agree on their addresses', async (world) => {
      const [first, second] = world.machines;
      const client = new Probe();
      const server = new Probe();
      const listener = await first.host.net.listenTcp({ host: first.address, port: 0 }, (connection) => {
        server.connection = connection;
        return server;
      });
      expect(listener.local.host).toBe(first.address);
      expect(listener.local.port).toBeGreaterThan(0);
      client.connection = second.host.net.connectTcp(listener.local, client);
      expect(client.calls).toEqual([]);
      expect(client.connection.remote).toEqual(listener.local);
      await client.until(() => client.calls.length > 0);
      await server.until(() => server.calls.length > 0);
      expect([client.calls, server.calls]).toEqual([['open'], ['open']]);
      expect(server.connection.local).toEqual(listener.local);
      expect(server.connection.remote).toEqual(client.connection.local);
      expect(server.connection.remote.host).toBe(second.address);
    });

    test('bytes sent before the connection is open arrive once it is', async (world) => {
      const [first, second] = world.machines;
      const server = new Probe();
      const listener = await first.host.net.listenTcp({ host: first.address, port: 0 }, () => server);
      const client = new Probe();
      client.connection = second.host.net.connectTcp(listener.local, client);
      client.connection.send(pattern(1000));
      client.connection.close();
      await server.until(() => server.closed);
      expect(server.received).toEqual(pattern(1000));
    });

    test('bytes arrive in order, both ways at once', async (world) => {
      const { client, server } = await connectPair(world);
      const out = pattern(300_000, 2);
      const back = pattern(200_000, 3);
      for (let at = 0; at < out.length; at += 7_001) client.connection.send(out.slice(at, at + 7_001));
      for (let at = 0; at < back.length; at += 111_111) server.connection.send(back.slice(at, at + 111_111));
      await server.until(() => server.received.length >= out.length);
      await client.until(() => client.received.length >= back.length);
      expect(sameBytes(server.received, out)).toBe(true);
      expect(sameBytes(client.received, back)).toBe(true);
      expect(client.connection.queuedBytes).toBe(0);
    });

    test('what onBytes leaves is offered again in front of what comes next', async (world) => {
      const server = new Probe();
      // Messages of 10,007 bytes, consumed only when whole.
      server.consume = (view) => view.length - (view.length % 10_007);
      const { client } = await connectPair(world, new Probe(), server);
      const sent = pattern(10_007 * 40, 4);
      for (let at = 0; at < sent.length; at += 3_000) client.connection.send(sent.slice(at, at + 3_000));
      await server.until(() => server.received.length === sent.length);
      expect(sameBytes(server.received, sent)).toBe(true);
    });

    test('a handler that leaves more than 2 MiB loses the connection with too-large', async (world) => {
      const server = new Probe();
      let most = 0;
      server.consume = (view) => {
        most = Math.max(most, view.length);
        return 0;
      };
      const { client } = await connectPair(world, new Probe(), server);
      client.connection.send(pattern(6 * 2 ** 20));
      await server.until(() => server.closed);
      await client.until(() => client.closed);
      expect(server.closeError?.code).toBe('too-large');
      expect(most).toBeGreaterThan(2 ** 20);
      expect(most).toBeLessThan(4 * 2 ** 20);
    });

    test('close sends what is queued, then both sides end without error, once', async (world) => {
      const { client, server } = await connectPair(world);
      client.connection.send(pattern(3_000_000, 5));
      client.connection.close();
      client.connection.send(Uint8Array.of(1, 2, 3));
      client.connection.close();
      await server.until(() => server.closed);
      await client.until(() => client.closed);
      await pause(world, 20);
      expect(sameBytes(server.received, pattern(3_000_000, 5))).toBe(true);
      expect([server.closeError, client.closeError]).toEqual([undefined, undefined]);
      expect(server.calls).toEqual(['open', 'close']);
      expect(client.calls.filter((call) => call !== 'drain')).toEqual(['open', 'close']);
    });

    test('the end of one side ends the other after its own queue is sent', async (world) => {
      const { client, server } = await connectPair(world);
      server.connection.send(pattern(2_000_000, 6));
      client.connection.close();
      await server.until(() => server.closed);
      await client.until(() => client.closed);
      expect(sameBytes(client.received, pattern(2_000_000, 6))).toBe(true);
      expect(server.closeError).toBeUndefined();
    });

    test('a handler that hears of the end may go on sending, and closes when it has', async (world) => {
      const server = new Probe();
      const ended = Promise.withResolvers<void>();
      const hears = Object.assign(server, { onEnd: () => ended.resolve() });
      const { client } = await connectPair(world, new Probe(), hears);
      client.connection.send(pattern(100_000, 7));
      client.connection.close();
      await ended.promise;
      expect(sameBytes(server.received, pattern(100_000, 7))).toBe(true);
      await pause(world, 20);
      expect([server.closed, client.closed]).toEqual([false, false]);
      server.connection.send(pattern(1_500_000, 8));
      server.connection.close();
      await client.until(() => client.closed);
      await server.until(() => server.closed);
      expect(sameBytes(client.received, pattern(1_500_000, 8))).toBe(true);
      expect([server.closeError, client.closeError]).toEqual([undefined, undefined]);
    });

    test('held input is not offered and stops the sender; let go, all of it comes, leftovers first', async (world) => {
      const server = new Probe();
      server.consume = (view) => {
        if (server.received.length > 0) return view.length;
        server.connection.holdInput(true);
        return Math.min(view.length, 3);
      };
      const { client } = await connectPair(world, new Probe(), server);
      const sent = pattern(20 * 2 ** 20, 9);
      client.connection.send(sent);
      await server.until(() => server.received.length > 0);
      client.connection.close();
      await pause(world, 100);
      expect(server.received.length).toBe(3);
      expect(client.connection.queuedBytes).toBeGreaterThan(0);
      expect(server.calls).toEqual(['open']);
      // A count and a sum, for a Probe that keeps megabytes copies them at every view.
      let count = 3;
      let isSame = true;
      server.onBytes = (view) => {
        for (let at = 0; at < view.length && isSame; at++) isSame = view[at] === sent[count + at];
        count += view.length;
        return view.length;
      };
      server.connection.holdInput(false);
      expect(count).toBe(3);
      await server.until(() => server.closed);
      expect([count, isSame, server.closeError]).toEqual([sent.length, true, undefined]);
    });

    test('input held and let go within one call is offered again all the same', async (world) => {
      const server = new Probe();
      let views = 0;
      server.consume = (view) => {
        if (++views > 1) return view.length;
        server.connection.holdInput(true);
        server.connection.holdInput(false);
        return 1;
      };
      const { client } = await connectPair(world, new Probe(), server);
      client.connection.send(Uint8Array.of(1, 2, 3));
      await server.until(() => server.received.length === 3);
      expect([...server.received]).toEqual([1, 2, 3]);
    });

    test('input held in the middle comes on with no more arriving, payload included', async (world) => {
      const server = new Probe();
      const piece = world.machines[0].host.payload.allocatePiece(4);
      let views = 0;
      server.consume = (view) => {
        views++;
        if (views !== 1) return view.length;
        server.connection.receivePayload(4, piece, 0);
        server.connection.holdInput(true);
        return 1;
      };
      const { client } = await connectPair(world, new Probe(), server);
      client.connection.send(Uint8Array.of(1, 9, 9, 9, 9, 2, 3));
      await server.until(() => views === 1);
      await pause(world, 20);
      expect([server.calls, views]).toEqual([['open'], 1]);
      server.connection.holdInput(false);
      await server.until(() => server.received.length === 3);
      expect([...server.received]).toEqual([1, 2, 3]);
      expect(server.calls).toEqual(['open', 'payload']);
      piece.release();
    });

    test('destroy drops everything at once and ends both sides, once', async (world) => {
      const { client, server } = await connectPair(world);
      client.connection.destroy();
      expect(client.closed).toBe(false);
      client.connection.destroy();
      client.connection.send(Uint8Array.of(1));
      client.connection.close();
      await client.until(() => client.closed);
      await server.until(() => server.closed);
      await pause(world, 20);
      expect(client.calls).toEqual(['open', 'close']);
      expect(server.calls).toEqual(['open', 'close']);
      expect(server.received).toHaveLength(0);
    });

    test('a throw in a callback is reported and costs only its own connection', async (world) => {
      const bad = new Probe();
      const pairs = [await connectPair(world), await connectPair(world, new Probe(), bad)] as const;
      bad.consume = () => {
        throw new Error('from onBytes');
      };
      pairs[1].client.connection.send(Uint8Array.of(1));
      await bad.until(() => bad.closed);
      await pairs[1].client.until(() => pairs[1].client.closed);
      expect(world.uncaught.splice(0)).toMatchObject([{ message: 'from onBytes' }]);
      pairs[0].client.connection.send(Uint8Array.of(7));
      await pairs[0].server.until(() => pairs[0].server.received.length === 1);
    });

    test('queuedBytes tells what waits; onDrain comes once it has fallen', async (world) => {
      const { client, server } = await connectPair(world);
      const { highWaterBytes } = client.connection;
      expect(highWaterBytes).toBeGreaterThanOrEqual(65_536);
      const length = highWaterBytes * 2 + 16 * 2 ** 20;
      client.connection.send(new Uint8Array(length));
      expect(client.connection.queuedBytes).toBeGreaterThan(highWaterBytes);
      let queuedAtDrain = Number.POSITIVE_INFINITY;
      client.onDrain = () => {
        queuedAtDrain = Math.min(queuedAtDrain, client.connection.queuedBytes);
        Probe.prototype.onDrain.call(client);
      };
      let arrived = 0;
      server.onBytes = (view) => {
        arrived += view.length;
        return view.length;
      };
      await client.until(() => client.calls.includes('drain'));
      expect(queuedAtDrain).toBeLessThan(highWaterBytes / 2);
      client.connection.close();
      await server.until(() => server.closed);
      expect(arrived).toBe(length);
      expect(client.calls.filter((call) => call === 'drain')).toHaveLength(1);
    });

    test('a connection that nobody listens for is refused', async (world) => {
      const [first, second] = world.machines;
      const port = await unusedPort(first.host.net, first.address);
      const client = new Probe();
      second.host.net.connectTcp({ host: first.address, port }, client);
      await client.until(() => client.closed);
      expect(client.closeError?.code).toBe('refused');
      expect(client.calls).toEqual(['close']);
    });

    test('a taken port is address-in-use; a closed listener refuses, its connections live on', async (world) => {
      const [first, second] = world.machines;
      const { client, server, listener } = await connectPair(world);
      expect(await codeOf(first.host.net.listenTcp(listener.local, () => new Probe()))).toBe(
        'address-in-use',
      );
      await listener.close();
      client.connection.send(Uint8Array.of(9));
      await server.until(() => server.received.length === 1);
      const late = new Probe();
      second.host.net.connectTcp(listener.local, late);
      await late.until(() => late.closed);
      expect(late.closeError?.code).toBe('refused');
    });
  });

  describe('UDP', () => {
    test('a message arrives whole, with the address it is answered at', async (world) => {
      const [first, second] = world.machines;
      const answered = Promise.withResolvers<Uint8Array>();
      const server = await first.host.net.bindUdp({ host: first.address, port: 0 }, (message, from) =>
        server.send(message.slice().reverse(), from),
      );
      const client = await second.host.net.bindUdp({ host: second.address, port: 0 }, (message, from) => {
        expect(from).toEqual(server.local);
        answered.resolve(message.slice());
      });
      const message = pattern(1_200);
      client.send(message, server.local);
      const sent = message.slice();
      message.fill(0);
      expect(await answered.promise).toEqual(sent.reverse());
      client.close();
      client.close();
      client.send(message, server.local);
      server.close();
    });

    test('sending to nobody, or too much, is no error; a taken port is', async (world) => {
      const [first, second] = world.machines;
      const taken = await first.host.net.bindUdp({ host: first.address, port: 0 }, () => {});
      expect(await codeOf(first.host.net.bindUdp(taken.local, () => {}))).toBe('address-in-use');
      taken.close();
      let received = 0;
      const socket = await second.host.net.bindUdp({ host: second.address, port: 0 }, () => received++);
      socket.send(Uint8Array.of(1), { host: first.address, port: taken.local.port });
      socket.send(new Uint8Array(70_000), taken.local);
      await pause(world, 20);
      expect(received).toBe(0);
      socket.close();
    });
  });

  describe('names', () => {
    test('an IP literal is its own address; an unknown name is name-not-found', async (world) => {
      const { net } = world.machines[0].host;
      expect(await net.resolve('192.0.2.7')).toEqual(['192.0.2.7']);
      expect(await net.resolve('2001:db8::1')).toEqual(['2001:db8::1']);
      expect(await codeOf(net.resolve('no-such-name.invalid'))).toBe('name-not-found');
    });
  });
}
