/**
 * Store and journal in one table of DynamoDB: for a control API whose machine may be lost, and for functions that
 * share its state.
 *
 * The table has the string keys `pk` and `sk` (dynamodb-keys.ts). A commit is one transaction with conditions: its
 * rows, the head of each journal that it adds to, and the events, packed. All reads are strongly consistent. `list` is
 * a Query of one partition; only a prefix that several partitions may have scans the table, which no path does that is
 * taken while clusters run. A call whose answer is lost is repeated with the same token, by which DynamoDB knows it for
 * ten minutes.
 */
import {
  type AttributeValue,
  BatchWriteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  TransactionCanceledException,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import type { ClusterEvent } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Clock, Random } from '@skep/p2p-core/host';
import { type Journal, type JournalHead, journalCapacity } from '../ports/journal.ts';
import { type Json, type NewEvent, type Row, type Store, StoreError, type Write } from '../ports/store.ts';
import { headKey, journalPartition, partitionOf, partitionOfAll, sequenceKey } from './dynamodb-keys.ts';
import { judgeCancellation, judgeFailure, type Transaction, transactionOf } from './dynamodb-transaction.ts';
import { type EncodedCommit, encodeCommit } from './encoded-commit.ts';
import { Subscribers } from './subscribers.ts';

export interface DynamoDbStoreComponents {
  readonly host: { readonly clock: Clock; readonly random: Random };
  readonly client: DynamoDBClient;
}

export interface DynamoDbStoreOptions {
  readonly table: string;
  /** Told, in sentences, of what went wrong without a caller to tell it to. */
  readonly onTrouble?: (message: string) => void;
}

type Item = Record<string, AttributeValue>;

const emptyHead: JournalHead = { sequence: 0, lamport: 0 };
/** With the waits between them, about ten seconds. */
const mostAttempts = 12;
const firstWaitMs = 20;
const longestWaitMs = 2_000;
const tokenBytes = 16;
/** BatchWriteItem takes no more. */
const batchSize = 25;
/** Events are trimmed when a sequence passes a multiple of this, not with each. */
const trimEvery = 1_000;

export class DynamoDbStore implements Store, Journal {
  readonly #client: DynamoDBClient;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #table: string;
  readonly #onTrouble: (message: string) => void;
  readonly #subscribers = new Subscribers();
  /** As last seen; a commit that relies on an old one is refused, and looks again. */
  readonly #heads = new Map<string, JournalHead>();
  readonly #trimming = new Set<Promise<void>>();

  constructor({ host, client }: DynamoDbStoreComponents, options: DynamoDbStoreOptions) {
    this.#client = client;
    this.#clock = host.clock;
    this.#random = host.random;
    this.#table = options.table;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
  }

  async get(key: string): Promise<Row | undefined> {
    const item = await this.#item(partitionOf(key), key);
    return item && rowOf(item);
  }

  async list(prefix: string): Promise<readonly Row[]> {
    const partition = partitionOfAll(prefix);
    const items = partition === undefined ? this.#scan(prefix) : this.#query(partition, startingWith(prefix));
    const rows: Row[] = [];
    for await (const item of items) rows.push(rowOf(item));
    // DynamoDB sorts by UTF-8, and a scan not at all.
    return rows.sort((one, other) => (one.key < other.key ? -1 : 1));
  }

  async commit(writes: readonly Write[], events: readonly NewEvent[] = []): Promise<boolean> {
    const commit = encodeCommit(writes, events);
    if (commit.writes.length + commit.events.length === 0) return true;
    const transaction = await this.#transact(commit);
    if (transaction === undefined) return false;
    for (const { clusterUid, before, after } of transaction.growths) {
      this.#heads.set(clusterUid, after);
      if (Math.floor(before.sequence / trimEvery) < Math.floor(after.sequence / trimEvery)) {
        this.#trim(clusterUid, after.sequence - journalCapacity);
      }
    }
    this.#subscribers.tell(events);
    return true;
  }

