/** A process of its own that downloads one torrent and says how far it is, to be killed at any moment. */
import { readFileSync } from 'node:fs';
import { createNode } from '@skep/p2p-core';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { parseMetainfo } from '@skep/p2p-core/metainfo';

const [torrentFile, contentRoot, dataDirectory, peerPort, rate] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const host = createNodeHost();
const metainfo = parseMetainfo(host.compute, readFileSync(torrentFile));
const options = { listen: { host: '127.0.0.1', port: 0 }, dataDirectory, dht: false } as const;
const node = await createNode({ host }, options);
const torrent = await node.add({
  metainfo,
  contentRoot,
  mode: 'download',
  peers: peerPort === '' ? [] : [{ host: '127.0.0.1', port: Number(peerPort) }],
  downloadBytesPerSecond: Number(rate),
});
let begunWith: number | undefined;
const done = await torrent.waitFor((status) => {
  if (status.state === 'checking') return false;
  begunWith ??= status.pieces.have;
  process.stdout.write(`${JSON.stringify({ begunWith, have: status.pieces.have })}\n`);
  return status.state === 'seeding';
});
process.stdout.write(`${JSON.stringify({ begunWith, have: done.pieces.have, complete: true })}\n`);
await node.close();
await host.close();
