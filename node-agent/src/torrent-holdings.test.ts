/** What is held of what was commanded, over a node that only remembers what it was given. */
import type { AddOptions, Node, Torrent } from '@skep/p2p-core';
import { SimWorld } from '@skep/sim';
import { expect, it } from 'vitest';
import { TorrentHoldings } from './torrent-holdings.ts';

function holdings(refused: (magnet: string) => boolean) {
  const status = { infoHash: 'ab', state: 'metadata', bytes: { total: 0, have: 0 }, peers: { connected: 0 } };
  const torrent = { status: () => status, waitFor: () => new Promise(() => undefined) };
  const add = async ({ magnet = '' }: AddOptions) => {
    if (refused(magnet)) throw new Error(`no ${magnet}`);
    return torrent as unknown as Torrent;
  };
  const host = new SimWorld({ seed: 1 }).createHost({ address: '10.0.0.1' });
  const node = { add } as unknown as Node;
  return new TorrentHoldings({ host, node }, { dataDirectory: '/data', onEvent: () => undefined });
}

const command = (index: number) => ({
  kind: 'hold-torrent' as const,
  infoHash: index.toString(16).padStart(40, '0'),
  magnet: `magnet-${index}`,
});

it('holds the others though one cannot be held, and says why', async () => {
  const held = holdings((magnet) => magnet === 'magnet-1');
  await expect(held.obey([1, 2, 3].map(command))).rejects.toThrow('no magnet-1');
  expect(held.report()).toHaveLength(2);
});

it('reports no more than the control API takes', async () => {
  const held = holdings(() => false);
  await held.obey(Array.from({ length: 1_001 }, (_, index) => command(index)));
  expect(held.report()).toHaveLength(1_000);
});
