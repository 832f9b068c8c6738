/** `skep get FILE|MAGNET -o DIR`: fetches a torrent from any BitTorrent clients, and goes on where it was cut off. */
import { join } from 'node:path';
import type { Torrent, TorrentStatus } from '@skep/p2p-core';
import { toHex } from '@skep/p2p-core/bytes';
import { type Host, sleep } from '@skep/p2p-core/host';
import { Command } from 'commander';
import { absolutePath, parseWhole } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { createBoard } from '../terminal/board.ts';
import { formatBytes, formatDuration, formatPercent, formatRate, printable } from '../terminal/format.ts';
import { showUntilEnd, torrentFailure } from './seed.ts';
import { type NodeFlags, openNode, withNodeOptions } from './torrent-options.ts';
import { readTorrentSource, resolveAll, type TorrentSource } from './torrent-source.ts';

interface GetFlags extends NodeFlags {
  readonly output: string;
  readonly seed?: boolean;
  readonly timeout?: number;
}

const everyMs = 100;

export function getCommand(perform: Perform): Command {
  return withNodeOptions(new Command('get'))
    .description('Fetch a torrent and verify it; run again it goes on where it was; needs no cluster')
    .argument('<torrent>', '.torrent file or magnet link')
    .requiredOption('-o, --output <dir>', 'directory to put the content in', absolutePath)
    .option('--seed', 'once complete, go on sharing it until Ctrl-C')
    .option('--timeout <seconds>', 'give up if it is not complete by then', parseWhole(1, 31_536_000))
    .addHelpText('after', exitCodeHelp)
    .action((text: string, flags: GetFlags) => perform(flags, (context) => get(context, text, flags)));
}

async function get(context: Context, text: string, flags: GetFlags): Promise<undefined> {
  const { host, output, env } = context;
  const source = await readTorrentSource(host, text);
  await requireDirectory(host, flags.output);
  const peers = await resolveAll(host, flags.peer ?? []);
  const isPrivate = source.kind === 'metainfo' && source.metainfo.info.private;
  const infoHash = source.kind === 'magnet' ? source.magnet.infoHash : source.metainfo.info.infoHash;
  const resume = resumeDirectory(host, env, infoHash, flags.output);
  const node = await openNode(host, flags, isPrivate);
  if (hasNowhereToAsk(source, flags)) {
    output.note(
      'skep: nothing says where peers are: give --peer, --tracker or --dht-bootstrap (waiting for peers to connect)',
    );
  }
  const started = host.clock.now();
  try {
    const torrent = await node.add({
      ...(source.kind === 'magnet' ? { magnet: source.text } : { metainfo: source.metainfo }),
      contentRoot: flags.output,
      stateDirectory: resume,
      mode: 'download',
      peers,
      trackers: flags.tracker ?? [],
    });
    const status = await download(context, torrent, flags);
    const seconds = (host.clock.now() - started) / 1000;
    const path = join(flags.output, torrent.info?.name ?? '');
    output.result({
      infoHash: status.infoHash,
      name: status.name,
      path,
      bytes: status.bytes.total,
      downloadedBytes: status.downloadedBytes,
      wastedBytes: status.wastedBytes,
      seconds,
      verified: true,
    });
    const rate = formatRate(status.bytes.total / Math.max(seconds, 0.001));
    output.line(
      `${printable(path)}: ${formatBytes(status.bytes.total)} verified after ${formatDuration(seconds * 1000)} (${rate})`,
    );
    if (flags.seed) await showUntilEnd(context, torrent);
    // Complete: the next run needs no memory of this one.
    await node.remove(torrent);
    await host.files.remove(resume);
    return undefined;
  } finally {
    await node.close();
  }
}

/** Resolves once all of it is on disk and verified. */
async function download(context: Context, torrent: Torrent, flags: GetFlags): Promise<TorrentStatus> {
  const { host, output, interrupts } = context;
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  const giveUpAt =
    flags.timeout === undefined ? Number.POSITIVE_INFINITY : host.clock.now() + flags.timeout * 1000;
  try {
    for (;;) {
      const status = torrent.status();
      board.show([
        {
          label: printable(status.name ?? status.infoHash.slice(0, 8)),
          fraction: status.progress,
          detail: detailOf(status),
        },
      ]);
      if (status.state === 'seeding') return status;
      if (status.state === 'error') throw torrentFailure(status);
      if (host.clock.now() > giveUpAt) throw tooLate(status, flags.timeout ?? 0);
      const change = torrent
        .waitFor(({ state }) => state === 'seeding' || state === 'error')
        .catch(() => undefined);
      await Promise.race([change, sleep(host.clock, everyMs, interrupts.signal)]);
    }
  } finally {
    board.settle();
  }
}

function detailOf(status: TorrentStatus): string {
  const { state, bytes, downloadBytesPerSecond, peers } = status;
  if (state === 'checking') return 'checking what is there';
  if (state === 'metadata') return `fetching the metadata, ${peers.connected} peers (${peers.known} known)`;
  const left = bytes.total - bytes.have;
  const eta =
    downloadBytesPerSecond > 1024 ? `, ${formatDuration((left / downloadBytesPerSecond) * 1000)} left` : '';
  return `${formatBytes(bytes.have)} of ${formatBytes(bytes.total)}  ↓ ${formatRate(downloadBytesPerSecond)}${eta}  ${peers.connected} peers`;
}

function tooLate(status: TorrentStatus, timeoutSeconds: number): CliError {
  const { known, connected } = status.peers;
  const have = status.state === 'metadata' ? 'no metadata' : formatPercent(status.progress);
  return new CliError(
    'timeout',
    exitCodes.timeout,
    `Not complete after ${timeoutSeconds} s: ${have}, ${known} peers known, ${connected} connected. Run it again to go on.`,
  );
}

async function requireDirectory(host: Host, path: string): Promise<void> {
  const stat = await host.files.stat(path);
  if (stat !== undefined && stat.kind !== 'directory') {
    throw new CliError('not-a-directory', exitCodes.usage, `${path} is no directory: give one with -o.`);
  }
  await host.files.makeDirectory(path);
}

function hasNowhereToAsk(source: TorrentSource, flags: GetFlags): boolean {
  const { trackers, peers, nodes } =
    source.kind === 'magnet'
      ? { trackers: source.magnet.trackers, peers: source.magnet.peers, nodes: [] }
      : { trackers: source.metainfo.trackers, peers: [], nodes: flags.dht ? source.metainfo.nodes : [] };
  const given = [flags.peer, flags.tracker, flags.dht ? flags.dhtBootstrap : undefined];
  return [trackers, peers, nodes, ...given].every((each) => (each?.length ?? 0) === 0);
}

/** Out of the user's way, and apart for each target: two downloads of one torrent are two. */
function resumeDirectory(host: Host, env: Context['env'], infoHash: Uint8Array, target: string): string {
  const place = toHex(host.compute.hash('sha256', new TextEncoder().encode(target))).slice(0, 16);
  return join(stateDirectory(env), 'downloads', `${toHex(infoHash)}-${place}`);
}
