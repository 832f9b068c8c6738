/** `skep torrent create` and `skep torrent show`: torrents as files and links. */
import { basename, join } from 'node:path';
import { toHex } from '@skep/p2p-core/bytes';
import { HostError } from '@skep/p2p-core/host';
import { createMetainfo, encodeMetainfo, formatMagnet, type Metainfo } from '@skep/p2p-core/metainfo';
import { Command } from 'commander';
import { absolutePath, collected, parsePieceLength, parseTracker } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { createBoard } from '../terminal/board.ts';
import { formatBytes, printable } from '../terminal/format.ts';
import { readTorrentSource } from './torrent-source.ts';

interface CreateFlags {
  readonly json?: boolean;
  readonly output?: string;
  readonly pieceLength?: number;
  readonly tracker?: readonly string[];
  readonly private?: boolean;
  readonly comment?: string;
  readonly force?: boolean;
}

export function torrentCommand(perform: Perform): Command {
  const create = new Command('create')
    .description('Make a .torrent of a file or folder')
    .argument('<path>', 'file or folder', absolutePath)
    .option('-o, --output <file>', 'where to write it (default: NAME.torrent here)', absolutePath)
    .option('--piece-length <bytes>', 'power of two from 16K to 16M (default: by size)', parsePieceLength)
    .option('--tracker <url>', 'tracker to name in it; may be repeated', collected(parseTracker))
    .option('--private', 'peers come from its trackers alone (BEP 27)')
    .option('--comment <text>', 'comment to put in it')
    .option('--force', 'replace the file if there is one')
    .option('--json', 'print one JSON object for programs')
    .addHelpText('after', exitCodeHelp)
    .action((path: string, flags: CreateFlags) =>
      perform(flags, (context) => createTorrent(context, path, flags)),
    );
  const show = new Command('show')
    .description('Show what a .torrent file or a magnet link says')
    .argument('<torrent>', '.torrent file or magnet link')
    .option('--json', 'print one JSON object for programs')
    .addHelpText('after', exitCodeHelp)
    .action((text: string, flags: { json?: boolean }) =>
      perform(flags, (context) => showTorrent(context, text)),
    );
  return new Command('torrent')
    .description('Make and read .torrent files')
    .addCommand(create)
    .addCommand(show);
}

/** Hashes with a progress bar. */
export async function createWithProgress(
  { host, output, interrupts }: Context,
  path: string,
  flags: Pick<CreateFlags, 'pieceLength' | 'tracker' | 'private' | 'comment'>,
): Promise<Metainfo> {
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  try {
    return await createMetainfo(host, path, {
      createdBy: 'Skep 0.1.0',
      // Each in a tier of its own: they are told apart by order, as the user gave them.
      trackers: (flags.tracker ?? []).map((url) => [url]),
      signal: interrupts.signal,
      onProgress: (done, total) =>
        board.show([
          {
            label: 'hashing',
            fraction: done / total,
            detail: `${formatBytes(done)} of ${formatBytes(total)}`,
          },
        ]),
      ...(flags.pieceLength === undefined ? {} : { pieceLength: flags.pieceLength }),
      ...(flags.private ? { private: true } : {}),
      ...(flags.comment === undefined ? {} : { comment: flags.comment }),
    });
  } finally {
    board.settle();
  }
}

async function createTorrent(context: Context, path: string, flags: CreateFlags): Promise<undefined> {
  const { host, output } = context;
  if (flags.private && flags.tracker === undefined) {
    throw new CliError(
      'usage',
      exitCodes.usage,
      'A private torrent finds peers by its trackers alone: give --tracker.',
    );
  }
  const metainfo = await createWithProgress(context, path, flags);
  const file = flags.output ?? join(process.cwd(), `${basename(metainfo.info.name)}.torrent`);
  const bytes = encodeMetainfo(metainfo);
  try {
    await (flags.force ? host.files.writeAtomic(file, bytes) : host.files.createExclusive(file, bytes));
  } catch (error) {
    if (!(error instanceof HostError && error.code === 'exists')) throw error;
    throw new CliError(
      'exists',
      exitCodes.failed,
      `${file} exists: --force replaces it, -o names another file.`,
    );
  }
  const summary = summaryOf(metainfo);
  output.result({ file, ...summary });
  output.line(file);
  output.line(`infohash  ${summary.infoHash}`);
  output.line(`magnet    ${summary.magnet}`);
  return undefined;
}

async function showTorrent({ host, output }: Context, text: string): Promise<undefined> {
  const source = await readTorrentSource(host, text);
  if (source.kind === 'magnet') {
    const { infoHash, displayName, trackers, peers } = source.magnet;
    output.result({ kind: 'magnet', infoHash: toHex(infoHash), name: displayName, trackers, peers });
    output.line(`magnet    ${printable(displayName ?? 'without a name')}`);
    output.line(`infohash  ${toHex(infoHash)}`);
    for (const tracker of trackers) output.line(`tracker   ${printable(tracker)}`);
    for (const peer of peers) output.line(`peer      ${peer.host}:${peer.port}`);
    return undefined;
  }
  const { metainfo } = source;
  const { info } = metainfo;
  const summary = summaryOf(metainfo);
  output.result({ kind: 'torrent', ...summary, files: info.files });
  output.line(`torrent   ${printable(info.name)}${info.private ? ' (private)' : ''}`);
  output.line(`infohash  ${summary.infoHash}`);
  output.line(
    `size      ${formatBytes(info.length)}, ${info.pieceCount} pieces of ${formatBytes(info.pieceLength)}`,
  );
  for (const tier of metainfo.trackers) output.line(`trackers  ${printable(tier.join(', '))}`);
  for (const node of metainfo.nodes) output.line(`node      ${printable(node.host)}:${node.port}`);
  if (metainfo.comment !== undefined) output.line(`comment   ${printable(metainfo.comment)}`);
  if (metainfo.createdBy !== undefined) output.line(`made by   ${printable(metainfo.createdBy)}`);
  if (metainfo.createdAtMs !== undefined) output.line(`made at   ${dateText(metainfo.createdAtMs)}`);
  output.line(`magnet    ${summary.magnet}`);
  output.line(`files     ${info.files.length}`);
  for (const file of info.files)
    output.line(`  ${formatBytes(file.length).padStart(9)}  ${printable(file.path)}`);
  return undefined;
}

function summaryOf({ info, trackers, nodes, comment, createdBy, createdAtMs }: Metainfo) {
  return {
    infoHash: toHex(info.infoHash),
    name: info.name,
    lengthBytes: info.length,
    pieceLengthBytes: info.pieceLength,
    pieces: info.pieceCount,
    private: info.private,
    trackers,
    nodes,
    comment,
    createdBy,
    createdAtMs,
    magnet: formatMagnet({
      infoHash: info.infoHash,
      displayName: info.name,
      trackers: trackers.flat(),
      peers: [],
    }),
  };
}

/** A torrent may carry any number for its date. */
function dateText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'no date' : date.toISOString();
}
