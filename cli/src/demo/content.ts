/** What the demonstration spreads: a real file or folder, its torrent, and its SHA-256 taken from the original. */
import { realpathSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { createMetainfo, type Metainfo } from '@skep/p2p-core/metainfo';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { formatBytes } from '../terminal/format.ts';

export interface DemoContent {
  readonly metainfo: Metainfo;
  /** Directory that the file or folder lies in. */
  readonly contentRoot: string;
  /** Of the files laid end to end, in the torrent's order, in hexadecimal digits. */
  readonly sha256: string;
}

export interface ReadContentOptions {
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

/** Rejects with MetainfoError or HostError if the content is missing, empty or changes meanwhile. */
export async function readContent(
  host: Host,
  path: string,
  { onProgress, signal }: ReadContentOptions,
): Promise<DemoContent> {
  const realPath = realPathOf(path);
  const metainfo = await createMetainfo(host, realPath, { createdBy: 'Skep', onProgress, signal });
  const contentRoot = dirname(realPath);
  const { files, length } = metainfo.info;
  const content = await host.payload.openContent({ root: contentRoot, files, readOnly: true });
  try {
    const sha256 = toHex(await content.hashRange(0, length, 'sha256'));
    return { metainfo, contentRoot, sha256 };
  } finally {
    await content.close();
  }
}

/** Where the user's path leads, links followed; fails before anything is started if that is nowhere. */
export function requireContent(path: string): string {
  return realPathOf(path);
}

/** Fails if others than its owner may not read it: nodes in containers run as a user that owns nothing here. */
export function requireReadable(path: string): void {
  const { mode } = statSync(path);
  if ((mode & 0o004) !== 0) return;
  throw new CliError(
    'permission',
    exitCodes.machine,
    `Nodes in containers cannot read ${path}, which only its owner may: \`chmod o+r\` lets them.`,
  );
}

/** A Host reads no content through symbolic links, but the path that a user gives may well be one. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    throw new CliError('not-found', exitCodes.notFound, `There is no file or folder ${path}.`);
  }
}

/** Fails at once, and not in the middle, if the copies that the leeches will make cannot fit. */
export function requireSpace(directory: string, neededBytes: number): void {
  const { bavail, bsize } = statfsSync(directory);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  throw new CliError(
    'disk-full',
    exitCodes.machine,
    `The leeches' copies need ${formatBytes(neededBytes)} in ${directory} and ${formatBytes(freeBytes)} are free: ` +
      'free some, give a smaller --content or fewer --peers, or set TMPDIR to a larger disk.',
  );
}
