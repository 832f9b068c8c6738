/**
 * A torrent's pieces on disk: which are there, putting new ones there, and proving old ones.
 *
 * Order is what keeps it safe. A piece is first logged as about to be stored, then hashed and written, and
 * only then had; a snapshot says of a piece that it is there only after a sync that followed the write.
 */
import { equalBytes } from '../bytes.ts';
import { type Address, type Content, type Host, HostError, type PieceBuffer } from '../host/host.ts';
import { pieceLengthAt, type TorrentInfo } from '../metainfo/index.ts';
import { Bitfield } from './bitfield.ts';
import type { FileMark, ResumeFiles, ResumeSnapshot } from './resume.ts';
import { judgePieces, MISSING_FILE } from './trust.ts';

const HASH_LENGTH = 20;

export interface PieceStoreOptions {
  readonly info: TorrentInfo;
  /** Directory that the torrent's paths are relative to. */
  readonly contentRoot: string;
  /** Never written: the files are another's, and are only seeded. */
  readonly readOnly: boolean;
}

/** What goes into a snapshot beside what the store itself knows. */
export type SnapshotExtras = Pick<ResumeSnapshot, 'uploadedBytes' | 'downloadedBytes'> & {
  readonly peers: readonly Address[];
};

export class PieceStore {
  readonly content: Content;
  /** Pieces on disk and verified. `verify` sets bits; after `store` its caller does, in the same turn. */
  readonly have: Bitfield;
  readonly #host: Host;
  readonly #options: PieceStoreOptions;
  readonly #resume: ResumeFiles | undefined;
  /** Logged, and perhaps not yet in `have`. */
  readonly #inFlight = new Set<number>();

  private constructor(
    components: { host: Host; content: Content; resume?: ResumeFiles },
    options: PieceStoreOptions,
  ) {
    this.#host = components.host;
    this.content = components.content;
    this.#resume = components.resume;
    this.#options = options;
    this.have = new Bitfield(options.info.pieceCount);
  }

  /**
   * Opens the store with the pieces that the snapshot vouches for; `unproven` are those that may be on
   * disk besides, and should go through `verify`.
   */
  static async open(
    components: { host: Host; resume?: ResumeFiles },
    options: PieceStoreOptions,
  ): Promise<{ store: PieceStore; unproven: number[]; snapshot?: ResumeSnapshot }> {
    const { host, resume } = components;
    const { info, contentRoot, readOnly } = options;
    const state = await resume?.load();
    const have = state && Bitfield.from(state.snapshot.have, info.pieceCount);
    const isUsable = have !== undefined && state?.snapshot.files.length === info.files.length;
    const content = await host.payload.openContent({ root: contentRoot, files: info.files, readOnly });
    const store = new PieceStore({ host, content, resume }, options);
    const { trusted, unproven } = judgePieces(info, {
      files: await store.#markFiles(),
      snapshot: isUsable ? { have, files: state.snapshot.files } : undefined,
      logged: state?.logged ?? new Set(),
    });
    for (const index of trusted) store.have.set(index);
    return { store, unproven, snapshot: state?.snapshot };
  }

  /**
   * Hashes pieces on disk and keeps those that are right. `onProgress` is called as they are done.
   * Rejects if `isCancelled` turns true; a piece that cannot be read is merely not had.
   */
  async verify(
    indices: readonly number[],
    hooks: { onProgress?: (done: number) => void; isCancelled: () => boolean },
  ): Promise<void> {
    let next = 0;
    let done = 0;
    const work = async () => {
      while (next < indices.length && !hooks.isCancelled()) {
        const index = indices[next++]!;
        if (await this.#isRight(index)) this.have.set(index);
        hooks.onProgress?.(++done);
      }
    };
    await Promise.all(Array.from({ length: Math.max(1, this.#host.compute.parallelism) }, work));
  }

  async #isRight(index: number): Promise<boolean> {
    const { info } = this.#options;
    try {
      const length = pieceLengthAt(info, index);
      const digest = await this.content.hashRange(index * info.pieceLength, length, 'sha1');
      return equalBytes(digest, this.#hashOf(index));
    } catch (error) {
      if (error instanceof HostError) return false;
      throw error;
    }
  }

  /** Writes a piece if its hash is right. Rejects with HostError (disk-full and the like). The buffer stays the caller's. */
  async store(index: number, buffer: PieceBuffer): Promise<'stored' | 'corrupt'> {
    this.#inFlight.add(index);
    try {
      await this.#resume?.logIntent([index]);
      const offset = index * this.#options.info.pieceLength;
      const outcome = await this.content.storePiece(buffer, offset, this.#hashOf(index));
      if (outcome === 'corrupt') this.#inFlight.delete(index);
      return outcome;
    } catch (error) {
      this.#inFlight.delete(index);
      throw error;
    }
  }

  /**
   * Has no longer the pieces of files that have vanished or become shorter. Gives the paths of those files, and
   * how many pieces were had until now.
   */
  async forgetUnreadable(): Promise<{ files: string[]; pieces: number }> {
    const { info } = this.#options;
    const marks = await this.#markFiles();
    const before = this.have.count;
    const files: string[] = [];
    let start = 0;
    for (const [at, { path, length }] of info.files.entries()) {
      const end = start + length;
      if (length > 0 && marks[at]!.sizeBytes < length) {
        files.push(path);
        for (let index = Math.floor(start / info.pieceLength); index * info.pieceLength < end; index++) {
          this.have.clear(index);
        }
      }
      start = end;
    }
    return { files, pieces: before - this.have.count };
  }

  /** Makes the present state what a restart begins with. One call at a time. */
  async checkpoint(extras: () => SnapshotExtras): Promise<void> {
    if (this.#resume === undefined) return;
    for (const index of this.#inFlight) if (this.have.has(index)) this.#inFlight.delete(index);
    const have = this.have.toBytes();
    // Awaited together: on a full disk both may fail, and neither failure may go unheard.
    await Promise.all([
      this.#resume.rotateLog([...this.#inFlight]),
      this.#options.readOnly ? undefined : this.content.sync(),
    ]);
    await this.#resume.save({ ...extras(), have, files: await this.#markFiles() });
  }

  close(): Promise<void> {
    return this.content.close();
  }

  #hashOf(index: number): Uint8Array {
    return this.#options.info.pieceHashes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH);
  }

  async #markFiles(): Promise<FileMark[]> {
    const { info, contentRoot } = this.#options;
    const marks: FileMark[] = [];
    for (const { path } of info.files) {
      const stat = await this.#host.files.stat(`${contentRoot}/${path}`);
      marks.push(stat?.kind === 'file' ? stat : MISSING_FILE);
    }
    return marks;
  }
}
