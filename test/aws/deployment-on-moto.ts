/**
 * A deployment on moto: network, launch template, table and queue, as the stack makes them, and the functions `deploy` and
 * `teardown` as they are, behind Lambda's own call. Moto runs nothing and tells nobody: what a machine would do by itself,
 * and EC2's events of instances that end, are this world's part.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreateLaunchTemplateCommand,
  CreateSecurityGroupCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
  type Instance,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { type MachineToken, type NodeSubnet, tagKeys } from '@skep/contract';
import { vi } from 'vitest';
import { startMoto } from './moto.ts';
import { createTable } from './table.ts';

const functionSeconds = 900;

type Handler = (event: unknown, context: { getRemainingTimeInMillis(): number }) => Promise<unknown>;

/** What stays the same for all deployments of a test file. */
export interface MotoAccount {
  readonly ec2: EC2Client;
  readonly sqs: SQSClient;
  readonly dynamo: DynamoDBClient;
  readonly subnets: readonly NodeSubnet[];
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startMotoAccount(): Promise<MotoAccount> {
  const moto = await startMoto();
  Object.assign(process.env, moto.environment);
  const [ec2, sqs, dynamo] = [new EC2Client(), new SQSClient(), new DynamoDBClient()];
  const { Vpc } = await ec2.send(new CreateVpcCommand({ CidrBlock: '10.0.0.0/16' }));
  const VpcId = Vpc!.VpcId!;
  const subnets: NodeSubnet[] = [];
  for (const [zone, cidr] of [
    ['eu-central-1a', '10.0.0.0/24'],
    ['eu-central-1b', '10.0.1.0/24'],
  ] as const) {
    const request = { VpcId, CidrBlock: cidr, AvailabilityZone: zone };
    const { Subnet } = await ec2.send(new CreateSubnetCommand(request));
    subnets.push({ subnetId: Subnet!.SubnetId!, zone, cidr });
  }
  const { GroupId } = await ec2.send(
    new CreateSecurityGroupCommand({ GroupName: 'nodes', Description: 'nodes', VpcId }),
  );
  const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
  const { LaunchTemplate } = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'nodes',
      LaunchTemplateData: {
        ImageId: Images![0]!.ImageId!,
        InstanceType: 't4g.small',
        InstanceInitiatedShutdownBehavior: 'terminate',
        MetadataOptions: { HttpTokens: 'required' },
      },
    }),
  );
  return {
    ec2,
    sqs,
    dynamo,
    subnets,
    environment: {
      SKEP_SUBNETS: JSON.stringify(subnets),
      SKEP_SECURITY_GROUP: GroupId!,
      SKEP_IMAGE: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/skep@sha256:${'0'.repeat(64)}`,
      SKEP_LAUNCH_TEMPLATES: JSON.stringify({ '*': { id: LaunchTemplate!.LaunchTemplateId!, version: '1' } }),
    },
    async stop() {
      for (const client of [ec2, sqs, dynamo]) client.destroy();
      await moto.stop();
    },
  };
}

export class MotoDeployment {
  readonly name: string;
  readonly account: MotoAccount;
  readonly lambda: LambdaClient;
  readonly eventsQueue: string;
  /** Tokens whose machines end as soon as they have begun. */
  readonly endingAtOnce = new Set<string>();
  readonly #functions: Readonly<Record<string, Handler>>;
  readonly #server: Server;
  readonly #announced = new Set<string>();

  private constructor(
    account: MotoAccount,
    parts: {
      name: string;
      eventsQueue: string;
      functions: Readonly<Record<string, Handler>>;
      server: Server;
    },
  ) {
    this.account = account;
    this.name = parts.name;
    this.eventsQueue = parts.eventsQueue;
    this.#functions = parts.functions;
    this.#server = parts.server;
    this.#server.on('request', (request, response) => void this.#invoke(request, response));
    const { port } = this.#server.address() as { port: number };
    this.lambda = new LambdaClient({ endpoint: `http://127.0.0.1:${port}`, maxAttempts: 1 });
  }

  /** Functions read this process's environment, as on Lambda they do theirs: so one deployment a process at a time. */
  static async start(account: MotoAccount, name: string): Promise<MotoDeployment> {
    const { QueueUrl } = await account.sqs.send(new CreateQueueCommand({ QueueName: name }));
    await createTable(account.dynamo, name);
    const SKEP_STACK = `arn:aws:cloudformation:eu-central-1:123456789012:stack/${name}/1`;
    Object.assign(process.env, account.environment, { SKEP_CLUSTER: name, SKEP_TABLE: name, SKEP_STACK });
    // Cold ones: what warm functions keep is of the deployment before.
    vi.resetModules();
    const { handler: deploy } = await import('../../lambdas/src/deploy/handler.ts');
    const { handler: teardown } = await import('../../lambdas/src/teardown/handler.ts');
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new MotoDeployment(account, {
      name,
      eventsQueue: QueueUrl!,
      functions: { deploy, teardown },
      server,
    });
  }

  /** All instances of a token, whatever their state. */
  async instancesOf({ token }: Pick<MachineToken, 'token'>): Promise<Instance[]> {
    return this.#instances([{ Name: `tag:${tagKeys.token}`, Values: [token] }]);
  }

  /** Of any instance of the account. */
  async isRunning(instanceId: string): Promise<boolean> {
    const request = new DescribeInstancesCommand({ InstanceIds: [instanceId] });
    const { Reservations } = await this.account.ec2.send(request);
    return Reservations?.[0]?.Instances?.[0]?.State?.Name === 'running';
  }

  /** Ends an instance, as its own system or EC2 would, and has EC2 tell so. */
  async endInstance(instanceId: string): Promise<void> {
    await this.account.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    await this.#announceEnds();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.lambda.destroy();
  }

  /** https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
  async #invoke(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = /^\/2015-03-31\/functions\/([^/]+)\/invocations/.exec(request.url!)![1]!;
    const endMs = performance.now() + functionSeconds * 1_000;
    const context = { getRemainingTimeInMillis: () => endMs - performance.now() };
    try {
      const answer = await this.#functions[name]!(JSON.parse(await text(request)), context);
      await this.#lifeGoesOn();
      response.end(JSON.stringify(answer));
    } catch (error) {
      const { name: errorType, message: errorMessage } = error as Error;
      response.setHeader('X-Amz-Function-Error', 'Unhandled');
      response.end(JSON.stringify({ errorType, errorMessage }));
    }
  }

  async #lifeGoesOn(): Promise<void> {
    for (const token of this.endingAtOnce) {
      for (const { InstanceId, State } of await this.instancesOf({ token })) {
        // Moto cannot bear to be told twice.
        if (State?.Name === 'terminated') continue;
        await this.account.ec2.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId!] }));
      }
    }
    await this.#announceEnds();
  }

  async #announceEnds(): Promise<void> {
    const ended = await this.#instances([{ Name: 'instance-state-name', Values: ['terminated'] }]);
    for (const { InstanceId } of ended) {
      if (this.#announced.has(InstanceId!)) continue;
      this.#announced.add(InstanceId!);
      const event = {
        version: '0',
        source: 'aws.ec2',
        'detail-type': 'EC2 Instance State-change Notification',
        detail: { 'instance-id': InstanceId, state: 'terminated' },
      };
      await this.account.sqs.send(
        new SendMessageCommand({ QueueUrl: this.eventsQueue, MessageBody: JSON.stringify(event) }),
      );
    }
  }

  async #instances(filters: { Name: string; Values: string[] }[]): Promise<Instance[]> {
    const Filters = [{ Name: `tag:${tagKeys.deployment}`, Values: [this.name] }, ...filters];
    const { Reservations = [] } = await this.account.ec2.send(new DescribeInstancesCommand({ Filters }));
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  }
}
