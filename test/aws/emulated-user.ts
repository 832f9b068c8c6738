/**
 * A user of an emulated account: what the command line is given to work with. Instances are containers; the tunnel to one
 * is tunnel-stand-in.js, which leads to the session's door of the instance that the control API is on.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createApiClient, tagKeys } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { until } from '../chaos/waiting.ts';
import { productImage } from '../containers/image.ts';
import { startAccount } from './account.ts';
import { controlPort, pushImage } from './deployment.ts';
import { groupTag } from './front/scaling-groups.ts';
import { buildInstanceImage } from './instance/image.ts';
import { openSession } from './session.ts';
import { layOutTunnelPrograms } from './tunnel-programs.ts';

export interface EmulatedUser {
  /** The command line's state directory. */
  readonly state: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Options by which `skep deploy` fits into the account. */
  readonly context: readonly string[];
  /** `cdk bootstrap`. */
  bootstrap(): Promise<void>;
  /** Ids of the nodes' instances that are not terminated. */
  machines(): string[];
  /** Through the connection at `api`. Resolves when all nodes serve. */
  createCluster(api: string, spec: { name: string; bootstrap: number; peers: number }): Promise<void>;
  /** Resolves with what is left in Docker. */
  stop(): Promise<readonly string[]>;
}

const execute = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const servingMs = 180_000;

export async function emulatedUser(): Promise<EmulatedUser> {
  const image = productImage();
  const account = await startAccount({
    instanceImage: buildInstanceImage(image),
    build: (environment, registry) => pushImage(image, environment, registry),
  });
  const directory = mkdtempSync(join(tmpdir(), 'skep-user-'));
  const living = () => account.front.instances.all().filter(({ state }) => state !== 'terminated');
  const tagged = (key: string) =>
    living().filter(({ launch }) => launch.instanceTags.some(({ Key }) => Key === key));
  const session = await openSession({ address: () => tagged(groupTag)[0]?.address, port: controlPort });
  const state = join(directory, 'state');
  const environment = {
    ...account.environment,
    // An address that is signed is handed on to instances, so it must be one that they reach.
    AWS_ENDPOINT_URL_S3: account.urlForInstances,
    HOME: directory,
    PATH: `${layOutTunnelPrograms(join(directory, 'bin'))}:${process.env.PATH}`,
    TUNNEL_TARGET: `127.0.0.1:${session.port}`,
    TUNNEL_LOG: join(directory, 'tunnels'),
  };
  return {
    state,
    environment,
    context: [
      `architecture=x86_64`,
      `amiParameter=${account.amiParameter}`,
      `cidr=${account.vpcCidr}`,
    ].flatMap((each) => ['--context', each]),
    async bootstrap() {
      const output = ['--output', join(directory, 'assembly')];
      const cdk = join(root, 'node_modules/aws-cdk/bin/cdk');
      await execute(process.execPath, [cdk, 'bootstrap', ...output], {
        cwd: root,
        env: { ...process.env, ...environment, CI: '1' },
      });
    },
    machines: () => tagged(tagKeys.token).map(({ instanceId }) => instanceId),
    async createCluster(baseUrl, spec) {
      const host = createNodeHost({ workers: 1 });
      try {
        const token = readFileSync(join(state, 'connection-token'), 'utf8').trim();
        const fetch = (...call: Parameters<typeof host.http.fetch>) => host.http.fetch(...call);
        const api = createApiClient({ baseUrl, token, fetch });
        await api.createCluster({ body: spec });
        const serve = async () => {
          const { nodes } = await api.getCluster({ params: { cluster: spec.name } });
          return nodes.every((node) => node.state === 'serving');
        };
        await until('all nodes to serve', serve, { timeoutMs: servingMs, everyMs: 500 });
      } finally {
        await host.close();
      }
    },
    async stop() {
      await session.close();
      rmSync(directory, { recursive: true, force: true });
      return account.stop();
    },
  };
}
