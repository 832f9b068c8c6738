/** A .torrent that no row has room for: spread whole, removed whole, wherever the control API dies in between. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { commitLimits, type Write } from './ports/store.ts';
import { letDie } from './testing/dying-store.ts';
import { adminToken, createWorld, type PretendedAgent, type World } from './testing/world.ts';

const params = { cluster: 'bees' };
/** Twenty bytes a piece: some three megabytes in base64, which take thirteen rows and two commits. */
const pieces = 120_000;

let world: World;
beforeEach(async () => {
  world = await createWorld(1, { joinTimeoutMs: 1e9 });
  await world.client(adminToken).createCluster({ body: { name: 'bees', bootstrap: 1, peers: 2 } });
});
afterEach(async () => {
  await Promise.all([world.api.stop(), world.advance(2_000)]);
});

const metainfo = Buffer.concat([
  Buffer.from(
    `d4:infod6:lengthi${pieces * 16_384}e4:name5:large12:piece lengthi16384e6:pieces${pieces * 20}:`,
  ),
  Buffer.from(hashes()),
  Buffer.from('ee'),
]).toString('base64');
const body = { metainfo, seeds: [{ slot: 'peer-1', contentRoot: '/content' }] };
const add = () => world.client(adminToken).addTorrent({ params, body });
const partRows = async () =>
  (await world.store.list('cluster/')).filter(({ key }) => key.includes('/metainfoParts/'));
const held = async (agent: PretendedAgent) => {
  agent.revision = '';
  const { commands } = await agent.report();
  return commands!.find(({ kind }) => kind === 'hold-torrent') as { metainfo?: string } | undefined;
};

it('is handed to its seed as it was given, and to no other', async () => {
  const [seed, leech] = await Promise.all(
    ['peer-1', 'peer-2'].map(async (slot) => (await world.agent(slot)).serve()),
  );
  expect(metainfo.length).toBeGreaterThan(commitLimits.valueBytes * 4);
  await add();
  expect((await held(seed!))?.metainfo).toBe(metainfo);
  expect(await held(leech!)).not.toHaveProperty('metainfo');
  await world.restart();
  expect((await held(seed!))?.metainfo).toBe(metainfo);
  await expect(add()).rejects.toMatchObject({ problem: { code: 'torrent-exists' } });
  expect((await held(seed!))?.metainfo).toBe(metainfo);
});

it.each([
  [1, false],
  [1, true],
  [2, false],
  [2, true],
  [3, false],
  [3, true],
])('is added whole or not at all, though the control API dies at commit %i (made: %s)', async (at, made) => {
  const counts = (writes: readonly Write[]) =>
    writes.some(({ key }) => /\/(metainfoParts|torrents)\//.test(key));
  const death = letDie(world.store, { at, counts, made });
  await add().catch(() => undefined);
  await world.until(() => death.dead());
  death.revive();
  await world.restart();
  const torrents = await world.client(adminToken).listTorrents({ params });
  expect(torrents).toHaveLength(at === 3 && made ? 1 : 0);
  if (torrents.length === 0) await add();
  const [{ infoHash } = { infoHash: '' }] = await world.client(adminToken).listTorrents({ params });
  const seed = await (await world.agent('peer-1')).serve();
  expect((await held(seed))?.metainfo).toBe(metainfo);
  await world.client(adminToken).removeTorrent({ params: { ...params, infoHash } });
  expect(await partRows()).toEqual([]);
});

it('is refused where what else is said of it has no room in a row', async () => {
  const contentRoot = `/${'x'.repeat(4_000)}`;
  const seeds = Array.from({ length: 100 }, () => ({ slot: 'peer-1', contentRoot }));
  await expect(
    world.client(adminToken).addTorrent({ params, body: { ...body, seeds } }),
  ).rejects.toMatchObject({ problem: { code: 'too-large' } });
  expect(await world.client(adminToken).listTorrents({ params })).toEqual([]);
});

/** Hashes of no content: nobody looks at it here. */
function hashes(): Uint8Array {
  return Uint8Array.from({ length: pieces * 20 }, (_, index) => (index * 7) % 251);
}
