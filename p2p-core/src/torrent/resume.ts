/**
 * What a torrent remembers on disk, so that a node killed at any moment goes on where it was.
 *
 * Three kinds of files, named by infohash:
 * - `.info`: the info dictionary, so that a magnet need not be fetched twice. Proven by its hash.
 * - `.resume`: a snapshot (which pieces are on disk, totals, peers, sizes and times of the files), replaced
 *   atomically, and only after the content was synced: its pieces are trusted without hashing them again.
 * - `.N.log`: indices of the pieces that were about to be stored since snapshot N was taken, four bytes each,
 *   written before the piece is. They are hashed on start and kept if good. The log also tells why a file
 *   changed after the snapshot: a file that changed without its pieces being in the log was changed by
 *   someone else, and is checked anew.
 * Whatever is missing, torn or corrupt leads to more being hashed, never to unverified data being trusted.
 */
import { equalBytes, toHex } from '../bytes.ts';
import { decodeCompactAddresses, encodeCompactAddress } from '../host/address.ts';
import { type Address, type Compute, type Files, HostError } from '../host/host.ts';
import { MAX_INFO_BYTES } from '../metainfo/index.ts';
import { bytesOf, decodeBencode, dictOf, encodeBencode, integerOf, listOf } from '../wire/bencode.ts';

const VERSION = 1;
const DIGEST_LENGTH = 20;
const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** As a file was when the snapshot was taken; sizeBytes -1 if it was not there. */
export interface FileMark {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface ResumeSnapshot {
  /** Bitfield of the pieces on disk, in wire form. */
  readonly have: Uint8Array;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly peers: readonly Address[];
  /** One for each file of the torrent, in order. */
  readonly files: readonly FileMark[];
}

export class ResumeFiles {
  readonly #files: Files;
  readonly #compute: Compute;
  readonly #directory: string;
  readonly #infoHash: Uint8Array;
  readonly #name: string;
  #logNumber = 0;
  #staleLogs: number[] = [];

  constructor(
    components: { files: Files; compute: Compute },
    options: { directory: string; infoHash: Uint8Array },
  ) {
    this.#files = components.files;
    this.#compute = components.compute;
    this.#directory = options.directory;
    this.#infoHash = options.infoHash;
    this.#name = toHex(options.infoHash);
  }

