/** A cluster that takes many transactions, made, struck and deleted by a control API over an emulated table. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createApiClient } from '@skep/contract';
import { createControlApi } from '@skep/control-api';
import { DynamoDbStore } from '@skep/control-api/stores';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { expect, it } from 'vitest';
import { MemoryLauncher } from '../../control-api/src/testing/memory-launcher.ts';
import { until } from '../chaos/waiting.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { createTable } from './table.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const adminToken = 'admin-token-of-the-tests';
const params = { cluster: 'bees' };
const peers = 120;
const nodes = peers + 3;
const patience = { timeoutMs: 120_000 };

it.skipIf(!hasMiniStack() && mayBeMissing)(
  'a cluster of more than a hundred nodes comes, restarts, and leaves nothing in the table',
  async () => {
    const emulator = await startMiniStack();
    const host = createNodeHost();
    const client = new DynamoDBClient({
      endpoint: emulator.url,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    const store = new DynamoDbStore({ host, client }, { table: 'skep' });
    const launcher = new MemoryLauncher();
    try {
      await createTable(client, 'skep');
      const api = await createControlApi(
        { host, store, journal: store, launcher },
        {
          adminToken,
          version: '1.2.3',
          baseUrl: () => 'http://127.0.0.1:1',
          masterSecret: new Uint8Array(32).fill(7),
          joinTimeoutMs: 1e9,
        },
      );
      await api.start();
      const admin = createApiClient({
        baseUrl: 'http://127.0.0.1:1',
        token: adminToken,
        fetch: async (url, { method, headers, body }) =>
          api.handler(new Request(url, { method, headers, ...(body !== undefined && { body }) }), {
            host: '127.0.0.1',
            port: 1,
          }),
      });
      await admin.createCluster({ body: { name: 'bees', peers, heal: [] } });
      await until('all to be launched', async () => (await launcher.list()).length === nodes, patience);
      const slots = (await admin.listNodes({ params })).map(({ slot }) => slot);
      await admin.injectFault({ params, body: { kind: 'restart', nodes: slots, disk: 'keep' } });
      const restarted = async () =>
        (await launcher.list()).filter(({ machine }) => machine.generation === 2).length === nodes;
      await until('all to be restarted', restarted, patience);
      expect(launcher.mostAlive).toBe(1);
      await admin.deleteCluster({ params });
      await until('the table to be empty', async () => (await store.list('')).length === 0, patience);
      expect(await launcher.list()).toEqual([]);
      await api.stop();
    } finally {
      await store.close();
      client.destroy();
      await host.close();
      await emulator.stop();
    }
  },
  400_000,
);
