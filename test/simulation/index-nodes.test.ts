/** Index nodes in whole simulated clusters: they serve the DHT, are healed like peers, and hold no content. */
import { simulate } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const limitMs = 60_000;
const cluster = { bootstrap: 3, index: 2, peers: 2 };

describe('an index node', { timeout: limitMs }, () => {
  it('is in the DHT, and holds nothing of what spreads', async () => {
    const world = await simulate({ seed: 1, cluster });
    const film = await world.share({ sizeBytes: 1_000_000 });
    await film.spread();
    await world.pass(10_000);
    expect(film.holders.toSorted()).toEqual(['peer-1', 'peer-2']);
    const nodes = await world.cluster.world.complete(
      world.cluster.client.listNodes({ params: { cluster: world.cluster.spec.name } }),
    );
    for (const { slot, dhtNodes, torrents } of nodes) {
      expect(dhtNodes, slot).toBe(6);
      expect(torrents, slot).toHaveLength(slot.startsWith('peer-') ? 1 : 0);
    }
  });

  it('that is cut off is replaced at the leader’s word', async () => {
    const world = await simulate({ seed: 2, cluster });
    world.inject({ kind: 'partition', nodes: ['index-2'], way: 'both', forMs: 15_000 });
    await world.until(() => world.generationOf('index-2') === 2, { withinMs: 12_000 });
    await world.healed();
    expect(world.generationOf('index-1')).toBe(1);
  });

  it('that dies is replaced by a spare, as itself', async () => {
    const world = await simulate({ seed: 3, cluster: { ...cluster, spares: 1 }, fleet: 'process' });
    const spare = world.cluster.machineIn('spare-1');
    world.inject({ kind: 'crash', nodes: ['index-1'] });
    await world.until(() => world.generationOf('index-1') === 2, { withinMs: 12_000 });
    await world.healed();
    expect(world.cluster.machineIn('index-1')).toBe(spare);
  });
});
