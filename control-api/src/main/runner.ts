/** Which runner the control API's machines live in, made of what the environment says. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ApiClient, NodeSubnet } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import * as z from 'zod';
import type { DockerLauncherOptions } from '../launchers/docker.ts';
import { ProcessLauncher } from '../launchers/process.ts';
import type { Launcher } from '../ports/launcher.ts';
import { type Environment, jsonIn, required, stateDirectoryIn } from './environment.ts';

export interface Runner {
  readonly launcher: Launcher & { close(): void };
  /** Where a machine takes longer to join than a process or a container does. */
  readonly joinTimeoutMs?: number;
  /** To be called once the control API listens, before it begins. Rejects with a sentence that says what is missing. */
  start(): Promise<void>;
  /** Of runners that say what the cluster should be: follows them from now on. */
  follow?(client: ApiClient): { stop(): void };
}

/** An instance boots, and pulls its image from a registry that a thousand others ask too. */
const instanceJoinMs = 300_000;

export interface RunnerOptions {
  readonly env: Environment;
  readonly version: string;
  /** Missing where machines reach the control API by a URL that was given. */
  readonly serveAt: DockerLauncherOptions['serveAt'];
  readonly onTrouble: (message: string) => void;
}

/** As SKEP_RUNNER says. Rejects if what the environment says makes no sense. */
export async function createRunner(host: Host, options: RunnerOptions): Promise<Runner> {
  const runner = options.env.SKEP_RUNNER ?? 'process';
  if (runner === 'process') return processRunner(host, options);
  if (runner === 'docker') return dockerRunner(host, options);
  if (runner === 'compose') return composeRunner(host, options);
  if (runner === 'aws') return awsRunner(host, options);
  throw new Error(`SKEP_RUNNER is ${runner}: give process, docker, compose or aws`);
}

function processRunner(host: Host, { env }: RunnerOptions): Runner {
  const launcher = new ProcessLauncher(
    { host },
    {
      directory: join(stateDirectoryIn(env), 'machines'),
      agentProgram: env.SKEP_AGENT_PROGRAM ?? fileURLToPath(import.meta.resolve('@skep/node-agent/main')),
      ...(env.SKEP_EPHEMERAL_ROOT ? { ephemeralRoot: env.SKEP_EPHEMERAL_ROOT } : {}),
      environment: {
        PATH: env.PATH,
        HOME: env.HOME,
        TMPDIR: env.TMPDIR,
        LANG: env.LANG,
        NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE,
      },
    },
  );
  return { launcher, start: async () => undefined };
}

async function dockerRunner(host: Host, options: RunnerOptions): Promise<Runner> {
  const { env, version, serveAt } = options;
  const [{ DockerLauncher }, { DockerEngine }] = await Promise.all([
    import('../launchers/docker.ts'),
    import('../launchers/docker-engine.ts'),
  ]);
  const launcher = new DockerLauncher(
    { host, engine: new DockerEngine() },
    {
      owner: env.SKEP_DOCKER_OWNER ?? ownerIn(stateDirectoryIn(env), host),
      image: env.SKEP_IMAGE ?? `skep:${version}`,
      limits: {
        memoryBytes: numberIn(env, 'SKEP_DOCKER_MEMORY', 6 * 1024 ** 2, 'bytes, as in 536870912'),
        cpus: numberIn(env, 'SKEP_DOCKER_CPUS', 0.01, 'processor cores, as in 0.5'),
      },
      content: env.SKEP_CONTENT === undefined ? [] : jsonIn(env, 'SKEP_CONTENT', z.array(z.string().min(1))),
      ...(env.SKEP_DOCKER_ADDRESSES === undefined ? {} : { addressRange: env.SKEP_DOCKER_ADDRESSES }),
      ownRanges,
      ...(serveAt === undefined ? {} : { serveAt }),
    },
  );
  return { launcher, start: () => launcher.start() };
}

async function composeRunner(host: Host, { env, onTrouble }: RunnerOptions): Promise<Runner> {
  const [{ ComposeLauncher }, { DockerEngine }, { ComposeFollower }] = await Promise.all([
    import('../launchers/compose.ts'),
    import('../launchers/docker-engine.ts'),
    import('./compose-follower.ts'),
  ]);
  const engine = new DockerEngine();
  // The Engine names a container's host after it.
  const self = await engine.find(env.SKEP_CONTAINER ?? hostname());
  const project = self?.labels['com.docker.compose.project'];
  if (project === undefined) {
    throw new Error(
      'SKEP_RUNNER is compose, but this is no container of a compose project: start it by compose.yaml',
    );
  }
  const launcher = new ComposeLauncher(
    { host, engine },
    { project, directory: join(stateDirectoryIn(env), 'machines') },
  );
  return {
    launcher,
    start: () => launcher.start(),
    follow(client) {
      const follower = new ComposeFollower(
        { host, client, count: async (role) => (await launcher.containers(role)).length },
        {
          cluster: env.SKEP_CLUSTER ?? 'skep',
          contentRoot: '/content',
          contentInstead: process.execPath,
          onTrouble,
        },
      );
      follower.start();
      return follower;
    },
  };
}

async function awsRunner({ clock }: Host, { env, onTrouble }: RunnerOptions): Promise<Runner> {
  const [{ LambdaClient }, { SQSClient }, { AwsLauncher }] = await Promise.all([
    import('@aws-sdk/client-lambda'),
    import('@aws-sdk/client-sqs'),
    import('../launchers/aws.ts'),
  ]);
  const launcher = new AwsLauncher(
    { clock, lambda: new LambdaClient(), sqs: new SQSClient() },
    {
      deployFunction: required(env, 'SKEP_DEPLOY_FUNCTION'),
      teardownFunction: required(env, 'SKEP_TEARDOWN_FUNCTION'),
      eventsQueue: required(env, 'SKEP_EVENTS_QUEUE'),
      subnets: jsonIn(env, 'SKEP_SUBNETS', z.array(NodeSubnet).min(1)),
      onTrouble,
    },
  );
  return { launcher, joinTimeoutMs: instanceJoinMs, start: async () => undefined };
}

/** IPv4 networks that this computer is in. */
function ownRanges(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ family, cidr }) => (family === 'IPv4' && cidr !== null ? [cidr] : [])),
  );
}

/** What this control API's containers are known by. */
function ownerIn(directory: string, host: Host): string {
  const path = join(directory, 'docker-owner');
  if (!existsSync(path)) {
    writeFileSync(`${path}.new`, toHex(host.random.bytes(8)));
    renameSync(`${path}.new`, path);
  }
  return readFileSync(path, 'utf8').trim();
}

function numberIn(env: Environment, name: string, least: number, what: string): number | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value >= least)) throw new Error(`${name} is ${text}: give a number of ${what}, at least ${least}`);
  return value;
}
