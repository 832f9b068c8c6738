/**
 * Where rows and journals lie in the table. The partition key `pk` is what lists are made of, so that each is a Query
 * of one partition; the sort key `sk` of a row is its whole key.
 *
 * | what                              | pk               | sk                                     |
 * | --------------------------------- | ---------------- | -------------------------------------- |
 * | row `cluster/<uid>/<table>/<id>`  | `cluster/<uid>/` | the key                                |
 * | row `<kind>/<rest>`               | `<kind>/`        | the key                                |
 * | row with no slash in its key      | `/`              | the key                                |
 * | events of a cluster               | `events/<uid>`   | sequence of the last one in the item   |
 * | head of a cluster's journal       | `events/<uid>`   | `head`                                 |
 */

const sequenceDigits = String(Number.MAX_SAFE_INTEGER).length;

/** Sorts after those of all events. */
export const headKey = 'head';

export function partitionOf(key: string): string {
  const [kind, uid, ...rest] = key.split('/');
  if (uid === undefined) return '/';
  return kind === 'cluster' && rest.length > 0 ? `cluster/${uid}/` : `${kind}/`;
}

/** The one partition that has all keys with this prefix; undefined if there may be several. */
export function partitionOfAll(prefix: string): string | undefined {
  const [kind, ...rest] = prefix.split('/');
  if (kind === 'cluster') return rest.length > 1 ? partitionOf(prefix) : undefined;
  return rest.length > 0 ? `${kind}/` : undefined;
}

export function journalPartition(clusterUid: string): string {
  return `events/${clusterUid}`;
}

/** Sorts as the numbers do. */
export function sequenceKey(sequence: number): string {
  return String(sequence).padStart(sequenceDigits, '0');
}
