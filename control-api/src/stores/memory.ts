/** Store and journal in memory: for the simulator and for tests. Loses everything with the process. */
import type { ClusterEvent } from '@skep/contract';
import { type Journal, type JournalHead, journalCapacity } from '../ports/journal.ts';
import type { Json, NewEvent, Row, Store, Write } from '../ports/store.ts';
import { encodeCommit } from './encoded-commit.ts';
import { Subscribers } from './subscribers.ts';

interface Log {
  readonly events: ClusterEvent[];
  sequence: number;
  lamport: number;
}

export class MemoryStore implements Store, Journal {
  /** Values as text, so that no caller shares an object with the store. */
  readonly #rows = new Map<string, { version: number; text: string }>();
  readonly #logs = new Map<string, Log>();
  readonly #subscribers = new Subscribers();

  async get(key: string): Promise<Row | undefined> {
    const row = this.#rows.get(key);
    return row && { key, version: row.version, value: JSON.parse(row.text) as Json };
  }

  async list(prefix: string): Promise<readonly Row[]> {
    const keys = [...this.#rows.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => {
      const row = this.#rows.get(key)!;
      return { key, version: row.version, value: JSON.parse(row.text) as Json };
    });
  }

  async commit(writes: readonly Write[], events: readonly NewEvent[] = []): Promise<boolean> {
    const encoded = encodeCommit(writes, events);
    const asExpected = encoded.writes.every(
      ({ key, expectedVersion }) => (this.#rows.get(key)?.version ?? 0) === expectedVersion,
    );
    if (!asExpected) return false;
    for (const { key, expectedVersion, text, remove } of encoded.writes) {
      if (remove) this.#rows.delete(key);
      else if (text !== undefined) this.#rows.set(key, { version: expectedVersion + 1, text });
    }
    for (const event of events) this.#append(event);
    this.#subscribers.tell(events);
    return true;
  }

  async head(clusterUid: string): Promise<JournalHead> {
    const { sequence, lamport } = this.#logs.get(clusterUid) ?? { sequence: 0, lamport: 0 };
    return { sequence, lamport };
  }

  async read(clusterUid: string, after: number, limit: number): Promise<readonly ClusterEvent[]> {
    const log = this.#logs.get(clusterUid);
    if (log === undefined) return [];
    const first = log.sequence - log.events.length + 1;
    const start = Math.max(0, after + 1 - first);
    return log.events.slice(start, start + limit);
  }

  subscribe(clusterUid: string, onAppended: () => void): () => void {
    return this.#subscribers.add(clusterUid, onAppended);
  }

  async forget(clusterUid: string): Promise<void> {
    this.#logs.delete(clusterUid);
  }

  #append({ clusterUid, ...event }: NewEvent): void {
    let log = this.#logs.get(clusterUid);
    if (log === undefined) {
      log = { events: [], sequence: 0, lamport: 0 };
      this.#logs.set(clusterUid, log);
    }
    log.sequence += 1;
    log.lamport = Math.max(log.lamport, event.lamport);
    log.events.push({ ...event, data: { ...event.data }, sequence: log.sequence });
    // Trimmed in large steps: moving the whole array for every event would be slow by design.
    if (log.events.length > journalCapacity * 1.1) log.events.splice(0, log.events.length - journalCapacity);
  }
}
