/**
 * What of a torrent is on this machine: what the content is, once that is known, its pieces on disk, and what
 * earlier sessions left for this one.
 */
import type { Address, Host } from '../host/host.ts';
import { parseInfo, pieceLengthAt, type TorrentInfo } from '../metainfo/index.ts';
import { PieceStore, type SnapshotExtras } from './piece-store.ts';
import { ResumeFiles } from './resume.ts';
import { TorrentError } from './status.ts';
import type { TorrentOptions } from './torrent-options.ts';

export interface OpenHooks {
  /** Peers of an earlier session. */
  onPeers(peers: readonly Address[]): void;
  /** One more piece was checked. */
  onProgress(): void;
  isCancelled(): boolean;
}

export class LocalContent {
  readonly #host: Host;
  readonly #options: TorrentOptions;
  readonly #resume: ResumeFiles | undefined;
  #info: TorrentInfo | undefined;
  #store: PieceStore | undefined;
  #checked = { done: 0, total: 0 };
  #earlier = { uploadedBytes: 0, downloadedBytes: 0 };

  constructor(host: Host, options: TorrentOptions) {
    const { stateDirectory: directory, infoHash } = options;
    this.#host = host;
    this.#options = options;
    this.#info = options.info;
    this.#resume = directory === undefined ? undefined : new ResumeFiles(host, { directory, infoHash });
  }

  /** Undefined of a magnet whose metadata has not come. */
  get info(): TorrentInfo | undefined {
    return this.#info;
  }

  /** Undefined until the files were opened. */
  get store(): PieceStore | undefined {
    return this.#store;
  }

  /** Payload of the sessions before this one. */
  get earlier(): { readonly uploadedBytes: number; readonly downloadedBytes: number } {
    return this.#earlier;
  }

  /** How far `open` has come, in [0, 1]. */
  get checkedPart(): number {
    return this.#checked.done / Math.max(1, this.#checked.total);
  }

  get haveBytes(): number {
    const info = this.#info;
    const have = this.#store?.have;
    if (info === undefined || have === undefined || have.count === 0) return 0;
    const last = info.pieceCount - 1;
    const shortfall = have.has(last) ? info.pieceLength - pieceLengthAt(info, last) : 0;
    return have.count * info.pieceLength - shortfall;
  }

  /** Takes a proven info dictionary. Throws if it describes no content that can be stored. */
  learn(infoBytes: Uint8Array): TorrentInfo {
    this.#info = parseInfo(this.#host.compute, infoBytes);
    return this.#info;
  }

  /** The info dictionary that an earlier session fetched, if it was saved. */
  async recallInfo(): Promise<Uint8Array | undefined> {
    const infoBytes = await this.#resume?.loadInfo();
    if (infoBytes !== undefined) this.learn(infoBytes);
    return infoBytes;
  }

  async recallPeers(): Promise<readonly Address[]> {
    const loaded = await this.#resume?.load();
    return loaded?.snapshot.peers ?? [];
  }

  /**
   * Opens the files and checks what the resume state does not vouch for. Resolves with undefined if that was
   * cancelled. Rejects with TorrentError where a seed lacks something, with HostError where the disk fails.
   */
  async open(info: TorrentInfo, hooks: OpenHooks): Promise<PieceStore | undefined> {
    const { contentRoot, mode } = this.#options;
    const { store, unproven, snapshot } = await PieceStore.open(
      { host: this.#host, resume: this.#resume },
      { info, contentRoot, readOnly: mode === 'seed' },
    );
    if (hooks.isCancelled()) {
      await store.close();
      return undefined;
    }
    // After an error that came before the transfer there is one from the last try.
    await this.#store?.close();
    this.#store = store;
    if (snapshot !== undefined) {
      this.#earlier = { uploadedBytes: snapshot.uploadedBytes, downloadedBytes: snapshot.downloadedBytes };
      hooks.onPeers(snapshot.peers);
    }
    this.#checked = { done: 0, total: unproven.length };
    await store.verify(unproven, {
      onProgress: (done) => {
        this.#checked.done = done;
        hooks.onProgress();
      },
      isCancelled: hooks.isCancelled,
    });
    if (hooks.isCancelled()) return undefined;
    await this.#prepare(info, store);
    return store;
  }

  async #prepare(info: TorrentInfo, store: PieceStore): Promise<void> {
    const { contentRoot, mode } = this.#options;
    if (mode === 'seed' && !store.have.isFull) {
      const missing = info.pieceCount - store.have.count;
      throw new TorrentError(
        'content-incomplete',
        `${missing} of ${info.pieceCount} pieces are missing or differ in ${contentRoot}; seed the original, or download what is missing.`,
      );
    }
    if (mode === 'download') {
      await this.#host.files.makeDirectory(contentRoot);
      await store.content.createFiles();
    }
    await this.#resume?.saveInfo(info.infoBytes);
  }

  /** Saves what the next session goes on from. */
  async checkpoint(extras: () => SnapshotExtras): Promise<void> {
    await this.#store?.checkpoint(extras);
  }

  async close(): Promise<void> {
    await this.#store?.close();
  }

  /** Nothing is remembered any more; content stays. */
  async forget(): Promise<void> {
    await this.#resume?.remove();
  }
}
