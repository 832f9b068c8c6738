/**
 * An AWS account that is emulated whole: a network that stands for the VPC, MiniStack, the front before it, and an AMI of the
 * instance image. Everything of it bears one label, and is gone when it is stopped.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { EC2Client, RegisterImageCommand } from '@aws-sdk/client-ec2';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import Docker from 'dockerode';
import { type Emulator, freePort } from './emulator.ts';
import type { BuildEnvironment } from './front/builds.ts';
import { type Front, startFront } from './front/front.ts';
import { startMiniStack } from './ministack.ts';
import { createVpcNetwork } from './vpc-network.ts';

export interface AccountOptions {
  /** The container image that the account's AMI stands for. */
  readonly instanceImage: string;
  /** What a build of CodeBuild does. */
  readonly build?: (environment: BuildEnvironment, registry: string) => Promise<void>;
  /** Told of what goes wrong behind the API. */
  readonly onTrouble?: (sentence: string) => void;
}

export interface Account {
  /** Variables by which SDKs, the CDK and the AWS CLI find this account instead of AWS. */
  readonly environment: Readonly<Record<string, string>>;
  readonly region: string;
  /** The VPC's range, which the deployment is to take. */
  readonly vpcCidr: string;
  /** This machine's address in the VPC. */
  readonly gateway: string;
  /** The account's endpoint, as instances reach it. */
  readonly urlForInstances: string;
  /** SSM parameter that holds the AMI. */
  readonly amiParameter: string;
  readonly front: Front;
  /** Name and label of all that is made in Docker for it. */
  readonly label: string;
  /** Ends everything, and resolves with what of it is left in Docker all the same. */
  stop(): Promise<readonly string[]>;
}

const accountId = '000000000000';
const amiParameter = '/skep-test/ami';

export async function startAccount(options: AccountOptions): Promise<Account> {
  const { instanceImage, build = async () => {}, onTrouble = () => {} } = options;
  const docker = new Docker();
  const label = `skep-aws-${randomBytes(4).toString('hex')}`;
  const network = await createVpcNetwork({ docker }, label);
  const stops: (() => Promise<void>)[] = [network.remove];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const port = await freePort();
    const ministack = await startMiniStack({
      listenHost: '0.0.0.0',
      environment: {
        MINISTACK_HOST: network.gateway,
        // Functions call the front, run on this Node, and find the SDK of AWS's runtime, which CDK's own rely on.
        AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
        PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
        NODE_PATH: join(import.meta.dirname, '../../node_modules'),
        PYTHONPATH: join(import.meta.dirname, 'cloudformation'),
      },
    });
    stops.push(ministack.stop);
    const region = ministack.environment.AWS_REGION!;
    const front = await startFront(
      { docker },
      {
        ...{ upstream: ministack.url, port, region, account: accountId },
        ...{ network: label, gateway: network.gateway, label, onTrouble },
        build: (environment) => build(environment, `127.0.0.1:${port}`),
      },
    );
    stops.push(front.stop);
    await offerImage(ministack, region, instanceImage);
    return {
      environment: { ...ministack.environment, AWS_ENDPOINT_URL: `http://127.0.0.1:${port}` },
      ...{ region, vpcCidr: network.cidr, gateway: network.gateway, amiParameter, front, label },
      urlForInstances: `http://${network.gateway}:${port}`,
      stop: async () => {
        await stop();
        return leftOf(docker, label);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Registers the container image as an AMI, and names it by the parameter. */
async function offerImage({ url }: Emulator, region: string, image: string): Promise<void> {
  const client = { endpoint: url, region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
  const { ImageId } = await new EC2Client(client).send(
    new RegisterImageCommand({ Name: 'skep-test', Description: image, Architecture: 'x86_64' }),
  );
  await new SSMClient(client).send(
    new PutParameterCommand({ Name: amiParameter, Type: 'String', Value: ImageId }),
  );
}

async function leftOf(docker: Docker, label: string): Promise<string[]> {
  const filters = { label: [label] };
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  const { Volumes } = await docker.listVolumes({ filters });
  return [
    ...containers.map(({ Names }) => `container ${Names[0]}`),
    ...networks.map(({ Name }) => `network ${Name}`),
    ...(Volumes ?? []).map(({ Name }) => `volume ${Name}`),
  ];
}
