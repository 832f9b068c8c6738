/** Content on a simulated disk: files laid end to end, read, written and verified as extents. */
import type { Content, ContentLayout, HashAlgorithm, PieceBuffer } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { Access, Outcome, SimDisk } from './disk.ts';
import { notFound } from './disk.ts';
import type { DiskDirectory, DiskFile } from './disk-tree.ts';
import type { Extent } from './extent.ts';
import { joinExtents } from './extent.ts';
import { SimPiece } from './piece.ts';
import type { RandomStream } from './random-stream.ts';
import type { SimProcess } from './sim-process.ts';

const SHA1_BYTES = 20;
const NOTHING = joinExtents([]);

export interface Range {
  readonly offset: number;
  readonly length: number;
}

export class SimContent implements Content {
  readonly length: number;
  readonly #process: SimProcess;
  readonly #disk: SimDisk;
  readonly #layout: ContentLayout;
  /** Where each file begins. */
  readonly #starts: readonly number[];
  /** As they were found last; looked up again once no name leads to them any more. */
  readonly #files: (DiskFile | undefined)[];
  #root: DiskDirectory | undefined;
  #isClosed = false;

  constructor(process: SimProcess, disk: SimDisk, layout: ContentLayout) {
    this.#process = process;
    this.#disk = disk;
    this.#layout = layout;
    const starts: number[] = [];
    let length = 0;
    for (const file of layout.files) {
      starts.push(length);
      length += file.length;
    }
    this.#starts = starts;
    this.#files = layout.files.map(() => undefined);
    this.length = length;
  }

  storePiece(piece: PieceBuffer, offset: number, expectedSha1: Uint8Array): Promise<'stored' | 'corrupt'> {
    return new Promise((resolve, reject) => {
      if (!(piece instanceof SimPiece)) throw new TypeError('the piece belongs to another Host');
      this.#requireInside(offset, piece.length);
      // The buffer may be released at any time now.
      const extent = piece.extent();
      const store = (torn?: RandomStream) => {
        this.#requireWritable();
        if (!isDigest(this.#disk.digests.of('sha1', extent), expectedSha1)) return 'corrupt';
        this.#write(offset, extent, torn);
        return 'stored';
      };
      const access = { ...this.#accessAt('write', offset, piece.length), isTearable: true };
      this.#submit(access, store, resolve, reject);
    });
  }

  hashRange(offset: number, length: number, algorithm: HashAlgorithm): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#requireInside(offset, length);
      const digest = () => this.#disk.digests.of(algorithm, this.#read(offset, length)).slice();
      this.#submit(this.#accessAt('read', offset, length), digest, resolve, reject);
    });
  }

