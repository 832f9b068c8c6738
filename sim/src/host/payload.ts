/**
 * Payload of a simulated machine. A piece buffer is a list of slices of what other machines' disks hold;
 * storing a piece puts the same slices into a file, so payload is hashed and moved but never copied.
 */
import { createHash } from 'node:crypto';
import type { Content, ContentLayout, HashAlgorithm, Payload, PieceBuffer } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { DiskFile, SimDisk } from './disk.ts';
import { notFound } from './disk.ts';
import type { SimProcess } from './sim-process.ts';
import { SparseFile } from './sparse-file.ts';

const SHA1_BYTES = 20;

export class SimPiece implements PieceBuffer {
  readonly length: number;
  readonly #data = new SparseFile();
  #isReleased = false;

  constructor(length: number) {
    this.length = length;
    this.#data.extendTo(length);
  }

  release(): void {
    this.#isReleased = true;
  }

  /** Takes a slice that nobody will change; discards it if released. */
  put(offset: number, slice: Uint8Array): void {
    if (this.#isReleased) return;
    this.#data.write(offset, [slice]);
    this.#data.sync();
  }

  slices(): Uint8Array[] {
    return this.#data.slices(0, this.length);
  }
}

export class SimPayload implements Payload {
  readonly #process: SimProcess;
  readonly #disk: SimDisk;

  constructor(components: { process: SimProcess; disk: SimDisk }) {
    this.#process = components.process;
    this.#disk = components.disk;
  }

  openContent(layout: ContentLayout): Promise<Content> {
    const unsafe = layout.files.find((file) => !isSafe(file.path));
    return this.#process.promise((resolve, reject) => {
      this.#process.later(0, () => {
        if (unsafe === undefined) resolve(new SimContent(this.#process, this.#disk, layout));
        else
          reject(
            new HostError('unsafe-path', `"${unsafe.path}" could leave the content's folder. Rename it.`),
          );
      });
    });
  }

  allocatePiece(length: number): PieceBuffer {
    return new SimPiece(length);
  }
}

/** A part of one file that a range of the content falls on. */
interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

