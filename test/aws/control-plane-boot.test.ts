/**
 * What the control plane's user data becomes on a machine with cloud-init, systemd and Docker for real: a control API that
 * serves with TLS and reads its state and secrets from AWS (here MiniStack), and that is there again when it was killed.
 */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderControlApiUserData } from '../../infra/lib/control-api-boot.ts';
import { hasEngine, productImage } from '../containers/image.ts';
import { type Emulator, emulatorRegion } from './emulator.ts';
import { Machine, until } from './machine/machines.ts';
import { hasRegistry, Registry } from './machine/registry.ts';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { createVpcNetwork, type VpcNetwork } from './vpc-network.ts';

const isMissing = !hasEngine() || !hasRegistry() || !hasMiniStack();
const patienceMs = 600_000;
const controlName = 'control.bees.internal';
const adminToken = 'a'.repeat(64);
const seed = 's'.repeat(64);
const container = 'skep-control-api';

describe.skipIf(isMissing && process.env.SKEP_TEST_ALL !== '1')(
  'user data of the control plane, on a machine',
  { timeout: patienceMs },
  () => {
    const name = `skep-control-plane-${process.pid}`;
    let network: VpcNetwork;
    let registry: Registry;
    let emulator: Emulator;
    let machine: Machine;
    let address: string;

    beforeAll(async () => {
      network = await createVpcNetwork({ docker: new Docker() }, name);
      address = network.gateway.replace(/\.1$/, '.10');
      registry = await Registry.start();
      emulator = await startMiniStack({ listenHost: '0.0.0.0' });
      await makeState(emulator);
      const endpoint = `http://${network.gateway}:${emulator.port}`;
      const userData = renderControlApiUserData({
        image: registry.push(productImage(), network.gateway),
        environment: {
          // Where AWS is on this computer, and who one is there.
          ...emulator.environment,
          AWS_ENDPOINT_URL: endpoint,
          // There are no functions to ask for machines here.
          SKEP_RUNNER: 'process',
          SKEP_STATE_DIRECTORY: '/tmp/machines',
          SKEP_STORE: 'dynamodb',
          SKEP_TABLE: 'skep',
          SKEP_ADMIN_SECRET: 'admin',
          SKEP_IDENTITY_SECRET: 'identity',
          SKEP_NAME: controlName,
          SKEP_PUBLIC_URL: `https://${controlName}:7700`,
          SKEP_LISTEN: '0.0.0.0:7700',
          SKEP_LOCAL_LISTEN: '127.0.0.1:7701',
        },
      });
      machine = new Machine(`${name}-machine`, { network: name, address, userData });
    }, patienceMs);

    afterAll(async () => {
      machine?.remove();
      await emulator?.stop();
      await registry?.stop();
      await network?.remove();
    }, patienceMs);

    it('becomes a control API, with a certificate for its name', async () => {
      await until(
        () => serves(address),
        () => machine.console(),
      );
      expect(new X509Certificate(await certificateAt(address)).subjectAltName).toBe(`DNS:${controlName}`);
    });

    it('says by its own health check that it is well', async () => {
      const health = () =>
        machine.run('docker', 'inspect', '--format', '{{.State.Health.Status}}', container).trim();
      await until(
        () => health() === 'healthy',
        () => machine.console(),
      );
    });

    it('is there again when it was killed, on the same instance', async () => {
      const pid = () => machine.run('docker', 'inspect', '--format', '{{.State.Pid}}', container).trim();
      const before = pid();
      machine.run('docker', 'kill', '--signal', 'KILL', container);
      await until(
        () => serves(address),
        () => machine.console(),
      );
      expect(pid()).not.toBe(before);
      expect(machine.isOn()).toBe(true);
    });

    it('leaves no secret where others could read it', () => {
      const places = [
        machine.console(),
        machine.run('docker', 'inspect', container),
        machine.run('sh', '-c', 'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"'),
      ];
      for (const secret of [adminToken, seed]) {
        expect(places.filter((text) => text.includes(secret))).toEqual([]);
      }
    });
  },
);

/** Table and secrets, as the stack makes them. */
async function makeState({ url }: Emulator): Promise<void> {
  const options = {
    endpoint: url,
    region: emulatorRegion,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  await new DynamoDBClient(options).send(
    new CreateTableCommand({
      TableName: 'skep',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  const secrets = new SecretsManagerClient(options);
  for (const [Name, value] of Object.entries({ admin: { token: adminToken }, identity: { seed } })) {
    await secrets.send(new CreateSecretCommand({ Name, SecretString: JSON.stringify(value) }));
  }
}

/** Whether a control API answers there, with TLS, that it is well. */
async function serves(address: string): Promise<boolean> {
  const answer = await exchange(
    address,
    `GET /healthz HTTP/1.1\r\nhost: ${controlName}\r\nconnection: close\r\n\r\n`,
  );
  return /^HTTP\/1\.1 200 /.test(answer?.text ?? '');
}

async function certificateAt(address: string): Promise<Buffer> {
  const answer = await exchange(address, 'GET / HTTP/1.0\r\n\r\n');
  return answer!.certificate;
}

/** Undefined if nobody is there. The certificate is looked at, not trusted. */
function exchange(host: string, request: string): Promise<{ text: string; certificate: Buffer } | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({
      host,
      port: 7700,
      servername: controlName,
      rejectUnauthorized: false,
      timeout: 5_000,
    });
    socket.setEncoding('utf8');
    let certificate: Buffer | undefined;
    socket.on('secureConnect', () => {
      certificate = socket.getPeerCertificate().raw;
      socket.write(request);
    });
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(certificate && { text, certificate }));
  });
}
