/** The torrents that a node was told to hold: made so from commands, told in reports, checked when complete. */
import type { Command, TorrentHolding } from '@skep/contract';
import type { AddOptions, Node, Torrent } from '@skep/p2p-core';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { type Metainfo, parseMetainfo } from '@skep/p2p-core/metainfo';
import { fetchContent } from './content-fetch.ts';

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

/** Content on its way from the web, before it is seeded. */
interface Fetching {
  readonly metainfo: Metainfo;
  readonly end: AbortController;
  haveBytes: number;
  failure?: string;
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
  readonly #fetching = new Map<string, Fetching>();

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
    for (const [infoHash, { end }] of [...this.#fetching]) {
      if (names.has(infoHash)) continue;
      this.#fetching.delete(infoHash);
      end.abort(new Error('the torrent is no longer to be held'));
    }
    const failures: unknown[] = [];
    for (const command of wanted) {
      if (this.#held.has(command.infoHash) || this.#fetching.has(command.infoHash)) continue;
      await this.#hold(command).catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The first thousand, which is as many as a report may tell of. */
  report(): TorrentHolding[] {
    const held = [...this.#held.values()].map((holding) => holdingOf(holding));
    const fetching = [...this.#fetching].map(([infoHash, each]) => fetchingOf(infoHash, each));
    return [...held, ...fetching].slice(0, mostReported);
  }

  /** Ends what is under way; what is held is the node's to end. */
  close(): void {
    for (const { end } of this.#fetching.values()) end.abort(new Error('the node ends'));
    this.#fetching.clear();
  }

  async #hold(command: HoldTorrent): Promise<void> {
    const { infoHash, magnet, contentUrl } = command;
    if (command.metainfo === undefined) {
      return this.#add(infoHash, { magnet, contentRoot: this.#contentRoot, mode: 'download' });
    }
    const metainfo = parseMetainfo(this.#host.compute, fromBase64(command.metainfo));
    if (contentUrl === undefined) {
      return this.#add(infoHash, {
        metainfo,
        contentRoot: command.contentRoot ?? this.#contentRoot,
        mode: 'seed',
      });
    }
    const fetching: Fetching = { metainfo, end: new AbortController(), haveBytes: 0 };
    this.#fetching.set(infoHash, fetching);
    void this.#fetch(contentUrl, fetching)
      .then(async () => {
        if (this.#fetching.get(infoHash) !== fetching) return;
        await this.#add(infoHash, { metainfo, contentRoot: this.#contentRoot, mode: 'seed' });
        this.#fetching.delete(infoHash);
      })
      .catch((error) => {
        fetching.failure = error instanceof Error ? error.message : String(error);
      });
  }

  get #contentRoot(): string {
    return `${this.#options.dataDirectory}/content`;
  }

  async #fetch(url: string, fetching: Fetching): Promise<void> {
    const { metainfo, end } = fetching;
    const [file, ...others] = metainfo.info.files;
    if (file === undefined || others.length > 0)
      throw new Error('only a torrent of one file is fetched from the web');
    await fetchContent(this.#host, {
      url,
      path: `${this.#contentRoot}/${file.path}`,
      lengthBytes: file.length,
      onProgress: (haveBytes) => {
        fetching.haveBytes = haveBytes;
      },
      signal: end.signal,
    });
  }

  async #add(infoHash: string, options: AddOptions): Promise<void> {
    const sinceMs = this.#host.clock.now();
    const { contentRoot } = options;
    const torrent = await this.#node.add(options);
    const holding: Holding = { torrent, contentRoot, sinceMs };
    this.#held.set(infoHash, holding);
    // A torrent that fails says so in its status; one that is removed settles nothing more.
    this.#follow(infoHash, holding).catch(() => undefined);
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

function fetchingOf(infoHash: string, { metainfo, haveBytes, failure }: Fetching): TorrentHolding {
  const { name, length } = metainfo.info;
  return {
    infoHash,
    name,
    state: failure === undefined ? 'downloading' : 'error',
    ...(failure === undefined ? {} : { message: failure }),
    lengthBytes: length,
    haveBytes,
    downloadRate: 0,
    uploadRate: 0,
    downloadedBytes: 0,
    uploadedBytes: 0,
    wastedBytes: 0,
    peers: 0,
  };
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
