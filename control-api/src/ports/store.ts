/**
 * Where the control API keeps what must not be lost: rows under string keys, each with a version, changed
 * only by atomic compare-and-set.
 *
 * Events ride in the same commit as the rows they tell about, so that a process that dies at any moment
 * leaves both or neither. The alternative, an outbox of rows that a relay copies into the journal, would
 * double every write and need its own deduplication; all three stores (memory, SQLite, DynamoDB) can put
 * both in one transaction.
 */

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Row {
  readonly key: string;
  /** 1 when the row is made, one more with every change. */
  readonly version: number;
  readonly value: Json;
}

/**
 * One row's part of a commit. `expectedVersion` 0 means that the row must not exist. With `put` it gets that
 * value, with `remove` it goes, with neither it is only required to be as expected.
 */
export interface Write {
  readonly key: string;
  readonly expectedVersion: number;
  readonly put?: Json;
  readonly remove?: true;
}

/** An event on its way into the journal, which gives it its sequence. */
export interface NewEvent {
  readonly clusterUid: string;
  readonly cluster: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** When it happened, where that is known and `atMs` is only when it was written. */
  readonly happenedAtMs?: number;
  readonly kind: string;
  readonly slot?: string;
  readonly generation?: number;
  readonly lamport: number;
  readonly data: Readonly<Record<string, string | number | boolean>>;
}

/** What one commit may hold at most, in every store: what the strictest of them, DynamoDB, puts into one transaction. */
export const commitLimits = {
  /** Rows written or checked, each once. */
  writes: 80,
  events: 200,
  /** Whose events they are. */
  clusters: 2,
  /** Of one value or event, as JSON in UTF-8. */
  valueBytes: 380_000,
  /** Of all values and events together. */
  bytes: 3_000_000,
} as const;

export interface Store {
  get(key: string): Promise<Row | undefined>;
  /** Rows whose key begins with `prefix`, sorted by key in code-unit order. */
  list(prefix: string): Promise<readonly Row[]>;
  /**
   * All writes and events, or none of them. Resolves false, with nothing changed, if any row was not at its
   * expected version. Once resolved true it survives the process being killed. Rejects StoreError; then the
   * outcome is unknown until read. Rejects RangeError, with nothing changed, beyond `commitLimits`.
   */
  commit(writes: readonly Write[], events?: readonly NewEvent[]): Promise<boolean>;
}

/** The store itself failed; `message` says how. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
}
