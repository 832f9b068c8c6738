/**
 * The control API of a deployment as a process: its state in an emulated table, its secrets in an emulated Secrets
 * Manager, TLS towards its machines, which are processes here. It is killed, and comes back to what it had; and an agent
 * that was given another certificate has nothing to do with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateHostedZoneCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type AgentConfig, type ApiClient, ClusterSpec, createApiClient, tableKeys } from '@skep/contract';
import type { Json } from '@skep/control-api';
import { DynamoDbStore } from '@skep/control-api/stores';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { identityOf } from '../../control-api/src/main/identity.ts';
import { until } from '../chaos/waiting.ts';
import { type Emulator, freePort } from './emulator.ts';
import type { Instance } from './front/instances.ts';
import { Metadata } from './front/metadata.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { createTable } from './table.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const controlApi = fileURLToPath(new URL('../../control-api/src/main.ts', import.meta.url));
const agent = fileURLToPath(new URL('../../node-agent/src/main.ts', import.meta.url));
const adminToken = 'a'.repeat(64);
const seed = 's'.repeat(64);
/** The name of its certificate, which every machine can resolve. */
const name = 'localhost';
const zone = 'skep.internal';
const table = 'skep';
const region = 'eu-central-1';
const ownAddress = '10.64.16.9';
const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 1, peers: 1 });
const params = { cluster: 'bees' };
const patience = { timeoutMs: 120_000 };

// Real processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

