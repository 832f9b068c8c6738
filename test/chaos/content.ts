/** Content to spread: random bytes in a file, seeded by a node of the cluster, fetched by all its other peers. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { toHex } from '@skep/p2p-core/bytes';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import type { ChaosCluster } from './cluster.ts';

export interface Content {
  /** The directory that the seed's file lies in. */
  readonly root: string;
  readonly name: string;
  readonly infoHash: string;
  readonly sha256: string;
}

export interface ContentOptions {
  readonly name: string;
  readonly length: number;
  readonly pieceLength?: number;
  readonly seedSlot: string;
  readonly leeches?: 'all' | string[];
}

export async function shareContent(cluster: ChaosCluster, options: ContentOptions): Promise<Content> {
  const { name, length, pieceLength, seedSlot, leeches = 'all' } = options;
  const root = join(cluster.scratch, `seed-${name}`);
  const bytes = randomBytes(length);
  await mkdir(root);
  await writeFile(join(root, name), bytes);
  const metainfo = await createMetainfo(cluster.host, join(root, name), pieceLength ? { pieceLength } : {});
  await cluster.api.addTorrent({
    params: cluster.params,
    body: {
      metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
      seeds: [{ slot: seedSlot, contentRoot: root }],
      leeches,
    },
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { root, name, infoHash: toHex(metainfo.info.infoHash), sha256 };
}

/** Of a file, by none of the code that wrote it. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