  createFiles(): Promise<void> {
    return new Promise((resolve, reject) => {
      const create = () => {
        this.#requireWritable();
        this.#requireRoot();
        for (const [index, file] of this.#layout.files.entries())
          this.#makeFile(index).data.extendTo(file.length);
      };
      this.#submit({ kind: 'write', lengthBytes: 0 }, create, resolve, reject);
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      const sync = () => {
        for (const index of this.#layout.files.keys()) this.#find(index)?.data.sync();
      };
      this.#submit({ kind: 'sync', lengthBytes: 0 }, sync, resolve, reject);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      const close = () => {
        this.#isClosed = true;
      };
      this.#submit({ kind: 'change', lengthBytes: 0 }, close, resolve, reject);
    });
  }

  /** For sendBlocks: an extent for each range, told in the process once the disk has read them. */
  readBlocks(blocks: readonly Range[], done: (outcome: Outcome<Extent[]>) => void): void {
    let lengthBytes = 0;
    for (const { offset, length } of blocks) {
      this.#requireInside(offset, length);
      lengthBytes += length;
    }
    const read = () => {
      this.#requireOpen();
      return blocks.map(({ offset, length }) => this.#read(offset, length));
    };
    const access = this.#accessAt('read', blocks[0]?.offset ?? 0, lengthBytes);
    this.#disk.submit(this.#process, access, read, done);
  }

  #read(offset: number, length: number): Extent {
    if (length === 0) return NOTHING;
    const first = this.#fileAt(offset);
    const inFirst = offset - this.#starts[first]!;
    if (inFirst + length <= this.#layout.files[first]!.length)
      return this.#disk.asRead(this.#readFile(first, inFirst, length));
    const parts: Extent[] = [];
    this.#eachRange(offset, length, (index, at, partLength) => {
      parts.push(this.#readFile(index, at, partLength));
    });
    return this.#disk.asRead(joinExtents(parts));
  }

  #readFile(index: number, offset: number, length: number): Extent {
    const file = this.#find(index);
    if (file === undefined) {
      const path = this.#pathOf(index);
      if (this.#disk.tree.find(path) === undefined) throw notFound(path);
    }
    if (file === undefined || file.data.length < offset + length)
      throw new HostError(
        'io',
        `${this.#pathOf(index)} is shorter than its torrent says. Verify the content again.`,
      );
    return file.data.read(offset, length);
  }

  #write(offset: number, extent: Extent, torn: RandomStream | undefined): void {
    this.#requireRoot();
    let missing = 0;
    this.#eachRange(offset, extent.length, (index, at, length) => {
      missing += this.#find(index)?.data.missingIn(at, length) ?? length;
    });
    this.#disk.requireRoom(missing);
    let done = 0;
    this.#eachRange(offset, extent.length, (index, at, length) => {
      this.#disk.write(this.#makeFile(index), at, extent.sub(done, done + length), torn);
      done += length;
    });
  }

  /** Tells the non-empty files under a range, in order. */
  #eachRange(
    offset: number,
    length: number,
    visit: (index: number, offset: number, length: number) => void,
  ): void {
    const { files } = this.#layout;
    const end = offset + length;
    for (let i = this.#fileAt(offset); i < files.length && this.#starts[i]! < end; i++) {
      const start = this.#starts[i]!;
      const from = Math.max(offset, start);
      const to = Math.min(end, start + files[i]!.length);
      if (from < to) visit(i, from - start, to - from);
    }
  }

  /** Index of the last file that begins at or before `offset`; of the content's end, the last that is not empty. */
  #fileAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #find(index: number): DiskFile | undefined {
    const known = this.#files[index];
    if (known?.isLinked) return known;
    const node = this.#disk.tree.find(this.#pathOf(index));
    const file = node?.kind === 'file' ? node : undefined;
    this.#files[index] = file;
    return file;
  }

  #makeFile(index: number): DiskFile {
    const known = this.#find(index);
    if (known !== undefined) return known;
    const path = this.#pathOf(index);
    this.#disk.tree.makeDirectory(`${path}/..`, this.#disk.wallTime());
    return this.#disk.tree.openFile(path, this.#disk.wallTime());
  }

  #pathOf(index: number): string {
    return `${this.#layout.root}/${this.#layout.files[index]!.path}`;
  }

  #accessAt(kind: Access['kind'], offset: number, lengthBytes: number): Access {
    const first = this.#fileAt(offset);
    const file = first < this.#layout.files.length ? this.#find(first) : undefined;
    return { kind, lengthBytes, file, offset: offset - (this.#starts[first] ?? 0) };
  }

  #requireInside(offset: number, length: number): void {
    if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.length))
      throw new RangeError(`${length} bytes at ${offset} lie outside a content of ${this.length}`);
  }

  #requireWritable(): void {
    if (this.#layout.readOnly === true)
      throw new HostError(
        'permission',
        'The content was opened read-only. Open it writable to store pieces.',
      );
  }

  #requireRoot(): void {
    if (this.#root?.isLinked) return;
    const node = this.#disk.tree.find(this.#layout.root);
    if (node?.kind !== 'directory') throw notFound(this.#layout.root);
    this.#root = node;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new HostError('closed', 'The content was closed. Open it again.');
  }

  #submit<T>(
    access: Access,
    work: (torn?: RandomStream) => T,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.#process.isDead) return;
    const checked = (torn?: RandomStream) => {
      this.#requireOpen();
      return work(torn);
    };
    this.#disk.submit(this.#process, access, checked, (outcome) => {
      if ('value' in outcome) resolve(outcome.value);
      else reject(outcome.error);
    });
  }
}

function isDigest(digest: Uint8Array, expected: Uint8Array): boolean {
  if (expected.length !== SHA1_BYTES) return false;
  for (let i = 0; i < SHA1_BYTES; i++) if (digest[i] !== expected[i]) return false;
  return true;
}
