/** The store on DynamoDB, against two emulators: what every store promises, and what only this one has to. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { journalCapacity, StoreError, type Write } from '@skep/control-api';
import { describeStore, event } from '@skep/control-api/store-compliance';
import { DynamoDbStore } from '@skep/control-api/stores';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Emulator } from './emulator.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { hasMoto, startMoto } from './moto.ts';
import { createTable } from './table.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const host = createNodeHost();
let tables = 0;

afterAll(() => host.close());

describe.each([
  ['MiniStack', hasMiniStack(), startMiniStack],
  ['moto', hasMoto(), startMoto],
] as const)('on %s', (name, isThere, start) => {
  describe.skipIf(!isThere && mayBeMissing)('the store', () => {
    let emulator: Emulator;
    let client: DynamoDBClient;
    let turn: Promise<unknown> = Promise.resolve();
    const clientOf = ({ url }: Emulator): DynamoDBClient => {
      const made = new DynamoDBClient({
        endpoint: url,
        region: 'eu-central-1',
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      });
      // Moto undoes a transaction by putting back the whole table as it was, with what others wrote meanwhile.
      if (name === 'moto') {
        const inTurn = <T>(call: () => Promise<T>): Promise<T> => {
          const done = turn.then(call, call);
          turn = done.catch(() => undefined);
          return done;
        };
        made.middlewareStack.add((next) => (args) => inTurn(() => next(args)), { step: 'finalizeRequest' });
      }
      return made;
    };
    beforeAll(async () => {
      emulator = await start();
      client = clientOf(emulator);
    }, 180_000);
    afterAll(async () => {
      client?.destroy();
      await emulator?.stop();
    });

    describeStore('DynamoDbStore', async () => {
      const store = new DynamoDbStore({ host, client }, { table: await makeTable(client) });
      return { store, close: () => store.close() };
    });

    describe('beyond what every store promises', () => {
      let table: string;
      let own: DynamoDBClient;
      let store: DynamoDbStore;
      beforeEach(async () => {
        table = await makeTable(client);
        own = clientOf(emulator);
        store = new DynamoDbStore({ host, client: own }, { table });
        return async () => {
          await store.close();
          own.destroy();
        };
      });

      it('shares a table with another process: one order of events, one winner a row', async () => {
        const other = new DynamoDbStore({ host, client }, { table });
        const outcomes = await Promise.all(
          [store, other].flatMap((each) =>
            Array.from({ length: 10 }, (_, n) =>
              each.commit([{ key: `row/${n}`, expectedVersion: 0, put: n }], [event('u', 'written')]),
            ),
          ),
        );
        expect(outcomes.filter(Boolean)).toHaveLength(10);
        const sequences = (await store.read('u', 0, 100)).map(({ sequence }) => sequence);
        expect(sequences).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      }, 60_000);

      it('lists without a scan what is listed while clusters run', async () => {
        const asked: string[] = [];
        own.middlewareStack.add(
          (next, context) => (args) => {
            asked.push(String(context.commandName));
            return next(args);
          },
          { step: 'initialize' },
        );
        for (const prefix of ['name/', 'gone/', 'order/', 'cluster/u/', 'cluster/u/slots/']) {
          await store.list(prefix);
        }
        await store.get('heartbeat/control-api');
        await store.read('u', 0, 10);
        expect(new Set(asked)).toEqual(new Set(['QueryCommand', 'GetItemCommand']));
      });

      it('lists more than one answer holds', async () => {
        const put = 'x'.repeat(40_000);
        for (let batch = 0; batch < 2; batch++) {
          const writes = Array.from({ length: 40 }, (_, n) => {
            return { key: `cluster/u/slots/${batch}-${n}`, expectedVersion: 0, put };
          });
          await store.commit(writes);
        }
        expect(await store.list('cluster/u/')).toHaveLength(80);
        expect(await store.list('')).toHaveLength(80);
      }, 60_000);

      it.each([
        ['is too busy', 'ThrottlingException', 400],
        ['conflicts with itself', 'TransactionInProgressException', 400],
        ['fails inside', 'InternalServerError', 500],
      ])('tries again when the table %s', async (_, errorName, httpStatusCode) => {
        let left = 3;
        own.middlewareStack.add(
          (next) => (args) => {
            left -= 1;
            if (left >= 0) {
              throw Object.assign(new Error('not now'), { name: errorName, $metadata: { httpStatusCode } });
            }
            return next(args);
          },
          { step: 'initialize' },
        );
        expect(await store.commit([{ key: 'a', expectedVersion: 0, put: 1 }])).toBe(true);
        expect(left).toBe(-1);
        expect((await store.get('a'))?.value).toBe(1);
      });

      it('says so when it may not write', async () => {
        const nowhere = new DynamoDbStore({ host, client }, { table: 'missing' });
        const write: Write = { key: 'a', expectedVersion: 0, put: 1 };
        await expect(nowhere.commit([write])).rejects.toThrow(StoreError);
        await expect(nowhere.list('name/')).rejects.toThrow(/the table does not answer \(ResourceNotFound/);
      });

      // Moto knows nothing of ClientRequestToken.
      it.skipIf(name === 'moto')('makes a commit once whose answer is lost', async () => {
        let lost = 0;
        own.middlewareStack.add(
          (next) => async (args) => {
            const answer = await next(args);
            lost += 1;
            if (lost <= 2) throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError' });
            return answer;
          },
          { step: 'initialize', name: 'loseAnswers' },
        );
        // The first answer that is lost is that of reading the journal's head.
        const write: Write = { key: 'a', expectedVersion: 0, put: 1 };
        expect(await store.commit([write], [event('u', 'one')])).toBe(true);
        expect(await store.commit([{ ...write, expectedVersion: 1, put: 2 }], [event('u', 'two')])).toBe(
          true,
        );
        expect((await store.read('u', 0, 10)).map(({ sequence }) => sequence)).toEqual([1, 2]);
        expect(await store.get('a')).toEqual({ key: 'a', version: 2, value: 2 });
        expect(lost).toBeGreaterThan(2);
      });

      it.skipIf(name === 'moto')(
        'keeps as many events as a journal may have',
        async () => {
          const batch = Array.from({ length: 200 }, () => event('u', 'counted'));
          const commits = journalCapacity / batch.length + 5;
          for (let n = 0; n < commits; n++) await store.commit([], batch);
          await store.close();
          expect((await store.head('u')).sequence).toBe(journalCapacity + 1_000);
          const [oldest] = await store.read('u', 0, 1);
          expect(oldest?.sequence).toBe(1_001);
        },
        180_000,
      );
    });
  });
});

async function makeTable(client: DynamoDBClient): Promise<string> {
  tables += 1;
  const name = `skep-${tables}`;
  await createTable(client, name);
  return name;
}