describe.skipIf(!hasMiniStack() && mayBeMissing)('the control API of a deployment', () => {
  const host = createNodeHost();
  const directory = mkdtempSync(join(tmpdir(), 'skep-deployment-'));
  const children: ChildProcess[] = [];
  let emulator: Emulator;
  let metadata: ReturnType<typeof serveMetadata>;
  let store: DynamoDbStore;
  let environment: Record<string, string>;
  let port: number;
  let zoneId: string;
  let route53: Route53Client;

  beforeAll(async () => {
    emulator = await startMiniStack();
    metadata = serveMetadata();
    const options = {
      endpoint: emulator.url,
      region,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const client = new DynamoDBClient(options);
    await createTable(client, table);
    store = new DynamoDbStore({ host, client }, { table });
    const secrets = new SecretsManagerClient(options);
    await secrets.send(
      new CreateSecretCommand({ Name: 'admin', SecretString: jsonOf({ token: adminToken }) }),
    );
    await secrets.send(new CreateSecretCommand({ Name: 'identity', SecretString: jsonOf({ seed }) }));
    route53 = new Route53Client(options);
    const { HostedZone } = await route53.send(
      new CreateHostedZoneCommand({ Name: zone, CallerReference: 'once' }),
    );
    zoneId = HostedZone!.Id!.replace('/hostedzone/', '');
    port = await freePort();
    environment = {
      PATH: process.env.PATH!,
      ...emulator.environment,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: await metadata.url,
      SKEP_STORE: 'dynamodb',
      SKEP_RUNNER: 'process',
      SKEP_STATE_DIRECTORY: directory,
      SKEP_LISTEN: `127.0.0.1:${port}`,
      SKEP_LOCAL_LISTEN: '127.0.0.1:0',
      SKEP_TABLE: table,
      SKEP_ADMIN_SECRET: 'admin',
      SKEP_IDENTITY_SECRET: 'identity',
      SKEP_NAME: name,
    };
  });
  afterAll(async () => {
    for (const child of children) await kill(child);
    metadata?.close();
    await emulator?.stop();
    await host.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function start(
    more: Record<string, string> = {},
  ): Promise<{ child: ChildProcess; client: ApiClient }> {
    const child = spawn(process.execPath, [controlApi], {
      env: { ...environment, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    const errors = gather(child.stderr!);
    const ended = once(child, 'exit').then(() => {
      throw new Error(errors());
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), ended])) as [string];
    ended.catch(() => undefined);
    const { url, localUrl } = JSON.parse(line) as { url: string; localUrl: string };
    expect(url).toBe(`https://${name}:${port}`);
    return {
      child,
      client: createApiClient({ baseUrl: localUrl, token: adminToken, fetch: (to, init) => fetch(to, init) }),
    };
  }

  const serving = (client: ApiClient) =>
    until(
      'every node to serve',
      async () => {
        const nodes = await client.listNodes({ params });
        return (
          nodes.every(({ state, heardAgoMs }) => state === 'serving' && heardAgoMs !== undefined) && nodes
        );
      },
      patience,
    );

  /** The status of what somebody without a token is answered where machines are. */
  const overTls = (path: string) =>
    new Promise((resolve, reject) => {
      const ca = identityOf(seed, name).server.certificate;
      const asked = get({ host: name, port, path, ca }, (answer) => resolve(answer.resume().statusCode));
      asked.on('error', reject);
    });

  it('keeps all it has in the table, and comes back to it after kill -9', async () => {
    const before = await start({ SKEP_NAME: name });
    const { uid } = await before.client.createCluster({ body: spec });
    const nodes = await serving(before.client);
    const text = await (
      await before.client.nodeLogs({ params: { ...params, slot: 'peer-1' }, query: {} })
    ).text();
    expect(text).toContain('serving');
    expect((await store.list(`cluster/${uid}/slots/`)).map(({ value }) => value)).toMatchObject([
      { slot: 'bootstrap-1' },
      { slot: 'peer-1' },
    ]);
    const anonymously = ['/healthz', '/', '/docs', '/openapi.json', '/v1/clusters'].map(overTls);
    expect(await Promise.all(anonymously)).toEqual([200, 404, 404, 404, 401]);
    await kill(before.child);
    const after = await start();
    expect((await after.client.getCluster({ params })).uid).toBe(uid);
    const again = await serving(after.client);
    const lives = (each: typeof nodes) =>
      each.map(({ slot, generation, machine }) => [slot, generation, machine]);
    expect(lives(again)).toEqual(lives(nodes));
    const events = await after.client.listEvents({ params, query: { limit: 100 } });
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    await after.client.deleteCluster({ params });
    await until('nothing to be left', async () => (await store.list('cluster/')).length === 0, patience);
    await kill(after.child);
  });

  it('does nothing for an agent that was given another certificate, and that one nothing for it', async () => {
    const { child, client } = await start();
    await client.createCluster({ body: spec });
    const [first] = await serving(client);
    const known = identityOf(seed, name).server.certificate;
    const stranger = identityOf('t'.repeat(64), name).server.certificate;
    const said = async (apiCertificate: string) => {
      const own = mkdtempSync(join(directory, 'agent-'));
      const path = join(own, 'config.json');
      writeFileSync(path, jsonOf(await configFor(client, apiCertificate, own)), { mode: 0o600 });
      const lone = spawn(process.execPath, [agent], {
        env: { PATH: process.env.PATH, SKEP_CONFIG: path },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(lone);
      const text = gather(lone.stdout!);
      await once(lone, 'exit');
      return text();
    };
    // Its join secret is nobody's, so the control API refuses it, which it can only hear if it trusts the certificate.
    expect(await said(known)).toContain('"reason":"refused"');
    const unheard = await said(stranger);
    expect(unheard).toContain('not among those trusted');
    expect(unheard).toContain('"reason":"orphaned"');
    expect((await serving(client))[0]?.machine).toBe(first!.machine);
    await client.deleteCluster({ params });
    await until('nothing to be left', async () => (await store.list('cluster/')).length === 0, patience);
    await kill(child);
  });

  it('says that it lives, carries out what functions order, and has its name lead to it', async () => {
    const named = `control-api.${zone}`;
    const child = spawn(process.execPath, [controlApi], {
      env: { ...environment, SKEP_NAME: named, SKEP_HOSTED_ZONE: zoneId },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const order = { ask: { kind: 'run-tests', cluster: 'none' }, askedAtMs: Date.now(), state: 'asked' };
    await store.commit([{ key: tableKeys.order('a'), expectedVersion: 0, put: order as Json }]);
    await until(
      'the order to be carried out',
      async () => {
        const { value } = (await store.get(tableKeys.order('a')))!;
        return (value as { state: string }).state === 'failed';
      },
      patience,
    );
    const { atMs } = (await store.get(tableKeys.heartbeat))!.value as { atMs: number };
    expect(Date.now() - atMs).toBeLessThan(60_000);
    const record = await until('the record', async () => {
      const { ResourceRecordSets = [] } = await route53.send(
        new ListResourceRecordSetsCommand({ HostedZoneId: zoneId }),
      );
      return ResourceRecordSets.find(({ Type }) => Type === 'A');
    });
    expect(record).toMatchObject({ Name: `${named}.`, TTL: 5, ResourceRecords: [{ Value: ownAddress }] });
    await kill(child);
  });

  it('does not begin without what it needs, and says what', async () => {
    const said = async (more: Record<string, string>) => {
      const child = spawn(process.execPath, [controlApi], {
        env: { ...environment, ...more },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      children.push(child);
      const text = gather(child.stderr!);
      await once(child, 'exit');
      return text();
    };
    expect(await said({ SKEP_TABLE: '' })).toContain('SKEP_TABLE must be set');
    expect(await said({ SKEP_ADMIN_SECRET: 'missing' })).toContain('the secret missing cannot be read');
    expect(await said({ SKEP_LOCAL_LISTEN: '0.0.0.0:0' })).toContain('can be reached by others');
    expect(await said({ SKEP_STORE: 'paper' })).toContain('give sqlite or dynamodb');
  });

  /** Of an agent that was never launched, in a place of its own. */
  async function configFor(client: ApiClient, apiCertificate: string, own: string): Promise<AgentConfig> {
    const { uid } = await client.getCluster({ params });
    return {
      apiUrl: `https://${name}:${port}`,
      apiCertificate,
      cluster: spec.name,
      clusterUid: uid,
      slot: 'peer-1',
      role: 'peer',
      generation: 1,
      attempt: 2,
      joinSecret: '0'.repeat(64),
      listen: { host: '127.0.0.1', port: await freePort() },
      healthPort: await freePort(),
      dataDirectory: join(own, 'data'),
      reportIntervalMs: 100,
      graceMs: 500,
      orphanMs: 3_000,
      uploadBytesPerSecond: 0,
      downloadBytesPerSecond: 0,
    };
  }
});

/** The metadata service of the instance that the control API believes itself on. */
function serveMetadata() {
  const service = new Metadata({ region, account: '0', nowMs: () => Date.now() });
  const instance = { instanceId: 'i-1', address: ownAddress, launch: {}, subnet: {} } as Instance;
  const server = createServer(({ method = '', url: path = '', headers }, response) => {
    const { status, body } = service.answer(instance, { method, path, headers });
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  const url = once(server, 'listening').then(
    () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
  return { url, close: () => server.close() };
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value);
}

/** What a stream has said so far. */
function gather(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (data) => {
    text += data;
  });
  return () => text;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
