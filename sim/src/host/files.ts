/** Files of a simulated machine: small files, whole, on its disk. */
import type { FileEntry, FileStat, Files } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { DiskFile, SimDisk } from './disk.ts';
import { notFound } from './disk.ts';
import type { SimProcess } from './sim-process.ts';
import { joinSlices, SparseFile } from './sparse-file.ts';

export class SimFiles implements Files {
  readonly #process: SimProcess;
  readonly #disk: SimDisk;
  readonly #wallTime: () => number;

  constructor(components: { process: SimProcess; disk: SimDisk; wallTime: () => number }) {
    this.#process = components.process;
    this.#disk = components.disk;
    this.#wallTime = components.wallTime;
  }

  read(path: string, maxBytes: number): Promise<Uint8Array> {
    return this.#do('read', 0, () => {
      const node = this.#disk.find(path);
      if (node === undefined) throw notFound(path);
      if (node.kind === 'directory') throw new HostError('io', `${path} is a directory. Name a file.`);
      if (node.data.length > maxBytes)
        throw new HostError(
          'too-large',
          `${path} has ${node.data.length} bytes, more than the ${maxBytes} allowed.`,
        );
      return joinSlices(node.data.slices(0, node.data.length));
    });
  }

  writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
    const content = bytes.slice();
    return this.#do('write', content.length, () => {
      const old = this.#disk.find(path);
      this.#disk.makeDirectory(`${path}/..`);
      this.#disk.requireRoom(content.length - (old?.kind === 'file' ? old.data.storedBytes : 0));
      const file = this.#fileOf(content);
      file.data.sync();
      this.#disk.putFile(path, file);
    });
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    const content = bytes.slice();
    return this.#do('write', content.length, () => {
      const file = this.#disk.openFile(path);
      this.#disk.write(file, file.data.length, [content]);
    });
  }

  createExclusive(path: string, bytes: Uint8Array): Promise<void> {
    const content = bytes.slice();
    return this.#do('write', content.length, () => {
      if (this.#disk.find(path) !== undefined)
        throw new HostError('exists', `${path} exists already. Remove it, or choose another name.`);
      this.#disk.requireRoom(content.length);
      this.#disk.putFile(path, this.#fileOf(content));
    });
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return this.#do('read', 0, () => {
      const node = this.#disk.find(path);
      if (node === undefined) throw notFound(path);
      if (node.kind === 'file') throw new HostError('io', `${path} is a file. Name a directory.`);
      return Array.from(node.entries, ([name, { kind }]) => ({ name, kind })).sort((a, b) =>
        a.name < b.name ? -1 : 1,
      );
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#do('read', 0, () => {
      const node = this.#disk.find(path);
      if (node === undefined) return undefined;
      const sizeBytes = node.kind === 'file' ? node.data.length : 0;
      return { kind: node.kind, sizeBytes, modifiedMs: node.modifiedMs };
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#do('write', 0, () => void this.#disk.makeDirectory(path));
  }

  remove(path: string): Promise<void> {
    return this.#do('write', 0, () => this.#disk.remove(path));
  }

  #fileOf(content: Uint8Array): DiskFile {
    const data = new SparseFile();
    data.write(0, [content]);
    return { kind: 'file', data, modifiedMs: this.#wallTime() };
  }

  #do<T>(kind: 'read' | 'write', lengthBytes: number, work: () => T): Promise<T> {
    return this.#process.promise((resolve, reject) => {
      this.#disk.submit(this.#process, { kind, lengthBytes }, work, (outcome) => {
        if ('value' in outcome) resolve(outcome.value);
        else reject(outcome.error);
      });
    });
  }
}
