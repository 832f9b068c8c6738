/** Files of a simulated machine: small files, whole, on its disk. */
import type { FileEntry, FileStat, Files } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { Access, SimDisk } from './disk.ts';
import { notFound } from './disk.ts';
import { DiskFile } from './disk-tree.ts';
import { RealExtent } from './extent.ts';
import type { RandomStream } from './random-stream.ts';
import type { SimProcess } from './sim-process.ts';

const READ: Access = { kind: 'read', lengthBytes: 0 };

export class SimFiles implements Files {
  readonly #process: SimProcess;
  readonly #disk: SimDisk;

  constructor(process: SimProcess, disk: SimDisk) {
    this.#process = process;
    this.#disk = disk;
  }

  read(path: string, maxBytes: number): Promise<Uint8Array> {
    const node = this.#disk.tree.find(path);
    const file = node?.kind === 'file' ? node : undefined;
    const lengthBytes = Math.min(file?.data.length ?? 0, maxBytes);
    return this.#do({ kind: 'read', lengthBytes, file }, () => {
      const { data } = this.#fileAt(path);
      if (data.length > maxBytes)
        throw new HostError(
          'too-large',
          `${path} has ${data.length} bytes, more than the ${maxBytes} allowed.`,
        );
      return data.read(0, data.length).bytes().slice();
    });
  }

  writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
    const content = RealExtent.of(bytes.slice());
    return this.#do({ kind: 'write', lengthBytes: content.length }, () => {
      const old = this.#disk.tree.find(path);
      this.#disk.tree.makeDirectory(`${path}/..`, this.#disk.wallTime());
      this.#disk.requireRoom(content.length - (old?.kind === 'file' ? old.data.storedBytes : 0));
      this.#disk.tree.put(path, this.#syncedFile(content));
    });
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    const content = RealExtent.of(bytes.slice());
    const node = this.#disk.tree.find(path);
    const file = node?.kind === 'file' ? node : undefined;
    const access: Access = {
      kind: 'write',
      lengthBytes: content.length,
      file,
      offset: file?.data.length ?? 0,
      isTearable: true,
    };
    return this.#do(access, (torn) => {
      const opened = this.#disk.tree.openFile(path, this.#disk.wallTime());
      this.#disk.write(opened, opened.data.length, content, torn);
    });
  }

  createExclusive(path: string, bytes: Uint8Array): Promise<void> {
    const content = RealExtent.of(bytes.slice());
    return this.#do({ kind: 'write', lengthBytes: content.length }, () => {
      if (this.#disk.tree.find(path) !== undefined)
        throw new HostError('exists', `${path} exists already. Remove it, or choose another name.`);
      this.#disk.requireRoom(content.length);
      this.#disk.tree.put(path, this.#syncedFile(content));
    });
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return this.#do(READ, () => {
      const node = this.#disk.tree.find(path);
      if (node === undefined) throw notFound(path);
      if (node.kind === 'file') throw new HostError('io', `${path} is a file. Name a directory.`);
      return Array.from(node.entries, ([name, { kind }]) => ({ name, kind })).sort((a, b) =>
        a.name < b.name ? -1 : 1,
      );
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#do(READ, () => {
      const node = this.#disk.tree.find(path);
      if (node === undefined) return undefined;
      const sizeBytes = node.kind === 'file' ? node.data.length : 0;
      return { kind: node.kind, sizeBytes, modifiedMs: node.modifiedMs };
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#do({ kind: 'write', lengthBytes: 0 }, () => {
      this.#disk.tree.makeDirectory(path, this.#disk.wallTime());
    });
  }

  remove(path: string): Promise<void> {
    return this.#do({ kind: 'change', lengthBytes: 0 }, () => this.#disk.tree.remove(path));
  }

  freeBytes(directory: string): Promise<number> {
    return this.#do(READ, () => {
      if (this.#disk.tree.find(directory) === undefined) throw notFound(directory);
      return this.#disk.freeBytes;
    });
  }

  #fileAt(path: string): DiskFile {
    const node = this.#disk.tree.find(path);
    if (node === undefined) throw notFound(path);
    if (node.kind === 'directory') throw new HostError('io', `${path} is a directory. Name a file.`);
    return node;
  }

  #syncedFile(content: RealExtent): DiskFile {
    const file = new DiskFile(this.#disk.wallTime());
    file.data.write(0, content);
    file.data.sync();
    return file;
  }

  #do<T>(access: Access, work: (torn?: RandomStream) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#process.isDead) return;
      this.#disk.submit(this.#process, access, work, (outcome) => {
        if ('value' in outcome) resolve(outcome.value);
        else reject(outcome.error);
      });
    });
  }
}
