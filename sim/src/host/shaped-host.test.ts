/** ShapedHost passes the Host's compliance suite over virtual time, and keeps bytes as they are under whatever conditions. */
import { type Conditions, ShapedHost } from '@skep/p2p-core/host';
import { describeHost } from '@skep/p2p-core/host/compliance';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimWorld } from './sim-world.ts';
import { A, B, bench, connect } from './testing/shaped-bench.ts';

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
