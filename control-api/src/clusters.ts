/**
 * All clusters: each one's rows in memory, changed by deciding, committing, and applying what was committed.
 *
 * Decisions about one cluster are taken one after the other, so they conflict only with another process on
 * the same store; then the rows are read again and the decision is taken again.
 */
import type { Clock, Host } from '@skep/p2p-core/host';
import { goneRow, madeRow, makingRow, sweepLeftovers } from './cluster-leftovers.ts';
import { ClusterRecord } from './cluster-record.ts';
import {
  type ClusterState,
  type Decided,
  type DecidedEvent,
  type Decision,
  mostChanges,
} from './decisions/decision.ts';
import { machineKey, single } from './decisions/rows.ts';
import type { Journal } from './ports/journal.ts';
import { type Json, type NewEvent, type Row, type Store, StoreError, type Write } from './ports/store.ts';
import { ProblemError } from './problems.ts';
import { Turns } from './turns.ts';

const mostAttempts = 20;
/** No agent can push the Lamport clock to where counting ends. */
const largestLamportLead = 1_000_000_000;
/** Rows that were read so long ago are the rows as they are, as far as a refusal goes. */
const freshMs = 1_000;

export interface ClustersOptions {
  /** Whether other processes may write to the store. @default false */
  readonly isShared?: boolean;
}

export class Clusters {
  readonly #clock: Clock;
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #records = new Map<string, ClusterRecord>();
  readonly #turns = new Turns();
  readonly #stale = new Set<ClusterRecord>();
  readonly #readAtMs = new WeakMap<ClusterRecord, number>();
  readonly #isShared: boolean;
  readonly #listeners = new Set<(record: ClusterRecord) => void>();
  #wallOriginMs: number;

  constructor(
    components: { host: Host; store: Store; journal: Journal },
    { isShared = false }: ClustersOptions = {},
  ) {
    this.#isShared = isShared;
    this.#clock = components.host.clock;
    this.#store = components.store;
    this.#journal = components.journal;
    this.#wallOriginMs = this.#clock.wallTime() - this.#clock.now();
  }

