import { once } from 'node:events';
import { createServer } from 'node:net';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { expect, it } from 'vitest';
import { ProcessLauncher } from './process.ts';
import { findFreePorts } from './process-ports.ts';

let state = 1;
const random = {
  float: () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  },
  bytes: (length: number) => new Uint8Array(length),
};
const everything = new Set(Array.from({ length: 65_536 }, (_, port) => port));

it('gives each port once, whoever asks at the same time', async () => {
  const used = new Set<number>();
  const asked = await Promise.all([1, 2, 3].map(() => findFreePorts(random, '127.0.0.1', 4, used)));
  expect(new Set(asked.flat()).size).toBe(12);
  expect([...used].sort()).toEqual(asked.flat().sort());
});

it('gives no port that something listens at, and says when there are too few', async () => {
  const [taken, free] = (await findFreePorts(random, '127.0.0.1', 2, new Set()))!;
  const server = createServer();
  server.listen(taken, '127.0.0.1');
  await once(server, 'listening');
  try {
    const used = new Set(everything);
    used.delete(taken!);
    used.delete(free!);
    const before = [...used];
    expect(await findFreePorts(random, '127.0.0.1', 2, used)).toBeUndefined();
    expect([...used]).toEqual(before);
    expect(await findFreePorts(random, '127.0.0.1', 1, used)).toEqual([free]);
  } finally {
    server.close();
  }
});

it('gives ports again whose slots are no more, but not before who asked could say that they are taken', async () => {
  const node = createNodeHost();
  let nowMs = 0;
  const clock = { ...node.clock, now: () => nowMs };
  // One draw gives one order of ports, so the first that are free come again.
  const host = { ...node, clock, random: { ...random, float: () => 0.5 } };
  const launcher = new ProcessLauncher({ host }, { directory: '/nowhere', agentProgram: '/nothing' });
  const own = { clusterUid: 'c'.repeat(32) };
  const [first] = await launcher.allocate(1, [], own);
  const [second] = await launcher.allocate(1, [first!], own);
  expect(second).not.toEqual(first);
  nowMs = 60_000;
  expect((await launcher.allocate(1, [first!], own))[0]).not.toEqual(first);
  nowMs = 120_000;
  expect(await launcher.allocate(1, [], own)).toEqual([first]);
  launcher.close();
  await node.close();
});

const isLinux = process.platform === 'linux';
it.skipIf(!isLinux)(
  'gives each slot a host of its own, whoever asks at the same time, and says when there are too few',
  async () => {
    const host = createNodeHost();
    const launcher = new ProcessLauncher({ host }, { directory: '/nowhere', agentProgram: '/nothing' });
    const own = { clusterUid: 'c'.repeat(32), ownHosts: true };
    const given = (await Promise.all([1, 2, 3].map(() => launcher.allocate(3, [], own)))).flat();
    expect(new Set(given.map(({ listen }) => listen.host)).size).toBe(9);
    for (const { listen } of given) expect(listen.host).toMatch(/^127\.77\./);
    await expect(launcher.allocate(40_000, [], own)).rejects.toMatchObject({ code: 'no-free-address' });
    launcher.close();
    await host.close();
  },
);
