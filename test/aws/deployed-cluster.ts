/** The cluster of a deployment as a test sees it: through the control API, its functions, and the containers beneath. */
import { AutoScalingClient, DescribeAutoScalingGroupsCommand } from '@aws-sdk/client-auto-scaling';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import {
  DescribeNetworkInterfacesCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  GetResourcesCommand,
  ResourceGroupsTaggingAPIClient,
} from '@aws-sdk/client-resource-groups-tagging-api';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  type ApiClient,
  ApiError,
  type ClusterView,
  createApiClient,
  type NodeView,
  tagKeys,
} from '@skep/contract';
import type { NodeHost } from '@skep/p2p-core/host/node';
import Docker from 'dockerode';
import type * as z from 'zod';
import { until } from '../chaos/waiting.ts';
import { type Deployment, stackName } from './deployment.ts';
import type { Instance } from './front/instances.ts';

const callTimeoutMs = 10_000;
const healedWithinMs = 180_000;
const consoleTail = 1_500;

export interface Machine {
  readonly slot: string;
  readonly generation: number;
}

export class DeployedCluster {
  readonly api: ApiClient;
  readonly name = stackName.toLowerCase();
  readonly params = { cluster: this.name };
  readonly #deployment: Deployment;
  readonly #docker = new Docker();

  private constructor(deployment: Deployment, host: NodeHost, token: string) {
    this.#deployment = deployment;
    this.api = createApiClient({
      baseUrl: deployment.controlUrl,
      token,
      fetch: (url, init) => host.http.fetch(url, { timeoutMs: callTimeoutMs, ...init }),
    });
  }

  /** With the admin token, read as a user would. */
  static async of(deployment: Deployment, host: NodeHost): Promise<DeployedCluster> {
    const secrets = new SecretsManagerClient(clientOf(deployment));
    const { SecretString } = await secrets.send(
      new GetSecretValueCommand({ SecretId: deployment.outputs.AdminTokenSecret }),
    );
    const { token } = JSON.parse(SecretString!) as { token: string };
    return new DeployedCluster(deployment, host, token);
  }

  view(): Promise<ClusterView> {
    return this.api.getCluster({ params: this.params });
  }

  /** None while the control API is away. */
  async nodes(): Promise<NodeView[]> {
    try {
      return await this.api.listNodes({ params: this.params });
    } catch (error) {
      if (error instanceof ApiError && error.problem !== undefined && error.status !== 503) throw error;
      return [];
    }
  }

  async node(slot: string): Promise<NodeView | undefined> {
    return (await this.nodes()).find((node) => node.slot === slot);
  }

  /** What a function answers. Throws what it throws. */
  async invoke<T>(functionName: string, payload: unknown, answer: z.ZodType<T>): Promise<T> {
    const lambda = new LambdaClient(clientOf(this.#deployment));
    const { FunctionError, Payload } = await lambda.send(
      new InvokeCommand({ FunctionName: functionName, Payload: JSON.stringify(payload) }),
    );
    const text = Buffer.from(Payload!).toString('utf8');
    if (FunctionError !== undefined) throw new Error(`${functionName}: ${text}`);
    return answer.parse(JSON.parse(text));
  }

  /** The machine that leads, by the lease. */
  async leader(): Promise<(Machine & { readonly term: number }) | undefined> {
    const { lease } = await this.view();
    const [slot = '', generation] = lease.holder?.split('@') ?? [];
    if (!lease.held || generation === undefined) return undefined;
    return { slot, generation: Number(generation), term: lease.term };
  }

  /** The instance that a slot's machine runs on. */
  instanceOf({ slot, generation }: Machine): Instance | undefined {
    return this.#deployment.account.front.instances.all().find(({ launch }) => {
      const tag = (key: string) => launch.instanceTags.find(({ Key }) => Key === key)?.Value;
      return tag('skep:slot') === slot && tag('skep:generation') === String(generation);
    });
  }

  /** As a power cut would: nothing of it says a word more. */
  async cutPower(instance: Instance): Promise<void> {
    await this.#container(instance).kill();
  }

  /** Kills the agent's container, on an instance that goes on. */
  async crashAgent(instance: Instance): Promise<void> {
    const crash = await this.#container(instance).exec({ Cmd: ['docker', 'rm', '--force', 'skep-agent'] });
    await crash.start({});
  }

  #container({ instanceId }: Instance): Docker.Container {
    return this.#docker.getContainer(`${this.#deployment.account.label}-${instanceId}`);
  }

  /** Resolves with what serves in the slot once that is another machine than this one. */
  replacement({ slot, generation }: Machine): Promise<NodeView> {
    const look = async () => {
      const node = await this.node(slot);
      return node !== undefined && node.generation > generation && node.state === 'serving' && node;
    };
    return this.until(`${slot}@${generation} to be replaced`, look, healedWithinMs);
  }

  until<T>(
    awaited: string,
    look: () => Promise<T | undefined | false>,
    timeoutMs = healedWithinMs,
  ): Promise<T> {
    return until(awaited, look, { timeoutMs, everyMs: 250, state: () => this.describe() });
  }

  /** All that bears the deployment's tag. Tables are asked of DynamoDB, for MiniStack's tags outlive them. */
  async resources(): Promise<string[]> {
    const client = clientOf(this.#deployment);
    const ec2 = new EC2Client(client);
    const Filters = [{ Name: 'tag-key', Values: [tagKeys.deployment] }];
    const [tagged, tables, groups, vpcs, subnets, interfaces] = await Promise.all([
      new ResourceGroupsTaggingAPIClient(client).send(
        new GetResourcesCommand({ TagFilters: [{ Key: tagKeys.deployment }] }),
      ),
      new DynamoDBClient(client).send(new ListTablesCommand({})),
      new AutoScalingClient(client).send(new DescribeAutoScalingGroupsCommand({})),
      ec2.send(new DescribeVpcsCommand({ Filters })),
      ec2.send(new DescribeSubnetsCommand({ Filters })),
      ec2.send(new DescribeNetworkInterfacesCommand({ Filters })),
    ]);
    return [
      ...(tagged.ResourceTagMappingList ?? [])
        .map(({ ResourceARN = '' }) => ResourceARN)
        .filter((arn) => !arn.startsWith('arn:aws:dynamodb:')),
      ...(tables.TableNames ?? []),
      ...(groups.AutoScalingGroups ?? []).map(({ AutoScalingGroupName }) => AutoScalingGroupName),
      ...(vpcs.Vpcs ?? []).map(({ VpcId }) => VpcId),
      ...(subnets.Subnets ?? []).map(({ SubnetId }) => SubnetId),
      ...(interfaces.NetworkInterfaces ?? []).map(({ NetworkInterfaceId }) => NetworkInterfaceId),
    ].map(String);
  }

  /** What a failed wait is told with. */
  async describe(): Promise<string> {
    const nodes = await this.nodes().catch(() => []);
    const { instances } = this.#deployment.account.front;
    const consoles = instances.all().map(async ({ instanceId, state, address }) => {
      const said = await instances.consoleOutput(instanceId).catch((error: Error) => error.message);
      return `${instanceId} ${state} at ${address}:\n${said.slice(-consoleTail)}`;
    });
    const states = nodes.map(({ slot, generation, state }) => `${slot}@${generation} ${state}`);
    return [...states, ...(await Promise.all(consoles))].join('\n');
  }
}

function clientOf({ account }: Deployment) {
  return {
    endpoint: account.environment.AWS_ENDPOINT_URL!,
    region: account.region,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    // Functions answer after many minutes.
    requestHandler: { requestTimeout: 0 },
  };
}
