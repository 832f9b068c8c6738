/** Content for experiments: what a runner must be able to make, and the torrent that comes of it. */
import type { ContentPlan } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';

export interface ExperimentContent {
  readonly infoHash: string;
  readonly lengthBytes: number;
  /** The .torrent file, in base64. */
  readonly metainfo: string;
  /** Of the whole content, in hexadecimal digits. */
  readonly sha256: string;
  /** The directory that the content lies in, at every seed. */
  readonly contentRoot: string;
}

/** Makes content where the seeds are; how, only a runner knows. */
export interface ContentPort {
  /** The content at the machines of all of these slots, the same bytes for the same seed of the run. */
  make(plan: ContentPlan, seeds: readonly string[]): Promise<ExperimentContent>;
}

/** The torrent of a file that lies in `contentRoot` of a host. Rejects MetainfoError, HostError. */
export async function describeContent(
  host: Host,
  { contentRoot, name }: { contentRoot: string; name: string },
): Promise<ExperimentContent> {
  const metainfo = await createMetainfo(host, `${contentRoot}/${name}`, { createdBy: 'Skep' });
  const { files, length, infoHash } = metainfo.info;
  const content = await host.payload.openContent({ root: contentRoot, files, readOnly: true });
  try {
    const sha256 = toHex(await content.hashRange(0, length, 'sha256'));
    return {
      infoHash: toHex(infoHash),
      lengthBytes: length,
      metainfo: toBase64(encodeMetainfo(metainfo)),
      sha256,
      contentRoot,
    };
  } finally {
    await content.close();
  }
}

const base64Stride = 0x6000;

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += base64Stride) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + base64Stride)));
  }
  return text;
}
