/**
 * One Skep peer that is told its peers; the same arguments and words as libtorrent_peer.py:
 * .torrent, directory, address to listen on, addresses of the peers to connect to. Prints `ready`; begins when it
 * reads a line; prints `complete SECONDS` from then to the last verified piece; ends with its standard input.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createNode } from '@skep/p2p-core';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { parseMetainfo } from '@skep/p2p-core/metainfo';

const [torrentPath, contentRoot, address, ...peers] = process.argv.slice(2) as [string, string, string];
const host = createNodeHost({ workers: 1 });
const metainfo = parseMetainfo(host.compute, readFileSync(torrentPath));
const node = await createNode({ host }, { listen: { host: address, port: 6881 }, dht: false });
const isSeed = peers.length === 0;
const add = () =>
  node.add({
    metainfo,
    contentRoot,
    mode: isSeed ? 'seed' : 'download',
    peers: peers.map((peer) => ({ host: peer, port: 6881 })),
  });
if (isSeed) await (await add()).waitFor(({ state }) => state === 'seeding');
console.log('ready');
const lines = createInterface(process.stdin);
lines.once('line', async () => {
  const begunMs = performance.now();
  if (!isSeed) await (await add()).waitFor(({ state }) => state === 'seeding');
  console.log(`complete ${((performance.now() - begunMs) / 1_000).toFixed(3)}`);
});
lines.once('close', async () => {
  await node.close();
  await host.close();
});
