/** `skep seed PATH`: shares a file or folder with any BitTorrent client, until Ctrl-C. */
import { basename, dirname } from 'node:path';
import { type Torrent, TorrentError, type TorrentStatus } from '@skep/p2p-core';
import { toHex } from '@skep/p2p-core/bytes';
import { formatAddress, sleep } from '@skep/p2p-core/host';
import { formatMagnet, type Metainfo } from '@skep/p2p-core/metainfo';
import { Command } from 'commander';
import { absolutePath } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { createBoard } from '../terminal/board.ts';
import { formatBytes, formatRate, printable } from '../terminal/format.ts';
import { aborted } from '../timing.ts';
import { createWithProgress } from './torrent.ts';
import { type NodeFlags, openNode, withNodeOptions } from './torrent-options.ts';
import { readTorrentFile, resolveAll } from './torrent-source.ts';

interface SeedFlags extends NodeFlags {
  readonly torrent?: string;
}

const everyMs = 500;

export function seedCommand(perform: Perform): Command {
  return withNodeOptions(new Command('seed'))
    .description('Share a file or folder until Ctrl-C; needs no cluster')
    .argument('<path>', 'file or folder', absolutePath)
    .option('--torrent <file>', 'share it as this .torrent says, instead of making one', absolutePath)
    .addHelpText('after', exitCodeHelp)
    .action((path: string, flags: SeedFlags) => perform(flags, (context) => seed(context, path, flags)));
}

async function seed(context: Context, path: string, flags: SeedFlags): Promise<number> {
  const { host, output, interrupts } = context;
  const given = flags.torrent === undefined ? undefined : await readTorrentFile(host, flags.torrent);
  if (given !== undefined && given.info.name !== basename(path)) {
    throw new CliError(
      'wrong-name',
      exitCodes.usage,
      `${flags.torrent} is of '${printable(given.info.name)}': give the path of the file or folder with that name.`,
    );
  }
  const metainfo = given ?? (await createWithProgress(context, path, {}));
  const node = await openNode(host, flags, metainfo.info.private);
  try {
    const torrent = await node.add({
      metainfo,
      contentRoot: dirname(path),
      mode: 'seed',
      peers: await resolveAll(host, flags.peer ?? []),
      trackers: flags.tracker ?? [],
    });
    await Promise.race([torrent.waitFor((status) => status.state === 'seeding'), aborted(interrupts.signal)]);
    interrupts.signal.throwIfAborted();
    announceReady(context, metainfo, flags, node.listen);
    return await showUntilEnd(context, torrent);
  } finally {
    await node.close();
    if (interrupts.signal.aborted && !output.json) output.note('stopped');
  }
}

function announceReady(
  { output }: Context,
  { info, trackers }: Metainfo,
  flags: SeedFlags,
  listen: { readonly host: string; readonly port: number },
): void {
  const isReachable = listen.host !== '0.0.0.0' && listen.host !== '::';
  const magnet = formatMagnet({
    infoHash: info.infoHash,
    displayName: info.name,
    trackers: [...new Set([...trackers.flat(), ...(flags.tracker ?? [])])],
    peers: isReachable ? [listen] : [],
  });
  output.result({
    infoHash: toHex(info.infoHash),
    name: info.name,
    lengthBytes: info.length,
    magnet,
    listen: formatAddress(listen),
  });
  output.line(`seeding   ${printable(info.name)}, ${formatBytes(info.length)}`);
  output.line(`infohash  ${toHex(info.infoHash)}`);
  output.line(`magnet    ${magnet}`);
  output.line(`listening ${formatAddress(listen)}; Ctrl-C ends it`);
}

/**
 * Until Ctrl-C, the good end of a seed; gives the exit status, `failed` if part of the content was lost. Rejects
 * with a CliError if none of it can be read any more.
 */
export async function showUntilEnd({ host, output, interrupts }: Context, torrent: Torrent): Promise<number> {
  const { signal } = interrupts;
  const isLive = output.progress.isTTY === true && !output.json;
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  let told: string | undefined;
  while (!signal.aborted) {
    const status = torrent.status();
    if (status.state === 'error') throw torrentFailure(status);
    if (status.error !== undefined && status.error.message !== told) {
      told = status.error.message;
      board.settle();
      output.note(`skep: ${printable(told)}`);
    }
    if (isLive) {
      const { uploadBytesPerSecond, uploadedBytes, peers } = status;
      const detail = `↑ ${formatRate(uploadBytesPerSecond)}  ${formatBytes(uploadedBytes)} in all  ${peers.connected} peers`;
      board.show([{ label: 'seeding', fraction: status.progress, detail }]);
    }
    await sleep(host.clock, everyMs, signal).catch(() => undefined);
  }
  board.settle();
  return told === undefined ? exitCodes.ok : exitCodes.failed;
}

/** What stopped a torrent, as an error. */
export function torrentFailure({ error }: Pick<TorrentStatus, 'error'>): TorrentError {
  return new TorrentError(error?.code ?? 'failed', error?.message ?? 'The torrent stopped.');
}
