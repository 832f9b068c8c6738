/**
 * What is in the store of clusters that are not, or no longer, there. A commit is bounded, a cluster is not: a large
 * one is made in several commits and is there with the last of them, which writes its `about` row and its name; it is
 * gone with the commit that removes these two. What lies before the one and after the other is named by the row
 * `gone/<uid>`, which is written before there is anything to remove and removed after all of it, so that no crash
 * leaves rows that nobody knows of.
 */
import { ClusterRecord } from './cluster-record.ts';
import type { Journal } from './ports/journal.ts';
import { commitLimits, type Row, type Store, type Write } from './ports/store.ts';

/** Names leftovers of a cluster. With `makingSinceMs` they may yet become one. */
interface Leftovers {
  readonly name: string;
  readonly makingSinceMs?: number;
}

/** A cluster that takes longer to be made was left so by a process that is gone. */
const makingPatienceMs = 600_000;

export function leftoversKey(uid: string): string {
  return `gone/${uid}`;
}

/** From now on there may be rows of a cluster that is being made. */
export function makingRow(uid: string, name: string, now: number): Write {
  return { key: leftoversKey(uid), expectedVersion: 0, put: { name, makingSinceMs: now } };
}

/** There is such a cluster now. Conflicts if its rows have been given up meanwhile. */
export function madeRow(uid: string): Write {
  return { key: leftoversKey(uid), expectedVersion: 1, remove: true };
}

/** There is no such cluster any more. */
export function goneRow(uid: string, name: string): Write {
  return { key: leftoversKey(uid), expectedVersion: 0, put: { name } };
}

/** Removes what it finds, in as many commits as it takes. What others are at work on is left for the next time. */
export async function sweepLeftovers(
  components: { store: Store; journal: Journal },
  now: number,
): Promise<void> {
  for (const row of await components.store.list(leftoversKey(''))) await sweepCluster(components, row, now);
}

async function sweepCluster(
  { store, journal }: { store: Store; journal: Journal },
  { key, version, value }: Row,
  now: number,
): Promise<void> {
  const { name, makingSinceMs } = value as unknown as Leftovers;
  let expectedVersion = version;
  if (makingSinceMs !== undefined) {
    if (now - makingSinceMs < makingPatienceMs) return;
    // From this commit on the cluster cannot be made any more.
    if (!(await store.commit([{ key, expectedVersion, put: { name } }]))) return;
    expectedVersion += 1;
  }
  const uid = key.slice(leftoversKey('').length);
  const rows = await store.list(ClusterRecord.prefix(uid));
  for (let first = 0; first < rows.length; first += commitLimits.writes) {
    const batch = rows.slice(first, first + commitLimits.writes);
    if (!(await store.commit(batch.map(removal)))) return;
  }
  await journal.forget(uid);
  await store.commit([{ key, expectedVersion, remove: true }]);
}

function removal({ key, version }: Row): Write {
  return { key, expectedVersion: version, remove: true };
}