  async head(clusterUid: string): Promise<JournalHead> {
    const item = await this.#item(journalPartition(clusterUid), headKey);
    const head = item ? { sequence: number(item, 'sequence'), lamport: number(item, 'lamport') } : emptyHead;
    this.#heads.set(clusterUid, head);
    return head;
  }

  async read(clusterUid: string, after: number, limit: number): Promise<readonly ClusterEvent[]> {
    const found: ClusterEvent[] = [];
    const items = this.#query(journalPartition(clusterUid), { ...between(after + 1), Limit: limit });
    for await (const item of items) {
      const first = number(item, 'first');
      const packed = JSON.parse(text(item, 'events')) as Omit<ClusterEvent, 'sequence'>[];
      const events = packed.map((event, index): ClusterEvent => ({ ...event, sequence: first + index }));
      found.push(...events.filter(({ sequence }) => sequence > after));
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  subscribe(clusterUid: string, onAppended: () => void): () => void {
    return this.#subscribers.add(clusterUid, onAppended);
  }

  async forget(clusterUid: string): Promise<void> {
    this.#heads.delete(clusterUid);
    await this.#removeAll(this.#query(journalPartition(clusterUid), onlyKeys));
  }

  /** Waits for what is done in the background. The client is the caller's. */
  async close(): Promise<void> {
    await Promise.all(this.#trimming);
  }

  /** The transaction that was made; undefined if a row was not as expected. */
  async #transact(commit: EncodedCommit): Promise<Transaction | undefined> {
    let transaction = await this.#compose(commit);
    let token = this.#token();
    for (let attempt = 1; ; attempt++) {
      try {
        const TransactItems = transaction.items;
        await this.#client.send(new TransactWriteItemsCommand({ TransactItems, ClientRequestToken: token }));
        return transaction;
      } catch (error) {
        const verdict =
          error instanceof TransactionCanceledException
            ? judgeCancellation(error.CancellationReasons ?? [], transaction)
            : judgeFailure(error);
        if (verdict === 'row-changed') return undefined;
        if (verdict === 'refused') throw failed('will not write', error);
        if (attempt === mostAttempts) {
          throw failed(
            verdict === 'unknown' ? 'did not say whether it wrote' : 'is too busy to write',
            error,
          );
        }
        if (verdict === 'journal-moved') {
          for (const { clusterUid } of transaction.growths) this.#heads.delete(clusterUid);
          transaction = await this.#compose(commit);
        }
        if (verdict !== 'unknown') token = this.#token();
        await this.#wait(attempt);
      }
    }
  }

  async #compose(commit: EncodedCommit): Promise<Transaction> {
    for (const { clusterUid } of commit.events) {
      if (!this.#heads.has(clusterUid)) await this.head(clusterUid);
    }
    return transactionOf(this.#table, commit, this.#heads);
  }

  async #item(pk: string, sk: string): Promise<Item | undefined> {
    const { Item } = await this.#reading(() =>
      this.#client.send(
        new GetItemCommand({
          TableName: this.#table,
          Key: { pk: { S: pk }, sk: { S: sk } },
          ConsistentRead: true,
        }),
      ),
    );
    return Item;
  }

