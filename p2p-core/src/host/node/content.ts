/**
 * Content over files: one range of bytes laid over files end to end. Blocks are read on Node's own threads,
 * pieces are hashed and written, and ranges hashed, on the workers.
 */
import { fdatasync, fstat, ftruncate, readv } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join, resolve as resolvePath } from 'node:path';
import { promisify } from 'node:util';
import type { Content, ContentLayout, HashAlgorithm, PieceBuffer } from '../host.ts';
import { HostError } from '../host.ts';
import { SharedPiece } from './buffers.ts';
import { hostErrorFrom } from './errors.ts';
import type { OpenFile, OpenFiles } from './open-files.ts';
import { checkRelativePath, openBelow } from './paths.ts';
import type { FileRange } from './payload-worker.ts';
import type { WorkerPool } from './worker-pool.ts';

type Mode = 'read' | 'write';

interface LaidFile {
  readonly path: string;
  readonly start: number;
  readonly length: number;
  /** Names it among the open files of the Host. */
  readonly keys: Readonly<Record<Mode, string>>;
}

/** A part of one file. */
interface Span {
  readonly file: LaidFile;
  readonly position: number;
  readonly length: number;
}

/** What the contents of a Host share. */
export interface ContentContext {
  readonly openFiles: OpenFiles;
  readonly workers: WorkerPool;
  readonly contents: Set<NodeContent>;
}

let nextContentId = 0;

export class NodeContent implements Content {
  readonly length: number;
  readonly #context: ContentContext;
  readonly #root: string;
  readonly #readOnly: boolean;
  readonly #files: readonly LaidFile[];
  /** Files with something stored since the last sync. */
  #unsynced = new Set<LaidFile>();
  #underWay = new Set<Promise<unknown>>();
  #closed = false;

