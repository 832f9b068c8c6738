/** The torrents that a node was told to hold: made so from commands, told in reports, checked when complete. */
import type { Command, TorrentHolding } from '@skep/contract';
import type { Node, Torrent } from '@skep/p2p-core';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { parseMetainfo } from '@skep/p2p-core/metainfo';

export type HoldTorrent = Extract<Command, { kind: 'hold-torrent' }>;

const mostReported = 1_000;

type EventData = Record<string, string | number | boolean>;

interface Holding {
  readonly torrent: Torrent;
  readonly contentRoot: string;
  readonly sinceMs: number;
  firstPeerMs?: number;
  seconds?: number;
  sha256?: string;
}

export interface TorrentHoldingsOptions {
  readonly dataDirectory: string;
  readonly onEvent: (kind: string, data: EventData) => void;
}

export class TorrentHoldings {
  readonly #host: Host;
  readonly #node: Node;
  readonly #options: TorrentHoldingsOptions;
  readonly #held = new Map<string, Holding>();

  constructor(components: { host: Host; node: Node }, options: TorrentHoldingsOptions) {
    this.#host = components.host;
    this.#node = components.node;
    this.#options = options;
  }

  /**
   * Holds what `wanted` names and nothing else. Content of dropped torrents stays on disk. Rejects, once all
   * others are held, with why one cannot be: MetainfoError if the control API sent what is no torrent.
   */
  async obey(wanted: readonly HoldTorrent[]): Promise<void> {
    const names = new Set(wanted.map((command) => command.infoHash));
    for (const [infoHash, holding] of [...this.#held]) {
      if (names.has(infoHash)) continue;
      this.#held.delete(infoHash);
      await this.#node.remove(holding.torrent);
    }
    const failures: unknown[] = [];
    for (const command of wanted) {
      if (this.#held.has(command.infoHash)) continue;
      await this.#hold(command).catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The first thousand, which is as many as a report may tell of. */
  report(): TorrentHolding[] {
    return [...this.#held.values()].slice(0, mostReported).map((holding) => holdingOf(holding));
  }

  async #hold(command: HoldTorrent): Promise<void> {
    const sinceMs = this.#host.clock.now();
    const seed = command.metainfo !== undefined && command.contentRoot !== undefined;
    const contentRoot = command.contentRoot ?? `${this.#options.dataDirectory}/content`;
    const torrent = await this.#node.add(
      seed
        ? {
            metainfo: parseMetainfo(this.#host.compute, fromBase64(command.metainfo!)),
            contentRoot,
            mode: 'seed',
          }
        : { magnet: command.magnet, contentRoot, mode: 'download' },
    );
    const holding: Holding = { torrent, contentRoot, sinceMs };
    this.#held.set(command.infoHash, holding);
    // A torrent that fails says so in its status; one that is removed settles nothing more.
    this.#follow(command.infoHash, holding).catch(() => undefined);
  }

  /** Notes the first peer, the last piece, and what the content is once it is all there. */
  async #follow(infoHash: string, holding: Holding): Promise<void> {
    const { torrent } = holding;
    const elapsedMs = () => this.#host.clock.now() - holding.sinceMs;
    await torrent.waitFor(({ state, peers }) => peers.known > 0 || state === 'seeding');
    holding.firstPeerMs = Math.round(elapsedMs());
    await torrent.waitFor(({ state }) => state === 'seeding');
    holding.seconds = Math.round(elapsedMs()) / 1_000;
    holding.sha256 = await this.#sha256(holding);
    this.#options.onEvent('content-complete', { infoHash, seconds: holding.seconds, sha256: holding.sha256 });
  }

  /** Read back from disk, by none of the code that wrote it piece by piece. */
  async #sha256({ torrent, contentRoot }: Holding): Promise<string> {
    const { files, length } = torrent.info!;
    const content = await this.#host.payload.openContent({ root: contentRoot, files, readOnly: true });
    try {
      return toHex(await content.hashRange(0, length, 'sha256'));
    } finally {
      await content.close();
    }
  }
}

function holdingOf({ torrent, firstPeerMs, seconds, sha256 }: Holding): TorrentHolding {
  const status = torrent.status();
  return {
    infoHash: status.infoHash,
    state: status.state,
    ...(status.name === undefined ? {} : { name: status.name }),
    ...(status.error === undefined ? {} : { message: status.error.message }),
    lengthBytes: status.bytes.total,
    haveBytes: status.bytes.have,
    downloadRate: status.downloadBytesPerSecond,
    uploadRate: status.uploadBytesPerSecond,
    downloadedBytes: status.downloadedBytes,
    uploadedBytes: status.uploadedBytes,
    wastedBytes: status.wastedBytes,
    peers: status.peers.connected,
    ...(firstPeerMs === undefined ? {} : { firstPeerMs }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(sha256 === undefined ? {} : { sha256 }),
  };
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
