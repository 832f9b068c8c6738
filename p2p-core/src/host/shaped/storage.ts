/** Files and payload on a disk that may be slow, full, failing or wrong. */
import type {
  Content,
  ContentLayout,
  FileEntry,
  FileStat,
  Files,
  HashAlgorithm,
  Payload,
  PieceBuffer,
} from '../host.ts';
import type { DiskShape } from './disk.ts';

export class ShapedFiles implements Files {
  readonly #files: Files;
  readonly #disk: DiskShape;

  constructor(components: { files: Files; disk: DiskShape }) {
    this.#files = components.files;
    this.#disk = components.disk;
  }

  read(path: string, maxBytes: number): Promise<Uint8Array> {
    return this.#reading(path, () => this.#files.read(path, maxBytes));
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return this.#reading(path, () => this.#files.list(path));
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#reading(path, () => this.#files.stat(path));
  }

  writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
    return this.#writing(path, bytes, (own) => this.#files.writeAtomic(path, own));
  }

  /** Time on the disk is spent before the write is asked for, so calls on one path must be kept in line here. */
  append(path: string, bytes: Uint8Array): Promise<void> {
    const before = this.#appends.get(path);
    if (before === undefined && this.#disk.isPlain) return this.#files.append(path, bytes);
    const own = bytes.slice();
    const append = (): Promise<void> => this.#writing(path, own, () => this.#files.append(path, own));
    const appended = before === undefined ? append() : before.then(append, append);
    this.#appends.set(path, appended);
    const over = (): void => {
      if (this.#appends.get(path) === appended) this.#appends.delete(path);
    };
    appended.then(over, over);
    return appended;
  }

  createExclusive(path: string, bytes: Uint8Array): Promise<void> {
    return this.#writing(path, bytes, (own) => this.#files.createExclusive(path, own));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#writing(path, NOTHING, () => this.#files.makeDirectory(path));
  }

  async remove(path: string): Promise<void> {
    if (!this.#disk.isPlain) await this.#disk.moved(0);
    return this.#files.remove(path);
  }

  freeBytes(directory: string): Promise<number> {
    return this.#reading(directory, async () => {
      const bytes = await this.#files.freeBytes(directory);
      return this.#disk.isFull ? 0 : bytes;
    });
  }

  /** Ends of the last append to each path with one under way. */
  readonly #appends = new Map<string, Promise<void>>();

  async #reading<T>(path: string, read: () => Promise<T>): Promise<T> {
    if (this.#disk.isPlain) return read();
    const error = this.#disk.drawReadError(path);
    const result = error === undefined ? await read() : undefined;
    await this.#disk.moved(result instanceof Uint8Array ? result.length : 0);
    if (error !== undefined) throw error;
    return result as T;
  }

  async #writing(
    path: string,
    bytes: Uint8Array,
    write: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    if (this.#disk.isPlain) return write(bytes);
    // The caller may use its bytes again while they wait for the disk.
    const own = bytes.slice();
    const error = this.#disk.drawWriteError(path);
    await this.#disk.moved(error === undefined ? own.length : 0);
    if (error !== undefined) throw error;
    return write(own);
  }
}

const NOTHING = new Uint8Array(0);

export class ShapedPayload implements Payload {
  readonly #payload: Payload;
  readonly #disk: DiskShape;

  constructor(components: { payload: Payload; disk: DiskShape }) {
    this.#payload = components.payload;
    this.#disk = components.disk;
  }

  async openContent(layout: ContentLayout): Promise<Content> {
    return new ShapedContent(await this.#payload.openContent(layout), this.#disk, layout.root);
  }

  allocatePiece(length: number): PieceBuffer {
    return this.#payload.allocatePiece(length);
  }
}

/** `inner` is what the shaped Host's own sockets send from. */
export class ShapedContent implements Content {
  readonly inner: Content;
  readonly length: number;
  readonly root: string;
  readonly #disk: DiskShape;

  constructor(inner: Content, disk: DiskShape, root: string) {
    this.inner = inner;
    this.length = inner.length;
    this.root = root;
    this.#disk = disk;
  }

  storePiece(piece: PieceBuffer, offset: number, expectedSha1: Uint8Array): Promise<'stored' | 'corrupt'> {
    return this.#writing(piece.length, () => this.inner.storePiece(piece, offset, expectedSha1));
  }

  async hashRange(offset: number, length: number, algorithm: HashAlgorithm): Promise<Uint8Array> {
    if (this.#disk.isPlain) return this.inner.hashRange(offset, length, algorithm);
    const error = this.#disk.drawReadError(`the content in ${this.root}`);
    const isCorrupt = this.#disk.drawCorruption();
    await this.#disk.moved(error === undefined ? length : 0);
    if (error !== undefined) throw error;
    const digest = await this.inner.hashRange(offset, length, algorithm);
    if (!isCorrupt || length === 0) return digest;
    // Whatever byte of the data is read wrong, it is another digest.
    const other = digest.slice();
    other[0]! ^= 0xff;
    return other;
  }

  createFiles(): Promise<void> {
    return this.#writing(0, () => this.inner.createFiles());
  }

  async sync(): Promise<void> {
    if (!this.#disk.isPlain) await this.#disk.moved(0);
    return this.inner.sync();
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  async #writing<T>(bytes: number, write: () => Promise<T>): Promise<T> {
    if (this.#disk.isPlain) return write();
    const error = this.#disk.drawWriteError(`the content in ${this.root}`);
    await this.#disk.moved(error === undefined ? bytes : 0);
    if (error !== undefined) throw error;
    return write();
  }
}
