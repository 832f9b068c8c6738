/** Small files, whole: atomic replacement, ordered appends, and errors by code. */
import { randomBytes } from 'node:crypto';
import type { Dirent, Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join, resolve as resolvePath } from 'node:path';
import type { FileEntry, FileStat, Files } from '../host.ts';
import { HostError } from '../host.ts';
import { syncDirectory } from './content.ts';
import { hostErrorFrom } from './errors.ts';

export class NodeFiles implements Files {
  /** The last write under way of each path, which the next one waits for. */
  readonly #writes = new Map<string, Promise<void>>();

  read(path: string, maxBytes: number): Promise<Uint8Array> {
    return translated(`reading ${path}`, async () => {
      const handle = await fs.open(path, 'r');
      try {
        const stats = await handle.stat();
        if (stats.isDirectory()) throw new HostError('io', `${path} is a directory`);
        const { size } = stats;
        const tooLarge = (): HostError =>
          new HostError('too-large', `${path} is longer than the ${maxBytes} bytes it may have`);
        if (size > maxBytes) throw tooLarge();
        // Some files (under /proc, or growing) have more than they say: one byte over shows it.
        let bytes = new Uint8Array(size + 1);
        let length = 0;
        for (;;) {
          const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
          length += bytesRead;
          if (length > maxBytes) throw tooLarge();
          if (bytesRead === 0) return bytes.slice(0, length);
          if (length === bytes.length) {
            const grown = new Uint8Array(Math.min(bytes.length * 2 + 4096, maxBytes + 1));
            grown.set(bytes);
            bytes = grown;
          }
        }
      } finally {
        await handle.close();
      }
    });
  }

  writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
    return this.#inOrder(path, `writing ${path}`, async () => {
      const directory = dirname(path);
      await makeDurableDirectory(directory);
      const temporary = await writeTemporary(directory, bytes);
      try {
        await fs.rename(temporary, path);
      } catch (error) {
        await fs.rm(temporary, { force: true });
        throw error;
      }
      await syncDirectory(directory);
    });
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    return this.#inOrder(path, `appending to ${path}`, () => fs.appendFile(path, bytes));
  }

  createExclusive(path: string, bytes: Uint8Array): Promise<void> {
    return translated(`making ${path}`, async () => {
      // Linked when complete, so that nobody ever sees it half written.
      const directory = dirname(path);
      const temporary = await writeTemporary(directory, bytes);
      try {
        await fs.link(temporary, path);
      } finally {
        await fs.rm(temporary, { force: true });
      }
      await syncDirectory(directory);
    });
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return translated(`listing ${path}`, async () => {
      const entries = await fs.readdir(path, { withFileTypes: true });
      return entries
        .map((entry) => ({ name: entry.name, kind: kindOf(entry) }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return translated(`looking at ${path}`, async () => {
      try {
        const stats = await fs.stat(path);
        return { kind: kindOf(stats), sizeBytes: stats.size, modifiedMs: stats.mtimeMs };
      } catch (error) {
        if (hostErrorFrom(error, '').code === 'not-found') return undefined;
        throw error;
      }
    });
  }

  makeDirectory(path: string): Promise<void> {
    return translated(`making the directory ${path}`, async () => {
      await makeWithParents(resolvePath(path));
    });
  }

  remove(path: string): Promise<void> {
    return translated(`removing ${path}`, () => fs.rm(path, { recursive: true, force: true }));
  }

  freeBytes(directory: string): Promise<number> {
    return translated(`looking for space in ${directory}`, async () => {
      const { bavail, bsize } = await fs.statfs(directory);
      return bavail * bsize;
    });
  }

  async #inOrder(path: string, doing: string, work: () => Promise<void>): Promise<void> {
    const key = resolvePath(path);
    const before = this.#writes.get(key) ?? Promise.resolve();
    const turn = before.then(() => translated(doing, work));
    const over = turn.catch(() => {});
    this.#writes.set(key, over);
    try {
      await turn;
    } finally {
      if (this.#writes.get(key) === over) this.#writes.delete(key);
    }
  }
}

/** `path` with its parents, each made durable in its own parent. */
async function makeDurableDirectory(path: string): Promise<void> {
  const first = await makeWithParents(resolvePath(path));
  if (first === undefined) return;
  const highest = dirname(first);
  for (let at = resolvePath(path); at.length > highest.length; at = dirname(at))
    await syncDirectory(dirname(at));
}

/**
 * Gives the highest directory that had to be made, if any. Node's own recursive mkdir never returns where the
 * file system says ENOENT though the parent is there, as /proc does.
 */
async function makeWithParents(path: string): Promise<string | undefined> {
  try {
    await fs.mkdir(path);
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await fs.stat(path)).isDirectory()) return undefined;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
  }
  const first = await makeWithParents(dirname(path));
  try {
    await fs.mkdir(path);
  } catch (error) {
    // Somebody else was quicker.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return first;
  }
  return first ?? path;
}

/** A new file in `directory` with `bytes` in it, on disk; none if that failed. */
async function writeTemporary(directory: string, bytes: Uint8Array): Promise<string> {
  const path = join(directory, `.tmp-${process.pid}-${randomBytes(8).toString('hex')}`);
  const handle = await fs.open(path, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } catch (error) {
    await fs.rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return path;
}

async function translated<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw hostErrorFrom(error, doing);
  }
}

function kindOf(entry: Dirent | Stats): FileEntry['kind'] {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'directory' : 'other';
}
