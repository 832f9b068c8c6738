/**
 * The front: what stands between a deployment and MiniStack, and supplies what that lacks of EC2, Auto Scaling, metadata,
 * events, builds and private names. Clients are given its address in MiniStack's stead.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { Route53Client } from '@aws-sdk/client-route-53';
import { SQSClient } from '@aws-sdk/client-sqs';
import type Docker from 'dockerode';
import { type BuildEnvironment, Builds } from './builds.ts';
import { Ec2 } from './ec2.ts';
import { DockerGuests } from './guests.ts';
import { Instances, serverError } from './instances.ts';
import { LinkLocal } from './link-local.ts';
import { Metadata } from './metadata.ts';
import { PrivateNames } from './private-names.ts';
import { MiniStackProxy } from './proxy.ts';
import { MiniStackRecords } from './records.ts';
import { ScalingGroups } from './scaling-groups.ts';
import { StateChanges } from './state-changes.ts';

export interface FrontOptions {
  /** Of MiniStack. */
  readonly upstream: string;
  /** To listen at, at 127.0.0.1 and at the gateway. */
  readonly port: number;
  readonly region: string;
  readonly account: string;
  /** Docker's name of the network that stands for the VPC. */
  readonly network: string;
  /** This machine's address in it. */
  readonly gateway: string;
  /** Marks all containers made for it. */
  readonly label: string;
  /** What a build of CodeBuild does. */
  readonly build: (environment: BuildEnvironment) => Promise<void>;
  /** Told of what went wrong in the background. */
  readonly onTrouble: (sentence: string) => void;
}

export interface Front {
  readonly instances: Instances;
  /** Ends all instances, and listens no more. */
  stop(): Promise<void>;
}

const loopback = '127.0.0.1';
const tendEveryMs = 250;

/** MiniStack is to run; the network is to be there. */
export async function startFront({ docker }: { docker: Docker }, options: FrontOptions): Promise<Front> {
  const { upstream, port, region, account, network, gateway, label, onTrouble } = options;
  const client = {
    endpoint: upstream,
    region,
    credentials: { accessKeyId: 'front', secretAccessKey: 'front' },
  };
  const changes = new StateChanges(
    { eventBridge: new EventBridgeClient(client), sqs: new SQSClient(client) },
    { region, account, onTrouble },
  );
  const guestEnvironment: Record<string, string> = {};
  const instances = new Instances(
    {
      records: new MiniStackRecords({ ec2: new EC2Client(client) }),
      guests: new DockerGuests({ docker }, { network, label, environment: guestEnvironment }),
    },
    {
      onChange: (instance) => {
        changes.tell(instance);
        if (instance.reason?.code === serverError && instance.state === 'terminated') {
          onTrouble(`${instance.instanceId} did not boot: ${instance.reason.message}`);
        }
      },
    },
  );
  const linkLocal = new LinkLocal({
    instances,
    metadata: new Metadata({ region, account, nowMs: () => Date.now() }),
    names: new PrivateNames({ route53: new Route53Client(client) }),
  });
  const groups = new ScalingGroups({ autoScaling: new AutoScalingClient(client), instances });
  const proxy = new MiniStackProxy(
    {
      ec2: new Ec2({ instances }, { account }),
      builds: new Builds({ work: options.build }, { onTrouble }),
      groups,
    },
    { upstream },
  );
  const { metadataPort, resolverPort } = await linkLocal.listen(gateway);
  // No guest starts before the front listens.
  Object.assign(guestEnvironment, {
    AWS_ENDPOINT_URL: `http://${gateway}:${port}`,
    AWS_REGION: region,
    EMULATED_METADATA: `${gateway}:${metadataPort}`,
    EMULATED_RESOLVER: `${gateway}:${resolverPort}`,
  });
  for (const host of [gateway, loopback]) await proxy.listen(host, port);

  const stopping = new AbortController();
  const tending = keepTending(groups, stopping.signal, onTrouble);

  return {
    instances,
    stop: async () => {
      stopping.abort();
      await tending;
      await instances.stop();
      await changes.idle();
      await Promise.all([proxy.close(), linkLocal.close()]);
    },
  };
}

async function keepTending(
  groups: ScalingGroups,
  signal: AbortSignal,
  onTrouble: FrontOptions['onTrouble'],
): Promise<void> {
  while (!signal.aborted) {
    await groups
      .tend()
      .catch((error: Error) => onTrouble(`scaling groups were not tended: ${error.message}`));
    await sleep(tendEveryMs, undefined, { signal }).catch(() => {});
  }
}
