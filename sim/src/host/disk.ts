/**
 * A simulated disk: a tree of files that outlives processes and power, with a capacity and faults.
 * Operations wait in one queue and take virtual time; what a crash finds unfinished never happened.
 */
import { HostError } from '@skep/p2p-core/host';
import type { RandomStream } from './random-stream.ts';
import type { SimProcess } from './sim-process.ts';
import { SparseFile } from './sparse-file.ts';

export interface DiskFile {
  readonly kind: 'file';
  readonly data: SparseFile;
  modifiedMs: number;
}

export interface DiskDirectory {
  readonly kind: 'directory';
  readonly entries: Map<string, DiskFile | DiskDirectory>;
  modifiedMs: number;
}

export type DiskNode = DiskFile | DiskDirectory;

export interface DiskOptions {
  /** Most bytes that all files may take, holes not counted. Default: no limit. */
  readonly capacityBytes?: number;
  /** How long each operation takes beside its bytes. Default 0.1. */
  readonly latencyMs?: number;
  /** Default: no limit. */
  readonly bytesPerSecond?: number;
}

/** Faults and limits may be changed at any time and hold for the operations that finish after. */
export class SimDisk {
  capacityBytes: number;
  latencyMs: number;
  bytesPerSecond: number;
  /** Share of operations, 0 to 1, that fail with `io`. */
  readErrorRate = 0;
  writeErrorRate = 0;
  readonly #root: DiskDirectory = { kind: 'directory', entries: new Map(), modifiedMs: 0 };
  readonly #random: RandomStream;
  readonly #now: () => number;
  readonly #wallTime: () => number;
  #freeAtMs = 0;
  #usedBytes = 0;

  constructor(
    components: { random: RandomStream; now: () => number; wallTime: () => number },
    options: DiskOptions = {},
  ) {
    this.#random = components.random;
    this.#now = components.now;
    this.#wallTime = components.wallTime;
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    this.latencyMs = options.latencyMs ?? 0.1;
    this.bytesPerSecond = options.bytesPerSecond ?? Number.POSITIVE_INFINITY;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Runs `work` for a process once the disk has got to it; `done` learns the outcome. A process that dies
   * before that has done nothing. A paused one finds its work done when it is resumed.
   */
  submit<T>(
    process: SimProcess,
    operation: { readonly kind: 'read' | 'write'; readonly lengthBytes: number },
    work: () => T,
    done: (outcome: { readonly value: T } | { readonly error: unknown }) => void,
  ): void {
    const now = this.#now();
    const costMs = this.latencyMs + (operation.lengthBytes * 1_000) / this.bytesPerSecond;
    this.#freeAtMs = Math.max(now, this.#freeAtMs) + costMs;
    process.laterInKernel(this.#freeAtMs - now, () => {
      let outcome: { readonly value: T } | { readonly error: unknown };
      try {
        this.#maybeFail(operation.kind);
        outcome = { value: work() };
      } catch (error) {
        outcome = { error };
      }
      process.enter(() => done(outcome));
    });
  }

  find(path: string): DiskNode | undefined {
    let node: DiskNode | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (node?.kind !== 'directory') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  /** The directory, made with its parents if missing. Rejects io if a file stands in the way. */
  makeDirectory(path: string): DiskDirectory {
    let directory = this.#root;
    for (const name of partsOf(path)) {
      let next = directory.entries.get(name);
      if (next === undefined) {
        next = { kind: 'directory', entries: new Map(), modifiedMs: this.#wallTime() };
        directory.entries.set(name, next);
      }
      if (next.kind !== 'directory')
        throw new HostError(
          'io',
          `${path} needs a directory where the file ${name} is. Choose another path.`,
        );
      directory = next;
    }
    return directory;
  }

  /** The file, made empty if missing; its directory must exist. */
  openFile(path: string): DiskFile {
    const existing = this.find(path);
    if (existing?.kind === 'file') return existing;
    if (existing !== undefined) throw new HostError('io', `${path} is a directory. Name a file.`);
    const file: DiskFile = { kind: 'file', data: new SparseFile(), modifiedMs: this.#wallTime() };
    this.putFile(path, file);
    return file;
  }

  /** Links a file under a name, in place of the file that was there. */
  putFile(path: string, file: DiskFile): void {
    const parts = partsOf(path);
    const name = parts.pop();
    const parent = this.find(parts.join('/'));
    if (parent === undefined) throw notFound(path);
    if (name === undefined || parent.kind !== 'directory' || parent.entries.get(name)?.kind === 'directory')
      throw new HostError('io', `${path} cannot be a file: a directory is there, or a file is its parent.`);
    this.#forget(parent.entries.get(name));
    parent.entries.set(name, file);
    this.#usedBytes += file.data.storedBytes;
  }

  /** Writes into a linked file if the disk has room for it, else rejects disk-full and writes nothing. */
  write(file: DiskFile, offset: number, slices: readonly Uint8Array[]): void {
    const lengthBytes = slices.reduce((sum, slice) => sum + slice.length, 0);
    const growth = file.data.missingIn(offset, lengthBytes);
    this.requireRoom(growth);
    file.data.write(offset, slices);
    file.modifiedMs = this.#wallTime();
    this.#usedBytes += growth;
  }

  requireRoom(lengthBytes: number): void {
    if (this.#usedBytes + lengthBytes > this.capacityBytes)
      throw new HostError('disk-full', `The disk has no room for ${lengthBytes} bytes more. Free some.`);
  }

  remove(path: string): void {
    const parts = partsOf(path);
    const name = parts.pop();
    const parent = this.find(parts.join('/'));
    if (name === undefined || parent?.kind !== 'directory') return;
    this.#forget(parent.entries.get(name));
    parent.entries.delete(name);
  }

  /** Power loss. */
  loseUnsynced(lossRate: number): void {
    for (const file of filesBelow(this.#root)) {
      this.#usedBytes -= file.data.storedBytes;
      file.data.loseUnsynced(() => this.#random.chance(lossRate));
      this.#usedBytes += file.data.storedBytes;
    }
  }

  #forget(node: DiskNode | undefined): void {
    if (node === undefined) return;
    for (const file of filesBelow(node)) this.#usedBytes -= file.data.storedBytes;
  }

  #maybeFail(kind: 'read' | 'write'): void {
    if (this.#random.chance(kind === 'read' ? this.readErrorRate : this.writeErrorRate))
      throw new HostError('io', `The disk failed a ${kind}. Try again, or replace it.`);
  }
}

export function notFound(path: string): HostError {
  return new HostError('not-found', `${path} does not exist. Check the path.`);
}

/** Names on the way to a path; `.` and `..` are resolved as the file system would, never above its root. */
function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}

function* filesBelow(node: DiskNode): Generator<DiskFile> {
  const pending: DiskNode[] = [node];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.kind === 'file') yield next;
    else pending.push(...next.entries.values());
  }
}
