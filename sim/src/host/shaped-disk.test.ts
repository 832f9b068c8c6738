/** What ShapedHost does to clocks and disks. */
import type { HostError } from '@skep/p2p-core/host';
import { describe, expect, test } from 'vitest';
import { B, bench, connect } from './testing/shaped-bench.ts';

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
      expect(await a.files.freeBytes('/d')).toBe(0);
      await a.files.remove('/d/f');
      a.setConditions({});
      expect(await a.files.freeBytes('/d')).toBeGreaterThan(0);
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