  async loadInfo(): Promise<Uint8Array | undefined> {
    const bytes = await this.#read(this.#path('info'), MAX_INFO_BYTES);
    const isRight = bytes && equalBytes(this.#compute.hash('sha1', bytes), this.#infoHash);
    return isRight ? bytes : undefined;
  }

  async saveInfo(infoBytes: Uint8Array): Promise<void> {
    await this.#files.writeAtomic(this.#path('info'), infoBytes);
  }

  /** The last snapshot and what was logged since; undefined if there is none that can be trusted. */
  async load(): Promise<{ snapshot: ResumeSnapshot; logged: Set<number> } | undefined> {
    const logs = await this.#listLogs();
    this.#logNumber = Math.max(0, ...logs);
    this.#staleLogs = logs;
    const bytes = await this.#read(this.#path('resume'), MAX_STATE_BYTES);
    const decoded = bytes && this.#decode(bytes);
    if (decoded === undefined) return undefined;
    const logged = new Set<number>();
    for (const log of logs) {
      const entries = (await this.#read(this.#logPath(log), MAX_STATE_BYTES)) ?? new Uint8Array(0);
      const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
      for (let at = 0; at + 4 <= entries.length; at += 4) logged.add(view.getUint32(at));
    }
    return { snapshot: decoded, logged };
  }

  /** To be awaited before the piece is stored. */
  logIntent(indices: readonly number[]): Promise<void> {
    const bytes = new Uint8Array(indices.length * 4);
    const view = new DataView(bytes.buffer);
    indices.forEach((index, i) => {
      view.setUint32(i * 4, index);
    });
    return this.#files.append(this.#logPath(this.#logNumber), bytes);
  }

  /**
   * From now on intents go to a new log, which begins with those `inFlight`. The logs before it can go
   * once a snapshot of what is had at this moment is saved.
   */
  async rotateLog(inFlight: readonly number[]): Promise<void> {
    this.#staleLogs.push(this.#logNumber);
    this.#logNumber++;
    if (inFlight.length > 0) await this.logIntent(inFlight);
  }

  async save(snapshot: ResumeSnapshot): Promise<void> {
    const stale = this.#staleLogs.filter((log) => log !== this.#logNumber);
    const body = encodeBencode({
      version: VERSION,
      have: snapshot.have,
      uploaded: snapshot.uploadedBytes,
      downloaded: snapshot.downloadedBytes,
      peers: snapshot.peers.map(encodeCompactAddress),
      files: snapshot.files.map((mark) => [mark.sizeBytes, Math.round(mark.modifiedMs * 1000)]),
    });
    const bytes = new Uint8Array(DIGEST_LENGTH + body.length);
    bytes.set(this.#compute.hash('sha1', body), 0);
    bytes.set(body, DIGEST_LENGTH);
    await this.#files.writeAtomic(this.#path('resume'), bytes);
    for (const log of stale) await this.#files.remove(this.#logPath(log));
    this.#staleLogs = this.#staleLogs.filter((log) => !stale.includes(log));
  }

  /** Forgets the torrent. */
  async remove(): Promise<void> {
    for (const log of await this.#listLogs()) await this.#files.remove(this.#logPath(log));
    await this.#files.remove(this.#path('resume'));
    await this.#files.remove(this.#path('info'));
  }

  #path(suffix: string): string {
    return `${this.#directory}/${this.#name}.${suffix}`;
  }

  #logPath(number: number): string {
    return this.#path(`${number}.log`);
  }

  async #listLogs(): Promise<number[]> {
    const entries = await this.#files.list(this.#directory).catch((error: unknown) => {
      if (error instanceof HostError && error.code === 'not-found') return [];
      throw error;
    });
    const numbers: number[] = [];
    for (const { name } of entries) {
      const match = /^\.(\d{1,15})\.log$/.exec(name.slice(this.#name.length));
      if (match !== null && name.startsWith(this.#name)) numbers.push(Number(match[1]));
    }
    return numbers;
  }

  async #read(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#files.read(path, maxBytes);
    } catch (error) {
      if (error instanceof HostError && (error.code === 'not-found' || error.code === 'too-large'))
        return undefined;
      throw error;
    }
  }

  #decode(bytes: Uint8Array): ResumeSnapshot | undefined {
    const body = bytes.subarray(DIGEST_LENGTH);
    if (bytes.length <= DIGEST_LENGTH) return undefined;
    if (!equalBytes(this.#compute.hash('sha1', body), bytes.subarray(0, DIGEST_LENGTH))) return undefined;
    const dict = dictOf(decodeBencode(body, { maxBytes: MAX_STATE_BYTES }).value);
    const have = bytesOf(dict?.get('have'));
    const files = listOf(dict?.get('files'));
    const isRight = dict !== undefined && integerOf(dict.get('version')) === VERSION;
    if (!isRight || have === undefined || files === undefined) return undefined;
    return {
      have,
      uploadedBytes: integerOf(dict.get('uploaded')) ?? 0,
      downloadedBytes: integerOf(dict.get('downloaded')) ?? 0,
      peers: (listOf(dict.get('peers')) ?? []).flatMap((value) => {
        const compact = bytesOf(value);
        return compact === undefined ? [] : decodeCompactAddresses(compact, compact.length === 6 ? 4 : 6);
      }),
      files: files.map((value) => {
        const [sizeBytes, modifiedUs] = (listOf(value) ?? []).map(integerOf);
        return { sizeBytes: sizeBytes ?? -1, modifiedMs: (modifiedUs ?? 0) / 1000 };
      }),
    };
  }
}
