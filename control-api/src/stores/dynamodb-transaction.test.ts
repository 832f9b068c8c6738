import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commitLimits } from '../ports/store.ts';
import { judgeCancellation, judgeFailure, transactionOf } from './dynamodb-transaction.ts';
import type { EncodedCommit } from './encoded-commit.ts';

const commit: EncodedCommit = {
  writes: [
    { key: 'cluster/u/slots/peer-1', expectedVersion: 0, text: '{"n":1}' },
    { key: 'cluster/u/about/one', expectedVersion: 4 },
    { key: 'name/bees', expectedVersion: 2, remove: true },
  ],
  events: [
    { clusterUid: 'u', lamport: 9, text: '{"kind":"one"}' },
    { clusterUid: 'u', lamport: 7, text: '{"kind":"two"}' },
  ],
};

describe('a commit as a transaction', () => {
  const transaction = transactionOf('table', commit, new Map([['u', { sequence: 5, lamport: 8 }]]));

  it('has its rows first, then the head and the events of each journal', () => {
    expect(transaction.items.map((item) => Object.keys(item)[0])).toEqual([
      'Put',
      'ConditionCheck',
      'Delete',
      'Put',
      'Put',
    ]);
    expect(transaction.rowCount).toBe(3);
    expect(transaction.items[0]?.Put).toMatchObject({
      Item: {
        pk: { S: 'cluster/u/' },
        sk: { S: 'cluster/u/slots/peer-1' },
        version: { N: '1' },
        json: { S: '{"n":1}' },
      },
      ConditionExpression: 'attribute_not_exists(pk)',
    });
    expect(transaction.items[2]?.Delete).toMatchObject({
      Key: { pk: { S: 'name/' }, sk: { S: 'name/bees' } },
      ExpressionAttributeValues: { ':expected': { N: '2' } },
    });
  });

  it('gives the events the sequences after the head, which must not have moved', () => {
    expect(transaction.items[3]?.Put).toMatchObject({
      Item: { sk: { S: 'head' }, sequence: { N: '7' }, lamport: { N: '9' } },
      ConditionExpression: '#sequence = :before',
      ExpressionAttributeValues: { ':before': { N: '5' } },
    });
    expect(transaction.items[4]?.Put?.Item).toMatchObject({
      pk: { S: 'events/u' },
      sk: { S: '0000000000000007' },
      first: { N: '6' },
      events: { S: '[{"kind":"one"},{"kind":"two"}]' },
    });
  });

  it('packs events into items that are small enough', () => {
    const text = JSON.stringify({ kind: 'x'.repeat(150_000) });
    const events = Array.from({ length: 5 }, () => ({ clusterUid: 'u', lamport: 1, text }));
    const heads = new Map([['u', { sequence: 0, lamport: 0 }]]);
    const { items } = transactionOf('table', { writes: [], events }, heads);
    const packs = items.slice(1).map((item) => item.Put!.Item!);
    expect(packs.map(({ first, sk }) => [first!.N, Number(sk!.S)])).toEqual([
      ['1', 2],
      ['3', 4],
      ['5', 5],
    ]);
  });
});

it('the largest commit there may be has no more actions than a transaction, however its events fit together', () => {
  const mostActions = 100;
  const heads = new Map(['u', 'v'].map((uid) => [uid, { sequence: 0, lamport: 0 }]));
  const writes = Array.from({ length: commitLimits.writes }, (_, n) => ({
    key: `a/${n}`,
    expectedVersion: 1,
  }));
  const sizes = fc.array(fc.integer({ min: 1, max: commitLimits.valueBytes }), {
    minLength: 1,
    maxLength: 200,
  });
  const halves = sizes.map((each) => each.map((size) => (size > 1_000 ? 190_001 : size)));
  fc.assert(
    fc.property(fc.oneof(sizes, halves), fc.nat(199), (lengths, ofFirst) => {
      let left = commitLimits.bytes as number;
      const events = lengths.flatMap((length, index) => {
        left -= length;
        const clusterUid = index < ofFirst ? 'u' : 'v';
        return left < 0 ? [] : [{ clusterUid, lamport: 1, text: 'x'.repeat(length) }];
      });
      const { items } = transactionOf('table', { writes, events }, heads);
      expect(items.length).toBeLessThanOrEqual(mostActions);
    }),
    { numRuns: 50 },
  );
});

describe('what a refusal means', () => {
  const transaction = { items: [], rowCount: 2, growths: [] };
  it.each([
    ['row-changed', ['None', 'ConditionalCheckFailed', 'None']],
    ['row-changed', ['TransactionConflict', 'ConditionalCheckFailed', 'ConditionalCheckFailed']],
    ['journal-moved', ['None', 'None', 'ConditionalCheckFailed']],
    ['journal-moved', ['None', 'TransactionConflict', 'ConditionalCheckFailed']],
    ['busy', ['None', 'TransactionConflict', 'None']],
    ['busy', ['ThrottlingError', 'None', 'None']],
    ['busy', ['None', 'None', 'ProvisionedThroughputExceeded']],
    ['refused', ['None', 'ValidationError', 'None']],
    ['refused', ['None', 'ItemCollectionSizeLimitExceeded', 'None']],
  ] as const)('%s, of %j', (meaning, codes) => {
    expect(
      judgeCancellation(
        codes.map((Code) => ({ Code })),
        transaction,
      ),
    ).toBe(meaning);
  });

  it.each([
    ['busy', 'ThrottlingException', 400],
    ['busy', 'ProvisionedThroughputExceededException', 400],
    ['unknown', 'TransactionInProgressException', 400],
    ['unknown', 'InternalServerError', 500],
    ['unknown', 'TimeoutError', undefined],
    ['refused', 'ResourceNotFoundException', 400],
    ['refused', 'AccessDeniedException', 400],
    ['refused', 'ValidationException', 400],
  ] as const)('%s, of %s', (meaning, name, httpStatusCode) => {
    expect(judgeFailure({ name, $metadata: httpStatusCode === undefined ? {} : { httpStatusCode } })).toBe(
      meaning,
    );
  });
});
