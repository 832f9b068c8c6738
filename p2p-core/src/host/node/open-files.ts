/** File descriptors kept open between uses, a bounded number of them; the one unused longest is closed first. */
import { close } from 'node:fs';

/** Kept open at once. Those in use at this moment are not closed, so there may briefly be more. */
const DEFAULT_LIMIT = 256;

/** A descriptor in use: give it back with `release`. */
export interface OpenFile {
  readonly fd: number;
}

interface Entry extends OpenFile {
  readonly key: string;
  users: number;
  /** No longer in the cache: closed once the last user is done. */
  stale: boolean;
}

export class OpenFiles {
  readonly #limit: number;
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #opening = new Map<string, Promise<number>>();
  readonly #closing = new Set<Promise<void>>();

  constructor(limit: number = DEFAULT_LIMIT) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The file if it is open already. */
  acquireOpen(key: string): OpenFile | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    return entry;
  }

  /** The file, opened by `open` if it is not open yet; callers at the same time share one opening. */
  async acquire(key: string, open: () => Promise<number>): Promise<OpenFile> {
    for (;;) {
      const entry = this.acquireOpen(key);
      if (entry !== undefined) return entry;
      const underWay = this.#opening.get(key);
      if (underWay !== undefined) {
        await underWay;
        continue;
      }
      const opening = open();
      this.#opening.set(key, opening);
      try {
        const fresh: Entry = { fd: await opening, key, users: 1, stale: false };
        this.#entries.set(key, fresh);
        this.#evict();
        return fresh;
      } finally {
        this.#opening.delete(key);
      }
    }
  }

  release(file: OpenFile): void {
    const entry = file as Entry;
    entry.users--;
    if (entry.users > 0) return;
    if (entry.stale) this.#close(entry);
    else this.#evict();
  }

  /** The file will be opened anew at its next use, because this descriptor has gone bad. */
  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    entry.stale = true;
    if (entry.users === 0) this.#close(entry);
  }

  /** Resolves when every descriptor given up so far is closed, those in use excepted. */
  async settled(): Promise<void> {
    await Promise.all(this.#closing);
  }

  #evict(): void {
    if (this.#entries.size <= this.#limit) return;
    for (const entry of this.#entries.values()) {
      if (entry.users > 0) continue;
      this.forget(entry.key);
      if (this.#entries.size <= this.#limit) return;
    }
  }

  #close(entry: Entry): void {
    const closing = new Promise<void>((resolve) => {
      close(entry.fd, () => {
        this.#closing.delete(closing);
        resolve();
      });
    });
    this.#closing.add(closing);
  }
}