  /** Items of a partition in the order of `sk`. */
  async *#query(pk: string, which: Which): AsyncGenerator<Item> {
    let ExclusiveStartKey: Item | undefined;
    do {
      const page = await this.#reading(() =>
        this.#client.send(
          new QueryCommand({
            TableName: this.#table,
            ConsistentRead: true,
            ...which,
            KeyConditionExpression: ['pk = :pk', which.KeyConditionExpression].filter(Boolean).join(' AND '),
            ExpressionAttributeValues: { ...which.ExpressionAttributeValues, ':pk': { S: pk } },
            ...(ExclusiveStartKey && { ExclusiveStartKey }),
          }),
        ),
      );
      yield* page.Items ?? [];
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey !== undefined);
  }

  /** Rows of all partitions. */
  async *#scan(prefix: string): AsyncGenerator<Item> {
    let ExclusiveStartKey: Item | undefined;
    do {
      const page = await this.#reading(() =>
        this.#client.send(
          new ScanCommand({
            TableName: this.#table,
            ConsistentRead: true,
            FilterExpression: ['attribute_exists(#version)', prefix && 'begins_with(sk, :prefix)']
              .filter(Boolean)
              .join(' AND '),
            ExpressionAttributeNames: { '#version': 'version' },
            ...(prefix && { ExpressionAttributeValues: { ':prefix': { S: prefix } } }),
            ...(ExclusiveStartKey && { ExclusiveStartKey }),
          }),
        ),
      );
      yield* page.Items ?? [];
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey !== undefined);
  }

  #trim(clusterUid: string, upTo: number): void {
    if (upTo < 1) return;
    const old = this.#query(journalPartition(clusterUid), { ...between(1, upTo), ...onlyKeys });
    const done = this.#removeAll(old)
      // What is left of it goes with the next.
      .catch((error) => this.#onTrouble(`old events are not removed yet: ${String(error)}`))
      .finally(() => this.#trimming.delete(done));
    this.#trimming.add(done);
  }

  async #removeAll(items: AsyncIterable<Item>): Promise<void> {
    let batch: Item[] = [];
    for await (const { pk, sk } of items) {
      batch.push({ pk: pk!, sk: sk! });
      if (batch.length === batchSize) {
        await this.#removeBatch(batch);
        batch = [];
      }
    }
    if (batch.length > 0) await this.#removeBatch(batch);
  }

  async #removeBatch(keys: readonly Item[]): Promise<void> {
    let left = keys.map((Key) => ({ DeleteRequest: { Key } }));
    for (let attempt = 1; ; attempt++) {
      const { UnprocessedItems } = await this.#reading(() =>
        this.#client.send(new BatchWriteItemCommand({ RequestItems: { [this.#table]: left } })),
      );
      left = (UnprocessedItems?.[this.#table] ?? []) as typeof left;
      if (left.length === 0) return;
      if (attempt === mostAttempts) throw new StoreError('the table is too busy to remove items');
      await this.#wait(attempt);
    }
  }

  /** For calls that may be repeated at will. Rejects StoreError. */
  async #reading<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (judgeFailure(error) === 'refused' || attempt === mostAttempts)
          throw failed('does not answer', error);
        await this.#wait(attempt);
      }
    }
  }

  #wait(attempt: number): Promise<void> {
    const ceilingMs = Math.min(longestWaitMs, firstWaitMs * 2 ** attempt);
    return new Promise((resolve) => this.#clock.setTimer(this.#random.float() * ceilingMs, resolve));
  }

  #token(): string {
    return toHex(this.#random.bytes(tokenBytes));
  }
}

type Which = Partial<QueryCommandInput>;

const onlyKeys: Which = { ProjectionExpression: 'pk, sk' };

function startingWith(prefix: string): Which {
  return {
    KeyConditionExpression: 'begins_with(sk, :prefix)',
    ExpressionAttributeValues: { ':prefix': { S: prefix } },
  };
}

/** Items of events of which the last has a sequence between these. */
function between(from: number, to = Number.MAX_SAFE_INTEGER): Which {
  return {
    KeyConditionExpression: 'sk BETWEEN :from AND :to',
    ExpressionAttributeValues: { ':from': { S: sequenceKey(from) }, ':to': { S: sequenceKey(to) } },
  };
}

function rowOf(item: Item): Row {
  return {
    key: text(item, 'sk'),
    version: number(item, 'version'),
    value: JSON.parse(text(item, 'json')) as Json,
  };
}

function text(item: Item, attribute: string): string {
  const value = item[attribute]?.S;
  if (value === undefined) throw notOurs(item, attribute);
  return value;
}

function number(item: Item, attribute: string): number {
  const value = item[attribute]?.N;
  if (value === undefined) throw notOurs(item, attribute);
  return Number(value);
}

function notOurs({ pk, sk }: Item, attribute: string): StoreError {
  return new StoreError(`the item ${pk?.S} ${sk?.S} has no ${attribute}: the table holds what is not Skep's`);
}

function failed(what: string, error: unknown): StoreError {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new StoreError(`the table ${what} (${reason})`, { cause: error });
}
