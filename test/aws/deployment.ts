/**
 * A deployment of Skep in an emulated account, by the CDK's own command: bootstrap, deploy, destroy, and between them the
 * door to its control API that a session of Session Manager would be.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { productImage } from '../containers/image.ts';
import { type Account, startAccount } from './account.ts';
import type { BuildEnvironment } from './front/builds.ts';
import type { Instance } from './front/instances.ts';
import { groupTag } from './front/scaling-groups.ts';
import { buildInstanceImage } from './instance/image.ts';
import { openSession, type Session } from './session.ts';

export interface DeploymentOptions {
  /** Context of the app beside what the account decides. */
  readonly context?: Readonly<Record<string, string>>;
  /** Told of each step as it is done, and of what goes wrong behind the API. */
  readonly onProgress?: (sentence: string) => void;
}

export interface Deployment {
  readonly account: Account;
  /** Of the stack, by name. */
  readonly outputs: Readonly<Record<string, string>>;
  /** The control plane's instance, if one lives. */
  controlInstance(): Instance | undefined;
  /** Of the control API, on this machine's loopback: leads to whichever instance it is on. */
  readonly controlUrl: string;
  /** `cdk destroy`; the account stays. */
  destroy(): Promise<void>;
  /** Ends all that is left, and resolves with what of it is still there. */
  stop(): Promise<readonly string[]>;
}

export const stackName = 'Skep';

/** Of the control API, on its instance's loopback. */
export const controlPort = 7701;
const root = join(import.meta.dirname, '../..');
const execute = promisify(execFile);

/** An account with a deployment in it: `cdk bootstrap`, then `cdk deploy` alone. */
export async function startDeployment(options: DeploymentOptions = {}): Promise<Deployment> {
  const { context = {}, onProgress = () => {} } = options;
  const image = productImage();
  const instanceImage = buildInstanceImage(image);
  onProgress('images built');
  const account = await startAccount({
    instanceImage,
    build: (environment, registry) => pushImage(image, environment, registry),
    onTrouble: (sentence) => onProgress(`trouble: ${sentence}`),
  });
  onProgress('account started');
  const scratch = mkdtempSync(join(tmpdir(), 'skep-deployment-'));
  const appContext = {
    ...{
      stack: stackName,
      architecture: 'x86_64',
      cidr: account.vpcCidr,
      amiParameter: account.amiParameter,
    },
    ...context,
  };
  const cdk = (...words: string[]) => runCdk(account, words, { ...appContext }, scratch, onProgress);
  let session: Session | undefined;
  const stop = async () => {
    await session?.close();
    rmSync(scratch, { recursive: true, force: true });
    return account.stop();
  };
  try {
    await cdk('bootstrap');
    onProgress('bootstrapped');
    const outputsFile = join(scratch, 'outputs.json');
    await cdk('deploy', '--require-approval', 'never', '--progress', 'events', '--outputs-file', outputsFile);
    onProgress('deployed');
    const outputs = JSON.parse(readFileSync(outputsFile, 'utf8'))[stackName] as Record<string, string>;
    const controlInstance = () =>
      account.front.instances
        .all()
        .find(
          ({ state, launch }) =>
            state === 'running' &&
            launch.instanceTags.some(({ Key, Value }) => Key === groupTag && Value === outputs.ControlGroup),
        );
    session = await openSession({ address: () => controlInstance()?.address, port: controlPort });
    return {
      ...{ account, outputs, controlInstance, stop },
      controlUrl: `http://127.0.0.1:${session.port}`,
      destroy: async () => {
        await cdk('destroy', '--force');
        onProgress('destroyed');
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the buildspec's commands come to where the image is built already: it is in the repository, under the tag. */
export async function pushImage(
  image: string,
  environment: BuildEnvironment,
  registry: string,
): Promise<void> {
  const { SKEP_REPOSITORY = '', SKEP_IMAGE_TAG } = environment;
  const pushed = `${registry}/${SKEP_REPOSITORY.split('/').slice(1).join('/')}:${SKEP_IMAGE_TAG}`;
  await execute('docker', ['tag', image, pushed]);
  try {
    await execute('docker', ['push', '--quiet', pushed]);
  } finally {
    await execute('docker', ['rmi', '--no-prune', pushed]);
  }
}

async function runCdk(
  account: Account,
  words: readonly string[],
  context: Readonly<Record<string, string>>,
  scratch: string,
  onProgress: (sentence: string) => void,
): Promise<void> {
  const told = Object.entries(context).flatMap(([key, value]) => ['--context', `${key}=${value}`]);
  const child = spawn(
    process.execPath,
    [join(root, 'node_modules/aws-cdk/bin/cdk'), ...words, ...told, '--output', join(scratch, 'assembly')],
    {
      cwd: root,
      env: { ...process.env, ...account.environment, CI: '1', HOME: scratch },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      said.push(line);
      if (line.includes('_FAILED')) onProgress(`trouble: ${line}`);
    });
  }
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`cdk ${words[0]} failed:\n${said.join('\n')}`);
}
