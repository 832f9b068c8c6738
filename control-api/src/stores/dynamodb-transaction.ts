/** What one commit is as a transaction of DynamoDB, and what its refusals mean. Pure: the calls are in dynamodb.ts. */
import type { CancellationReason, TransactWriteItem } from '@aws-sdk/client-dynamodb';
import type { JournalHead } from '../ports/journal.ts';
import { headKey, journalPartition, partitionOf, sequenceKey } from './dynamodb-keys.ts';
import type { EncodedCommit, EncodedEvent, EncodedWrite } from './encoded-commit.ts';

/** An item holds at most 400 KB, its keys and numbers counted. */
const mostEventTextBytes = 380_000;
const encoder = new TextEncoder();

export interface JournalGrowth {
  readonly clusterUid: string;
  readonly before: JournalHead;
  readonly after: JournalHead;
}

export interface Transaction {
  /** Rows first, in the order of the commit; then each journal's head and its events. */
  readonly items: TransactWriteItem[];
  readonly rowCount: number;
  readonly growths: readonly JournalGrowth[];
}

/** `heads` has the head of every journal that the commit adds to. */
export function transactionOf(
  table: string,
  commit: EncodedCommit,
  heads: ReadonlyMap<string, JournalHead>,
): Transaction {
  const byCluster = Map.groupBy(commit.events, ({ clusterUid }) => clusterUid);
  const growths = [...byCluster].map(([clusterUid, events]): JournalGrowth => {
    const before = heads.get(clusterUid)!;
    const lamport = Math.max(before.lamport, ...events.map((event) => event.lamport));
    return { clusterUid, before, after: { sequence: before.sequence + events.length, lamport } };
  });
  const items = [
    ...commit.writes.map((write) => rowItem(table, write)),
    ...growths.flatMap((growth) => [
      headItem(table, growth),
      ...eventItems(table, growth, byCluster.get(growth.clusterUid)!),
    ]),
  ];
  return { items, rowCount: commit.writes.length, growths };
}

function rowItem(table: string, { key, expectedVersion, text, remove }: EncodedWrite): TransactWriteItem {
  const at = { TableName: table, Key: { pk: { S: partitionOf(key) }, sk: { S: key } } };
  const condition =
    expectedVersion === 0
      ? { ConditionExpression: 'attribute_not_exists(pk)' }
      : {
          ConditionExpression: '#version = :expected',
          ExpressionAttributeNames: { '#version': 'version' },
          ExpressionAttributeValues: { ':expected': { N: String(expectedVersion) } },
        };
  if (remove) return { Delete: { ...at, ...condition } };
  if (text === undefined) return { ConditionCheck: { ...at, ...condition } };
  const Item = { ...at.Key, version: { N: String(expectedVersion + 1) }, json: { S: text } };
  return { Put: { TableName: table, Item, ...condition } };
}

/** Only whoever saw the newest event may add the next one: sequences have no gaps. */
function headItem(table: string, { clusterUid, before, after }: JournalGrowth): TransactWriteItem {
  const Item = {
    pk: { S: journalPartition(clusterUid) },
    sk: { S: headKey },
    sequence: { N: String(after.sequence) },
    lamport: { N: String(after.lamport) },
  };
  if (before.sequence === 0) {
    return { Put: { TableName: table, Item, ConditionExpression: 'attribute_not_exists(pk)' } };
  }
  return {
    Put: {
      TableName: table,
      Item,
      ConditionExpression: '#sequence = :before',
      ExpressionAttributeNames: { '#sequence': 'sequence' },
      ExpressionAttributeValues: { ':before': { N: String(before.sequence) } },
    },
  };
}

/** As few items as hold the events: a transaction has room for a hundred actions. */
function eventItems(
  table: string,
  { clusterUid, before }: JournalGrowth,
  events: readonly EncodedEvent[],
): TransactWriteItem[] {
  const packs: string[][] = [];
  let roomBytes = 0;
  for (const { text } of events) {
    const bytes = encoder.encode(text).length + 1;
    if (bytes > roomBytes) {
      packs.push([]);
      roomBytes = mostEventTextBytes;
    }
    packs.at(-1)!.push(text);
    roomBytes -= bytes;
  }
  let sequence = before.sequence;
  return packs.map((texts) => {
    const first = sequence + 1;
    sequence += texts.length;
    const Item = {
      pk: { S: journalPartition(clusterUid) },
      sk: { S: sequenceKey(sequence) },
      first: { N: String(first) },
      events: { S: `[${texts.join(',')}]` },
    };
    return { Put: { TableName: table, Item, ConditionExpression: 'attribute_not_exists(pk)' } };
  });
}

/**
 * Why nothing was written. `row-changed`: a row was not as expected. `journal-moved`: another process added events.
 * `busy`: others were writing the same items, or too much is being written. `refused`: it never will be.
 */
export type Cancellation = 'row-changed' | 'journal-moved' | 'busy' | 'refused';

const conditionFailed = 'ConditionalCheckFailed';
const passing: readonly (string | undefined)[] = [
  'TransactionConflict',
  'ThrottlingError',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
];

/** `reasons` are in the order of the transaction's items. */
export function judgeCancellation(
  reasons: readonly CancellationReason[],
  { rowCount }: Transaction,
): Cancellation {
  const codes = reasons.map(({ Code }) => Code);
  if (codes.slice(0, rowCount).includes(conditionFailed)) return 'row-changed';
  if (codes.slice(rowCount).includes(conditionFailed)) return 'journal-moved';
  return codes.some((code) => passing.includes(code)) ? 'busy' : 'refused';
}

/**
 * What an error other than a cancellation says of a call. `busy`: nothing was done, try again. `unknown`: ask again
 * with the same token, for it may have been done. `refused`: nothing was done, nor will be.
 */
export function judgeFailure(error: unknown): 'busy' | 'unknown' | 'refused' {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  if (name !== undefined && busyErrors.includes(name)) return 'busy';
  if (name === 'TransactionInProgressException') return 'unknown';
  const status = $metadata?.httpStatusCode;
  return status === undefined || status >= 500 ? 'unknown' : 'refused';
}

const busyErrors = [
  'ThrottlingException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'TransactionConflictException',
];