export class SimContent implements Content {
  readonly length: number;
  readonly #process: SimProcess;
  readonly #disk: SimDisk;
  readonly #layout: ContentLayout;
  readonly #starts: readonly number[];
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
    this.length = length;
  }

  async storePiece(
    piece: PieceBuffer,
    offset: number,
    expectedSha1: Uint8Array,
  ): Promise<'stored' | 'corrupt'> {
    if (!(piece instanceof SimPiece)) throw new TypeError('the piece belongs to another Host');
    this.#requireInside(offset, piece.length);
    const slices = piece.slices();
    return this.#do('write', piece.length, () => {
      this.#requireWritable();
      if (!isDigest(digestOf('sha1', slices), expectedSha1)) return 'corrupt';
      this.#write(offset, piece.length, slices);
      return 'stored';
    });
  }

  async hashRange(offset: number, length: number, algorithm: HashAlgorithm): Promise<Uint8Array> {
    this.#requireInside(offset, length);
    return this.#do('read', length, () => digestOf(algorithm, this.#read(offset, length)));
  }

  createFiles(): Promise<void> {
    return this.#do('write', 0, () => {
      this.#requireWritable();
      this.#requireRoot();
      for (const file of this.#layout.files) this.#openFile(file.path).data.extendTo(file.length);
    });
  }

  sync(): Promise<void> {
    return this.#do('write', 0, () => {
      for (const { path } of this.#layout.files) {
        const node = this.#disk.find(`${this.#layout.root}/${path}`);
        if (node?.kind === 'file') node.data.sync();
      }
    });
  }

  close(): Promise<void> {
    return this.#do('read', 0, () => {
      this.#isClosed = true;
    });
  }

  /** For sendBlocks: the slices of several ranges, told in the process once the disk has read them. */
  readRanges(
    ranges: readonly { readonly offset: number; readonly length: number }[],
    done: (outcome: { readonly value: Uint8Array[][] } | { readonly error: unknown }) => void,
  ): void {
    for (const { offset, length } of ranges) this.#requireInside(offset, length);
    const lengthBytes = ranges.reduce((sum, range) => sum + range.length, 0);
    const work = () => {
      this.#requireOpen();
      return ranges.map(({ offset, length }) => this.#read(offset, length));
    };
    this.#disk.submit(this.#process, { kind: 'read', lengthBytes }, work, done);
  }

  #read(offset: number, length: number): Uint8Array[] {
    const slices: Uint8Array[] = [];
    for (const range of this.#fileRanges(offset, length)) {
      const node = this.#disk.find(range.path);
      if (node === undefined) throw notFound(range.path);
      if (node.kind === 'directory' || node.data.length < range.offset + range.length)
        throw new HostError(
          'io',
          `${range.path} is shorter than its torrent says. Verify the content again.`,
        );
      for (const slice of node.data.slices(range.offset, range.length)) slices.push(slice);
    }
    return slices;
  }

  #write(offset: number, length: number, slices: readonly Uint8Array[]): void {
    this.#requireRoot();
    this.#disk.requireRoom(this.#missingIn(offset, length));
    const source = new SparseFile();
    source.write(0, slices);
    let at = 0;
    for (const range of this.#fileRanges(offset, length)) {
      const file = this.#openFile(range.path.slice(this.#layout.root.length + 1));
      this.#disk.write(file, range.offset, source.slices(at, range.length));
      at += range.length;
    }
  }

  #missingIn(offset: number, length: number): number {
    let missing = 0;
    for (const range of this.#fileRanges(offset, length)) {
      const node = this.#disk.find(range.path);
      missing += node?.kind === 'file' ? node.data.missingIn(range.offset, range.length) : range.length;
    }
    return missing;
  }

  #openFile(path: string): DiskFile {
    const whole = `${this.#layout.root}/${path}`;
    this.#disk.makeDirectory(`${whole}/..`);
    return this.#disk.openFile(whole);
  }

  /** The non-empty files under a range, in order. */
  #fileRanges(offset: number, length: number): FileRange[] {
    const { root, files } = this.#layout;
    const ranges: FileRange[] = [];
    const end = offset + length;
    for (let i = this.#fileAt(offset); i < files.length && this.#starts[i]! < end; i++) {
      const start = this.#starts[i]!;
      const from = Math.max(offset, start);
      const to = Math.min(end, start + files[i]!.length);
      if (from < to)
        ranges.push({ path: `${root}/${files[i]!.path}`, offset: from - start, length: to - from });
    }
    return ranges;
  }

  /** Index of the last file that starts at or before `offset`. */
  #fileAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    // Empty files share a start; the first of them is as good a place to begin.
    while (low > 1 && this.#starts[low - 2] === this.#starts[low - 1]) low--;
    return Math.max(0, low - 1);
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
    if (this.#disk.find(this.#layout.root)?.kind !== 'directory') throw notFound(this.#layout.root);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new HostError('closed', 'The content was closed. Open it again.');
  }

  #do<T>(kind: 'read' | 'write', lengthBytes: number, work: () => T): Promise<T> {
    return this.#process.promise((resolve, reject) => {
      const checked = () => {
        this.#requireOpen();
        return work();
      };
      this.#disk.submit(this.#process, { kind, lengthBytes }, checked, (outcome) => {
        if ('value' in outcome) resolve(outcome.value);
        else reject(outcome.error);
      });
    });
  }
}

function digestOf(algorithm: HashAlgorithm, slices: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const slice of slices) hash.update(slice);
  return new Uint8Array(hash.digest());
}

function isDigest(digest: Uint8Array, expected: Uint8Array): boolean {
  return expected.length === SHA1_BYTES && digest.every((byte, i) => byte === expected[i]);
}

/** Sanitised already; a Host still refuses what could climb out. */
function isSafe(path: string): boolean {
  return (
    !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}
