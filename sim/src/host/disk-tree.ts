/** The names on a simulated disk: directories and files, and the room that these take. `nowMs` dates what is made. */
import { HostError } from '@skep/p2p-core/host';
import type { RandomStream } from './random-stream.ts';
import { SparseFile } from './sparse-file.ts';

export class DiskFile {
  readonly kind = 'file' as const;
  readonly data = new SparseFile();
  modifiedMs: number;
  /** Whether a name leads to it; once it does not, it never will again. */
  isLinked = true;

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs;
  }
}

export class DiskDirectory {
  readonly kind = 'directory' as const;
  readonly entries = new Map<string, DiskNode>();
  readonly modifiedMs: number;
  isLinked = true;

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs;
  }
}

export type DiskNode = DiskFile | DiskDirectory;

export class DiskTree {
  /** By all files, holes left out. */
  usedBytes = 0;
  readonly #root = new DiskDirectory(0);

  find(path: string): DiskNode | undefined {
    let node: DiskNode | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (node?.kind !== 'directory') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  /** The directory, made with its parents if missing. Throws io if a file stands in the way. */
  makeDirectory(path: string, nowMs: number): DiskDirectory {
    let directory = this.#root;
    for (const name of partsOf(path)) {
      let next = directory.entries.get(name);
      if (next === undefined) {
        next = new DiskDirectory(nowMs);
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
  openFile(path: string, nowMs: number): DiskFile {
    const existing = this.find(path);
    if (existing?.kind === 'file') return existing;
    if (existing !== undefined) throw new HostError('io', `${path} is a directory. Name a file.`);
    const file = new DiskFile(nowMs);
    this.put(path, file);
    return file;
  }

  /** Links a file under a name, in place of the file that was there. */
  put(path: string, file: DiskFile): void {
    const parts = partsOf(path);
    const name = parts.pop();
    const parent = this.find(parts.join('/'));
    if (parent === undefined) throw new HostError('not-found', `${path} has no directory. Make it first.`);
    if (name === undefined || parent.kind !== 'directory' || parent.entries.get(name)?.kind === 'directory')
      throw new HostError('io', `${path} cannot be a file: a directory is there, or a file is its parent.`);
    this.#forget(parent.entries.get(name));
    parent.entries.set(name, file);
    this.usedBytes += file.data.storedBytes;
  }

  /** A file, or a directory with all that is in it. Harmless if missing. */
  remove(path: string): void {
    const parts = partsOf(path);
    const name = parts.pop();
    const parent = this.find(parts.join('/'));
    if (name === undefined || parent?.kind !== 'directory') return;
    this.#forget(parent.entries.get(name));
    parent.entries.delete(name);
  }

  clear(): void {
    for (const name of [...this.#root.entries.keys()]) this.remove(name);
  }

  loseUnsynced(lossRate: number, random: RandomStream): void {
    for (const node of nodesBelow(this.#root)) {
      if (node.kind === 'directory') continue;
      this.usedBytes -= node.data.storedBytes;
      node.data.loseUnsynced(lossRate, random);
      this.usedBytes += node.data.storedBytes;
    }
  }

  #forget(node: DiskNode | undefined): void {
    if (node === undefined) return;
    for (const gone of nodesBelow(node)) {
      gone.isLinked = false;
      if (gone.kind === 'file') this.usedBytes -= gone.data.storedBytes;
    }
  }
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

function* nodesBelow(node: DiskNode): Generator<DiskNode> {
  const pending: DiskNode[] = [node];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    yield next;
    if (next.kind === 'directory') pending.push(...next.entries.values());
  }
}
