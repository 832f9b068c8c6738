/** Ends what is past its time to live, or orphaned. Needs nothing but the tags: no table, no control API, no other function. */
import {
  type AutoScalingClient,
  paginateDescribeAutoScalingGroups,
  UpdateAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import { type CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import {
  DeleteNetworkInterfaceCommand,
  type EC2Client,
  paginateDescribeInstances,
  paginateDescribeNetworkInterfaces,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { type ReapAnswer, tagKeys } from '@skep/contract';
import type { Clock } from '@skep/p2p-core/host';
import type * as z from 'zod';
import { decideReap, type Found, type OwnDeployment, stacksToAsk } from './decision.ts';

export interface ReapComponents {
  readonly clock: Clock;
  readonly ec2: EC2Client;
  readonly autoScaling: AutoScalingClient;
  readonly cloudFormation: CloudFormationClient;
}

export interface ReapOptions {
  /** Missing: all deployments of the account in this region. */
  readonly own?: OwnDeployment;
}

interface Tagged {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** One that has ended already, or is ending, is no more to be ended. */
const living = ['pending', 'running', 'stopping', 'stopped'];

export async function reap(
  components: ReapComponents,
  { own }: ReapOptions,
): Promise<z.infer<typeof ReapAnswer>> {
  const nowMs = components.clock.wallTime();
  const found = await scan(components, own);
  const goneStacks = new Set<string>();
  for (const stack of stacksToAsk(found, own, nowMs)) {
    if (await isGone(components.cloudFormation, stack)) goneStacks.add(stack);
  }
  const answer: z.infer<typeof ReapAnswer> = { terminated: [], interfaces: [], groups: [], left: [] };
  for (const each of decideReap(found, { goneStacks, nowMs, ...(own === undefined ? {} : { own }) })) {
    try {
      await end(components, each);
      const ended = { group: answer.groups, instance: answer.terminated, interface: answer.interfaces };
      ended[each.kind].push(each.id);
    } catch (error) {
      const { name, message } = error as Error;
      answer.left.push(`${each.id}: ${name}: ${message}`);
    }
  }
  return answer;
}

async function scan({ ec2, autoScaling }: ReapComponents, own: OwnDeployment | undefined): Promise<Found[]> {
  const byDeployment =
    own === undefined
      ? { Name: 'tag-key', Values: [tagKeys.deployment] }
      : { Name: `tag:${tagKeys.deployment}`, Values: [own.deployment] };
  // Not the control plane's instance, which its group ends.
  const Filters = [byDeployment, { Name: 'tag-key', Values: [tagKeys.token] }];
  const found: Found[] = [];
  const add = (kind: Found['kind'], id: string | undefined, tags: readonly Tagged[] = []): void => {
    const tag = (key: string) => tags.find(({ Key }) => Key === key)?.Value;
    const deployment = tag(tagKeys.deployment);
    const expiresAt = tag(tagKeys.expiresAt);
    const stack = tag(tagKeys.stack);
    if (id === undefined || deployment === undefined) return;
    found.push({
      kind,
      id,
      deployment,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(stack === undefined ? {} : { stack }),
    });
  };
  const states = { Name: 'instance-state-name', Values: living };
  for await (const page of paginateDescribeInstances({ client: ec2 }, { Filters: [...Filters, states] })) {
    for (const { Instances = [] } of page.Reservations ?? []) {
      for (const { InstanceId, Tags } of Instances) add('instance', InstanceId, Tags);
    }
  }
  // One in use goes with its instance.
  const free = { Name: 'status', Values: ['available'] };
  for await (const page of paginateDescribeNetworkInterfaces(
    { client: ec2 },
    { Filters: [...Filters, free] },
  )) {
    for (const { NetworkInterfaceId, TagSet } of page.NetworkInterfaces ?? []) {
      add('interface', NetworkInterfaceId, TagSet);
    }
  }
  for await (const page of paginateDescribeAutoScalingGroups(
    { client: autoScaling },
    { Filters: [byDeployment] },
  )) {
    for (const { AutoScalingGroupName, DesiredCapacity, Tags } of page.AutoScalingGroups ?? []) {
      if (DesiredCapacity !== 0) add('group', AutoScalingGroupName, Tags);
    }
  }
  return found;
}

async function end({ ec2, autoScaling }: ReapComponents, { kind, id }: Found): Promise<void> {
  if (kind === 'instance') await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  else if (kind === 'interface')
    await ec2.send(new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: id }));
  else {
    await autoScaling.send(
      new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: id, MinSize: 0, DesiredCapacity: 0 }),
    );
  }
}

/** Only what CloudFormation says for certain: whoever may not look at a stack has not seen that it is gone. */
async function isGone(cloudFormation: CloudFormationClient, stack: string): Promise<boolean> {
  try {
    const { Stacks = [] } = await cloudFormation.send(new DescribeStacksCommand({ StackName: stack }));
    return Stacks.length > 0 && Stacks.every(({ StackStatus }) => StackStatus === 'DELETE_COMPLETE');
  } catch (error) {
    const { name, message } = error as Error;
    return name === 'ValidationError' && /does not exist/.test(message);
  }
}
