/** What `FILE|MAGNET` on the command line names, and the addresses given beside it. */
import type { Address, Host } from '@skep/p2p-core/host';
import { addressFamily, HostError } from '@skep/p2p-core/host';
import {
  type Magnet,
  type Metainfo,
  MetainfoError,
  parseMagnet,
  parseMetainfo,
} from '@skep/p2p-core/metainfo';
import type { HostAndPort } from '../arguments.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export type TorrentSource =
  | { readonly kind: 'metainfo'; readonly metainfo: Metainfo }
  | { readonly kind: 'magnet'; readonly magnet: Magnet; readonly text: string };

const mostTorrentBytes = 20_000_000;

/** Reads a .torrent file or a magnet link. Rejects with MetainfoError, HostError or CliError. */
export async function readTorrentSource(host: Host, text: string): Promise<TorrentSource> {
  if (/^magnet:/i.test(text)) return { kind: 'magnet', magnet: parseMagnet(text), text };
  if (/^https?:/i.test(text)) {
    throw new CliError(
      'usage',
      exitCodes.usage,
      'Give a .torrent file or a magnet link; a URL must be fetched first.',
    );
  }
  return { kind: 'metainfo', metainfo: await readTorrentFile(host, text) };
}

/** Rejects with a sentence that names the file. */
export async function readTorrentFile(host: Host, path: string): Promise<Metainfo> {
  let bytes: Uint8Array;
  try {
    bytes = await host.files.read(path, mostTorrentBytes);
  } catch (error) {
    if (error instanceof HostError && error.code === 'not-found') {
      throw new CliError('not-found', exitCodes.notFound, `There is no torrent file ${path}.`, {
        cause: error,
      });
    }
    throw error;
  }
  if (bytes.length === 0) throw new MetainfoError('truncated', `The torrent file ${path} is empty.`);
  return parseMetainfo(host.compute, bytes);
}

/** Names become addresses. Rejects with HostError name-not-found, so that a misspelt one is not passed over. */
export function resolveAll(host: Host, given: readonly HostAndPort[]): Promise<Address[]> {
  return Promise.all(
    given.map(async (each) => {
      if (addressFamily(each.host) !== undefined) return each;
      const [literal] = await host.net.resolve(each.host);
      return { host: literal ?? each.host, port: each.port };
    }),
  );
}