  /**
   * Whole milliseconds since the Unix epoch, by the wall clock at the start, and monotonic since. Over restarts
   * it never goes back: leases, budgets and back-offs would else wait for a wall clock that was set back.
   */
  now(): number {
    return Math.floor(this.#wallOriginMs + this.#clock.now());
  }

  /** Reads everything from the store. */
  async load(): Promise<void> {
    for (const { value } of await this.#store.list('name/')) {
      const { uid } = value as { uid: string };
      const record = new ClusterRecord(uid);
      await this.#reload(record);
      if (record.ended) continue;
      this.#records.set(record.about.name, record);
      this.#wallOriginMs += Math.max(0, newestTime(record) - this.now());
    }
  }

  byName(name: string): ClusterRecord | undefined {
    return this.#records.get(name);
  }

  all(): readonly ClusterRecord[] {
    return [...this.#records.values()];
  }

  /** Calls `listener` after every commit; returns what ends that. */
  onChange(listener: (record: ClusterRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rejects ProblemError `cluster-exists`. Whatever comes in between, the cluster is there whole or not at all. */
  async create(name: string, uid: string, decision: Decided<undefined>): Promise<ClusterRecord> {
    const record = new ClusterRecord(uid);
    let committed: boolean;
    try {
      committed = await this.#make(record, name, decision);
    } catch (error) {
      this.#stale.delete(record);
      // The answer may have been lost after the commit: then the cluster is there, and must be looked after.
      const found = await this.#adopt(name);
      if (found?.uid === uid) return found;
      throw error;
    }
    if (!committed) {
      const found = await this.#adopt(name);
      if (found === undefined) throw new StoreError(`${name} took too long to be made: ask again`);
      throw new ProblemError({
        code: 'cluster-exists',
        detail: `there is a cluster ${name} already: delete it, or take another name`,
      });
    }
    this.#records.set(name, record);
    this.#tell(record);
    return record;
  }

  /** In one commit if it fits, or else the rows that make it a cluster last. */
  async #make(record: ClusterRecord, name: string, decision: Decided<undefined>): Promise<boolean> {
    const { uid } = record;
    const changes = decision.changes ?? [];
    const named = { key: `name/${name}`, expectedVersion: 0, put: { uid } };
    if (changes.length <= mostChanges) return this.#commit(record, name, decision, [named]);
    const last = changes.filter(({ table }) => table === 'about');
    const before = changes.filter(({ table }) => table !== 'about');
    if (!(await this.#store.commit([makingRow(uid, name, this.now())]))) return false;
    for (let first = 0; first < before.length; first += mostChanges) {
      const batch = { answer: undefined, changes: before.slice(first, first + mostChanges) };
      if (!(await this.#commit(record, name, batch, []))) return false;
    }
    return this.#commit(record, name, { ...decision, changes: last }, [named, madeRow(uid)]);
  }

  /** Takes up the cluster that the store has under a name, if any. */
  async #adopt(name: string): Promise<ClusterRecord | undefined> {
    const row = await this.#store.get(`name/${name}`);
    const known = this.#records.get(name);
    if (row === undefined || known !== undefined) return known;
    const record = new ClusterRecord((row.value as { uid: string }).uid);
    await this.#reload(record);
    if (record.ended) return undefined;
    this.#records.set(name, record);
    this.#tell(record);
    return record;
  }

  /**
   * Decides about a cluster and makes it so. Resolves with the decision's answer; rejects ProblemError if it
   * refuses (its events are kept all the same), StoreError if the store fails.
   */
  transact<A>(record: ClusterRecord, decide: (state: ClusterState, now: number) => Decision<A>): Promise<A> {
    return this.#turns.take(record.uid, async () => {
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        if (this.#stale.has(record)) await this.#reload(record);
        if (record.ended) throw gone(record);
        const decision = decide(record, this.now());
        if ('refusal' in decision && this.#mayBeOutdated(record)) {
          // A write would find out; a refusal writes nothing, and must not rest on what another process has changed.
          await this.#reload(record);
          continue;
        }
        if (await this.#commit(record, record.about.name, decision, [])) {
          if ((decision.events?.length ?? 0) > 0 || 'changes' in decision) this.#tell(record);
          if ('refusal' in decision) throw new ProblemError(decision.refusal);
          return decision.answer;
        }
        this.#stale.add(record);
      }
      throw new StoreError('the store changes faster than decisions can be made');
    });
  }

  /** Reads all clusters again: another process may have changed them for long. Rejects StoreError. */
  async refresh(): Promise<void> {
    await Promise.all(this.all().map((record) => this.#turns.take(record.uid, () => this.#reload(record))));
  }

  #mayBeOutdated(record: ClusterRecord): boolean {
    return (
      this.#isShared && this.#clock.now() - (this.#readAtMs.get(record) ?? Number.NEGATIVE_INFINITY) > freshMs
    );
  }

  /**
   * Ends a cluster in one commit. `sweep` removes what is left of it, its journal too, once streams have read its end.
   */
  end(record: ClusterRecord): Promise<void> {
    return this.#turns.take(record.uid, async () => {
      // An end whose answer was lost may have come about.
      if (this.#stale.has(record)) await this.#reload(record);
      if (record.ended) return;
      const { name } = record.about;
      const nameKey = `name/${name}`;
      const nameRow = await this.#store.get(nameKey);
      const aboutKey = record.key('about', single);
      const decision: Decision<undefined> = { answer: undefined, events: [{ kind: 'cluster-deleted' }] };
      const committed = await this.#commit(record, name, decision, [
        { key: aboutKey, expectedVersion: record.version(aboutKey), remove: true },
        { key: nameKey, expectedVersion: nameRow?.version ?? 0, remove: true },
        goneRow(record.uid, name),
      ]);
      if (!committed) {
        this.#stale.add(record);
        throw new StoreError(`${name} changed while it was being forgotten`);
      }
      record.ended = true;
      this.#records.delete(name);
      this.#tell(record);
    });
  }

  /** Removes what is left of clusters that ended, or were never made. */
  sweep(): Promise<void> {
    return sweepLeftovers({ store: this.#store, journal: this.#journal }, this.now());
  }

  /** A message came: what follows from it is stamped after it. `seen` is its stamp, if it had one. */
  receiveLamport(record: ClusterRecord, seen: number | undefined): void {
    if (seen !== undefined) this.mergeLamport(record, seen);
    record.lamport += 1;
  }

  /** The stamp of a message being sent. */
  sendLamport(record: ClusterRecord): number {
    record.lamport += 1;
    return record.lamport;
  }

  /** Takes over a Lamport time seen. */
  mergeLamport(record: ClusterRecord, lamport: number): void {
    if (lamport > record.lamport && lamport < record.lamport + largestLamportLead) record.lamport = lamport;
  }

  /** False, with nothing changed, if the store holds other versions. */
  async #commit(
    record: ClusterRecord,
    name: string,
    decision: Decision<unknown>,
    extra: readonly Write[],
  ): Promise<boolean> {
    const changes = 'changes' in decision ? (decision.changes ?? []) : [];
    const decided = decision.events ?? [];
    if (changes.length + decided.length + extra.length === 0) return true;
    const writes: Write[] = changes.map(({ table, id, value }) => {
      const key = record.key(table, id);
      const expectedVersion = record.version(key);
      return value === undefined
        ? { key, expectedVersion, remove: true }
        : { key, expectedVersion, put: value as unknown as Json };
    });
    const written = new Set([...writes, ...extra].map(({ key }) => key));
    // Whatever is decided about a cluster is so only as long as there is one.
    const guards = new Set(['about' as const, ...('guards' in decision ? (decision.guards ?? []) : [])]);
    for (const table of guards) {
      const key = record.key(table, single);
      if (!written.has(key)) writes.push({ key, expectedVersion: record.version(key) });
    }
    const events = decided.map((event) => this.#stamp(record, name, event));
    try {
      if (!(await this.#store.commit([...writes, ...extra], events))) return false;
    } catch (error) {
      if (error instanceof RangeError) throw new ProblemError({ code: 'too-large', detail: error.message });
      this.#stale.add(record);
      throw error;
    }
    for (const change of changes) record.apply(change);
    return true;
  }

  #stamp(record: ClusterRecord, name: string, event: DecidedEvent): NewEvent {
    if (event.lamport === undefined) record.lamport += 1;
    else this.mergeLamport(record, event.lamport);
    const { ageMs, ...told } = event;
    const atMs = this.now();
    return {
      ...told,
      clusterUid: record.uid,
      cluster: name,
      ...happening(ageMs, atMs),
      // No more than was merged: what is in the journal counts again after a restart.
      lamport: Math.min(event.lamport ?? record.lamport, record.lamport),
      data: event.data ?? {},
    };
  }

  async #reload(record: ClusterRecord): Promise<void> {
    const rows = await this.#whole(record);
    const { lamport } = await this.#journal.head(record.uid);
    this.#stale.delete(record);
    this.#readAtMs.set(record, this.#clock.now());
    const aboutKey = record.key('about', single);
    if (!rows.some(({ key }) => key === aboutKey)) {
      record.ended = true;
      for (const [name, known] of this.#records) if (known === record) this.#records.delete(name);
      this.#tell(record);
      return;
    }
    record.load(rows);
    record.lamport = Math.max(record.lamport, lamport);
    this.#tell(record);
  }

  /**
   * A cluster's rows, of one moment as far as slots and machines go: a list may come in parts, between which another
   * process replaces a machine.
   */
  async #whole({ uid }: ClusterRecord): Promise<readonly Row[]> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const rows = await this.#store.list(ClusterRecord.prefix(uid));
      if (!this.#isShared || isOfOneMoment(uid, rows)) return rows;
    }
    throw new StoreError('the store changes faster than it can be read');
  }

  #tell(record: ClusterRecord): void {
    for (const listener of [...this.#listeners]) listener(record);
  }
}

function isOfOneMoment(uid: string, rows: readonly Row[]): boolean {
  const read = new ClusterRecord(uid);
  read.load(rows);
  return [...read.slots.values()].every(({ slot, generation }) =>
    read.machines.has(machineKey(slot, generation)),
  );
}

/** When an event is written, and when it happened if that was earlier. */
function happening(ageMs: number | undefined, atMs: number): Pick<NewEvent, 'atMs' | 'happenedAtMs'> {
  if (ageMs === undefined) return { atMs };
  return { atMs, happenedAtMs: Math.max(0, Math.floor(atMs - ageMs)) };
}

/** The latest moment that the rows tell of. */
function newestTime({ about, lease, machines, redeployments, faults, tests }: ClusterState): number {
  let newestMs = Math.max(about.createdAtMs, lease.untilMs - about.spec.leaseMs);
  for (const { sinceMs } of machines.values()) newestMs = Math.max(newestMs, sinceMs);
  for (const { times } of redeployments.values()) newestMs = Math.max(newestMs, times.acceptedMs);
  for (const { injectedAtMs } of faults.values()) newestMs = Math.max(newestMs, injectedAtMs);
  for (const { startedAtMs } of tests.values()) newestMs = Math.max(newestMs, startedAtMs);
  return newestMs;
}

/** What is said of a cluster that is not, or no longer, there. */
export function gone(cluster: { readonly about?: { readonly name: string } } | string): ProblemError {
  const name = typeof cluster === 'string' ? cluster : cluster.about?.name;
  return new ProblemError({ code: 'not-found', detail: `there is no cluster ${name ?? 'of that name'}` });
}
