/**
 * Store and journal in one SQLite file: the embedded default.
 *
 * One connection, opened exclusively, so that a second control API on the same file is refused instead of
 * quietly sharing machines with the first. WAL with full sync: a commit that was answered survives kill -9
 * and power loss.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { ClusterEvent } from '@skep/contract';
import { type Journal, type JournalHead, journalCapacity } from '../ports/journal.ts';
import { type Json, type NewEvent, type Row, type Store, StoreError, type Write } from '../ports/store.ts';
import { type EncodedEvent, type EncodedWrite, encodeCommit } from './encoded-commit.ts';
import { Subscribers } from './subscribers.ts';

const schema = `
  CREATE TABLE IF NOT EXISTS rows (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS events (
    cluster TEXT NOT NULL, sequence INTEGER NOT NULL, lamport INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (cluster, sequence)
  ) STRICT, WITHOUT ROWID;
`;
/** Of the file's form; a newer one is refused rather than misread. */
const formatVersion = 1;
/** Events are trimmed when a sequence passes a multiple of this, not with each. */
const trimEvery = 1_000;

export class SqliteStore implements Store, Journal {
  readonly #database: DatabaseSync;
  readonly #statements: Record<keyof typeof queries, StatementSync>;
  readonly #subscribers = new Subscribers();

  /** Opens or makes the file. Throws StoreError if it cannot be had, for instance because it is in use. */
  constructor(path: string) {
    this.#database = attempt(`cannot open ${path}`, () => new DatabaseSync(path, { timeout: 0 }));
    try {
      attempt(`cannot use ${path}`, () => {
        this.#database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
        this.#database.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
        const found = Number(this.#database.prepare('PRAGMA user_version').get()!.user_version);
        if (found > formatVersion) throw new Error(`it was written by a newer version (format ${found})`);
        this.#database.exec(`${schema} PRAGMA user_version = ${formatVersion}; COMMIT`);
      });
    } catch (error) {
      this.#database.close();
      throw error;
    }
    this.#statements = Object.fromEntries(
      Object.entries(queries).map(([name, sql]) => [name, this.#database.prepare(sql)]),
    ) as Record<keyof typeof queries, StatementSync>;
  }

  async get(key: string): Promise<Row | undefined> {
    const row = attempt('cannot read', () => this.#statements.get.get(key));
    return row && rowOf(row);
  }

  async list(prefix: string): Promise<readonly Row[]> {
    // The greatest code point ends the range: keys are made by us and never hold it.
    const rows = attempt('cannot read', () => this.#statements.list.all(prefix, `${prefix}\u{10FFFF}`));
    return rows.map(rowOf);
  }

  async commit(writes: readonly Write[], events: readonly NewEvent[] = []): Promise<boolean> {
    const encoded = encodeCommit(writes, events);
    const committed = attempt('cannot write', () => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const done = encoded.writes.every((write) => this.#write(write));
        if (done) for (const event of encoded.events) this.#append(event);
        this.#database.exec(done ? 'COMMIT' : 'ROLLBACK');
        return done;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
    if (committed) this.#subscribers.tell(events);
    return committed;
  }

  async head(clusterUid: string): Promise<JournalHead> {
    const head = attempt('cannot read', () => this.#statements.head.get(clusterUid))!;
    return { sequence: Number(head.sequence ?? 0), lamport: Number(head.lamport ?? 0) };
  }

  async read(clusterUid: string, after: number, limit: number): Promise<readonly ClusterEvent[]> {
    const rows = attempt('cannot read', () => this.#statements.read.all(clusterUid, after, limit));
    return rows.map(({ sequence, event }) => ({
      ...(JSON.parse(String(event)) as ClusterEvent),
      sequence: Number(sequence),
    }));
  }

  subscribe(clusterUid: string, onAppended: () => void): () => void {
    return this.#subscribers.add(clusterUid, onAppended);
  }

  async forget(clusterUid: string): Promise<void> {
    attempt('cannot write', () => this.#statements.forget.run(clusterUid));
  }

  /** Afterwards nothing may be called. */
  close(): void {
    this.#database.close();
  }

  /** Whether the row was as expected. */
  #write({ key, expectedVersion, text, remove }: EncodedWrite): boolean {
    const { insert, update, remove: removeRow, version } = this.#statements;
    if (remove) return removeRow.run(key, expectedVersion).changes === 1;
    if (text === undefined) return Number(version.get(key)?.version ?? 0) === expectedVersion;
    if (expectedVersion === 0) return insert.run(key, text).changes === 1;
    return update.run(text, key, expectedVersion).changes === 1;
  }

  #append({ clusterUid, lamport, text }: EncodedEvent): void {
    const { append, trim } = this.#statements;
    const sequence = Number(append.get(clusterUid, lamport, text)!.sequence);
    if (sequence % trimEvery === 0) trim.run(clusterUid, sequence - journalCapacity);
  }
}

const queries = {
  get: 'SELECT key, version, value FROM rows WHERE key = ?',
  version: 'SELECT version FROM rows WHERE key = ?',
  list: 'SELECT key, version, value FROM rows WHERE key >= ? AND key < ? ORDER BY key',
  insert: 'INSERT INTO rows (key, version, value) VALUES (?, 1, ?) ON CONFLICT DO NOTHING',
  update: 'UPDATE rows SET version = version + 1, value = ? WHERE key = ? AND version = ?',
  remove: 'DELETE FROM rows WHERE key = ? AND version = ?',
  append: `INSERT INTO events (cluster, sequence, lamport, event)
    SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3 FROM events WHERE cluster = ?1 RETURNING sequence`,
  head: 'SELECT max(sequence) AS sequence, max(lamport) AS lamport FROM events WHERE cluster = ?',
  read: 'SELECT sequence, event FROM events WHERE cluster = ? AND sequence > ? ORDER BY sequence LIMIT ?',
  trim: 'DELETE FROM events WHERE cluster = ? AND sequence <= ?',
  forget: 'DELETE FROM events WHERE cluster = ?',
};

function rowOf(row: Record<string, unknown>): Row {
  return {
    key: String(row.key),
    version: Number(row.version),
    value: JSON.parse(String(row.value)) as Json,
  };
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const hint = /locked|busy/.test(reason)
      ? ' (is another control API running on this state directory?)'
      : '';
    throw new StoreError(`${what}: ${reason}${hint}`, { cause: error });
  }
}