  /** Throws unsafe-path for a path that could leave the root, and for two files of one path. */
  constructor(context: ContentContext, layout: ContentLayout) {
    this.#context = context;
    this.#root = resolvePath(layout.root);
    this.#readOnly = layout.readOnly ?? false;
    const id = nextContentId++;
    const paths = new Set<string>();
    let start = 0;
    this.#files = layout.files.map(({ path, length }, index) => {
      checkRelativePath(path);
      if (paths.has(path)) throw new HostError('unsafe-path', `${path} is laid out twice`);
      paths.add(path);
      if (!Number.isSafeInteger(length) || length < 0)
        throw new RangeError(`${path} cannot have ${length} bytes`);
      const file = { path, start, length, keys: { read: `${id}:${index}:r`, write: `${id}:${index}:w` } };
      start += length;
      return file;
    });
    this.length = start;
    context.contents.add(this);
  }

  /** Throws RangeError unless the range lies inside the content. */
  checkRange(offset: number, length: number): void {
    const fits = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
    if (!fits || offset + length > this.length)
      throw new RangeError(`${length} bytes at ${offset} are outside a content of ${this.length}`);
  }

  /** Reads `length` bytes at `offset` into `views`, which hold exactly as many. `done` is called later. */
  readInto(views: Uint8Array[], offset: number, length: number, done: (error?: unknown) => void): void {
    const span = this.#spans(offset, length);
    const open = span.length === 1 && !this.#closed ? this.#acquireOpen(span[0]!.file, 'read') : undefined;
    if (open !== undefined) {
      readFully(open, views, span[0]!.position, length, this.#doing('reading', offset, length), (error) => {
        this.#context.openFiles.release(open);
        done(error);
      });
      return;
    }
    this.#run(() => this.#readSpans(span, views, this.#doing('reading', offset, length))).then(
      () => done(),
      done,
    );
  }

  storePiece(piece: PieceBuffer, offset: number, expectedSha1: Uint8Array): Promise<'stored' | 'corrupt'> {
    return this.#run(async () => {
      this.#checkWritable();
      if (!(piece instanceof SharedPiece) || piece.released)
        throw new TypeError('the piece was released, or belongs to another Host');
      if (expectedSha1.length !== 20) throw new RangeError('a SHA-1 has 20 bytes');
      this.checkRange(offset, piece.length);
      piece.pin();
      try {
        return await this.#store(piece, this.#spans(offset, piece.length), expectedSha1);
      } catch (error) {
        throw hostErrorFrom(error, this.#doing('storing', offset, piece.length));
      } finally {
        piece.unpin();
      }
    });
  }

  hashRange(offset: number, length: number, algorithm: HashAlgorithm): Promise<Uint8Array> {
    return this.#run(async () => {
      this.checkRange(offset, length);
      const spans = this.#spans(offset, length);
      return this.#withFiles(spans, 'read', async (reads) => {
        try {
          return (await this.#context.workers.run({ kind: 'hash', algorithm, reads })) as Uint8Array;
        } catch (error) {
          throw hostErrorFrom(error, this.#doing('hashing', offset, length));
        }
      });
    });
  }

  createFiles(): Promise<void> {
    return this.#run(async () => {
      this.#checkWritable();
      for (const file of this.#files)
        await this.#withFiles([{ file, position: 0, length: file.length }], 'write', async ([range]) => {
          const { size } = await promisify(fstat)(range!.fd);
          if (size < file.length) await promisify(ftruncate)(range!.fd, file.length);
          this.#unsynced.add(file);
        });
    });
  }

  sync(): Promise<void> {
    return this.#run(async () => {
      const files = this.#unsynced;
      this.#unsynced = new Set();
      try {
        for (const file of files)
          await this.#withFiles([{ file, position: 0, length: file.length }], 'write', ([range]) =>
            promisify(fdatasync)(range!.fd),
          );
        await this.#syncDirectories(files);
      } catch (error) {
        for (const file of files) this.#unsynced.add(file);
        throw hostErrorFrom(error, `making ${this.#root} durable`);
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#context.contents.delete(this);
    await Promise.allSettled(this.#underWay);
    for (const { keys } of this.#files) {
      this.#context.openFiles.forget(keys.read);
      this.#context.openFiles.forget(keys.write);
    }
    await this.#context.openFiles.settled();
  }

  /** Does `work`, which `close` waits for. */
  #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed)
      return Promise.reject(new HostError('closed', `the content of ${this.#root} was closed`));
    const promise = work();
    this.#underWay.add(promise);
    const over = (): void => void this.#underWay.delete(promise);
    promise.then(over, over);
    return promise;
  }

  #doing(verb: string, offset: number, length: number): string {
    return `${verb} ${length} bytes at ${offset} of the content in ${this.#root}`;
  }

  #checkWritable(): void {
    if (this.#readOnly)
      throw new HostError('permission', `the content in ${this.#root} was opened to be read only`);
  }

  async #store(
    piece: SharedPiece,
    spans: readonly Span[],
    expectedSha1: Uint8Array,
  ): Promise<'stored' | 'corrupt'> {
    const { workers } = this.#context;
    const work = { kind: 'store', memory: piece.memory, length: piece.length } as const;
    const open = this.#acquireAllOpen(spans);
    let result: unknown;
    if (open !== undefined) {
      result = await this.#using(open, spans, (writes) => workers.run({ ...work, expectedSha1, writes }));
    } else {
      // No file is made for a corrupt piece: where one is not open yet, the hash comes first, alone.
      result = await workers.run({ ...work, expectedSha1, writes: [] });
      if (result === 'corrupt') return 'corrupt';
      result = await this.#withFiles(spans, 'write', (writes) =>
        workers.run({ ...work, expectedSha1: undefined, writes }),
      );
    }
    if (result === 'corrupt') return 'corrupt';
    for (const { file } of spans) this.#unsynced.add(file);
    return 'stored';
  }

  #acquireAllOpen(spans: readonly Span[]): OpenFile[] | undefined {
    const open: OpenFile[] = [];
    for (const { file } of spans) {
      const entry = this.#acquireOpen(file, 'write');
      if (entry === undefined) {
        for (const acquired of open) this.#context.openFiles.release(acquired);
        return undefined;
      }
      open.push(entry);
    }
    return open;
  }

  #acquireOpen(file: LaidFile, mode: Mode): OpenFile | undefined {
    return this.#context.openFiles.acquireOpen(file.keys[mode]);
  }

  async #withFiles<T>(
    spans: readonly Span[],
    mode: Mode,
    work: (ranges: FileRange[]) => Promise<T>,
  ): Promise<T> {
    const open: OpenFile[] = [];
    try {
      for (const { file } of spans)
        open.push(
          await this.#context.openFiles.acquire(file.keys[mode], () =>
            openBelow(this.#root, file.path, mode),
          ),
        );
    } catch (error) {
      for (const acquired of open) this.#context.openFiles.release(acquired);
      throw error;
    }
    return this.#using(open, spans, work);
  }

  /** Gives `open` back when `work` is done; descriptors that failed are not used again. */
  async #using<T>(
    open: readonly OpenFile[],
    spans: readonly Span[],
    work: (ranges: FileRange[]) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(
        spans.map(({ position, length }, index) => ({ fd: open[index]!.fd, position, length })),
      );
    } catch (error) {
      for (const { file } of spans) {
        this.#context.openFiles.forget(file.keys.read);
        this.#context.openFiles.forget(file.keys.write);
      }
      throw error;
    } finally {
      for (const entry of open) this.#context.openFiles.release(entry);
    }
  }

  /** The files that a range lies in, found by bisection; empty files and ranges have no spans. */
  #spans(offset: number, length: number): Span[] {
    let low = 0;
    let high = this.#files.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const file = this.#files[middle]!;
      if (file.start + file.length <= offset) low = middle + 1;
      else high = middle;
    }
    const spans: Span[] = [];
    const end = offset + length;
    for (let index = low; index < this.#files.length && this.#files[index]!.start < end; index++) {
      const file = this.#files[index]!;
      const from = Math.max(offset, file.start);
      const to = Math.min(end, file.start + file.length);
      if (to > from) spans.push({ file, position: from - file.start, length: to - from });
    }
    return spans;
  }

  async #readSpans(spans: readonly Span[], views: readonly Uint8Array[], doing: string): Promise<void> {
    let rest = [...views];
    for (const span of spans) {
      const [mine, others] = splitViews(rest, span.length);
      rest = others;
      await this.#withFiles(
        [span],
        'read',
        ([range]) =>
          new Promise<void>((resolve, reject) => {
            readFully(range!, mine, span.position, span.length, doing, (error) =>
              error === undefined ? resolve() : reject(error),
            );
          }),
      );
    }
  }

  async #syncDirectories(files: Iterable<LaidFile>): Promise<void> {
    const directories = new Set<string>();
    for (const { path } of files) {
      const names = path.split('/').slice(0, -1);
      for (let depth = 0; depth <= names.length; depth++)
        directories.add(join(this.#root, ...names.slice(0, depth)));
    }
    for (const directory of directories) await syncDirectory(directory);
  }
}

/** A name made in `directory` survives power loss once this resolves. */
export async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function readFully(
  file: OpenFile,
  views: readonly Uint8Array[],
  position: number,
  length: number,
  doing: string,
  done: (error?: HostError) => void,
): void {
  readv(file.fd, views as Uint8Array[], position, (error, got) => {
    if (error !== null) done(hostErrorFrom(error, doing));
    else if (got === length) done();
    else done(new HostError('io', `${doing}: the file is shorter than its content; check it again`));
  });
}

/** `views` cut in two after `length` bytes. */
function splitViews(views: readonly Uint8Array[], length: number): [Uint8Array[], Uint8Array[]] {
  const first: Uint8Array[] = [];
  let at = 0;
  let left = length;
  while (left > 0) {
    const view = views[at++]!;
    first.push(view.subarray(0, left));
    if (view.length > left) return [first, [view.subarray(left), ...views.slice(at)]];
    left -= view.length;
  }
  return [first, views.slice(at)];
}
