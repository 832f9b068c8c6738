/**
 * What is left of a deployment after its end, found by the tag that names its stack. Instances, volumes and network
 * interfaces are asked of EC2 itself. For all else the tagging service is asked, which may go on listing what is gone: what
 * CloudFormation says that it deleted is not counted.
 */
import type { Filter } from '@aws-sdk/client-ec2';
import { tagKeys } from '@skep/contract';
import type { AwsAccount } from './account.ts';

export interface Leftovers {
  /** Ids of what EC2 still has: all of it costs money. */
  readonly machines: readonly string[];
  /** ARNs that the tagging service lists, and CloudFormation has not deleted. */
  readonly others: readonly string[];
}

/** States of an instance that is gone, or surely will be. */
const endedStates = new Set(['terminated', 'shutting-down']);
const askedOfEc2 = /^arn:[^:]+:ec2:[^:]*:[^:]*:(instance|volume|network-interface)\//;

/** Rejects with CliError. */
export async function findLeftovers(account: AwsAccount, stackId: string): Promise<Leftovers> {
  const [machines, tagged, deleted] = await Promise.all([
    machinesOf(account, stackId),
    taggedOf(account, stackId),
    deletedOf(account, stackId),
  ]);
  const isLeft = (arn: string) => !askedOfEc2.test(arn) && !deleted.has(arn) && !deleted.has(nameOf(arn));
  return { machines, others: tagged.filter(isLeft) };
}

/** The name at the end of an ARN, which is what many resources are called in CloudFormation. */
function nameOf(arn: string): string {
  return arn.split(/[:/]/).at(-1) ?? arn;
}

async function machinesOf(account: AwsAccount, stackId: string): Promise<string[]> {
  const { EC2Client, paginateDescribeInstances, paginateDescribeNetworkInterfaces, paginateDescribeVolumes } =
    await import('@aws-sdk/client-ec2');
  const client = new EC2Client(account.settings);
  const Filters: Filter[] = [{ Name: `tag:${tagKeys.stack}`, Values: [stackId] }];
  return account.ask(async (abortSignal) => {
    const left: string[] = [];
    const options = { client, abortSignal };
    for await (const { Reservations = [] } of paginateDescribeInstances(options, { Filters })) {
      for (const { InstanceId, State } of Reservations.flatMap(({ Instances = [] }) => Instances)) {
        if (!endedStates.has(State?.Name ?? '')) left.push(InstanceId ?? '');
      }
    }
    for await (const { Volumes = [] } of paginateDescribeVolumes(options, { Filters })) {
      left.push(...Volumes.flatMap(({ VolumeId }) => VolumeId ?? []));
    }
    for await (const { NetworkInterfaces = [] } of paginateDescribeNetworkInterfaces(options, { Filters })) {
      left.push(...NetworkInterfaces.flatMap(({ NetworkInterfaceId }) => NetworkInterfaceId ?? []));
    }
    return left;
  });
}

async function taggedOf(account: AwsAccount, stackId: string): Promise<string[]> {
  const { ResourceGroupsTaggingAPIClient, paginateGetResources } = await import(
    '@aws-sdk/client-resource-groups-tagging-api'
  );
  const client = new ResourceGroupsTaggingAPIClient(account.settings);
  const TagFilters = [{ Key: tagKeys.stack, Values: [stackId] }];
  return account.ask(async () => {
    const left: string[] = [];
    for await (const { ResourceTagMappingList = [] } of paginateGetResources({ client }, { TagFilters })) {
      left.push(...ResourceTagMappingList.flatMap(({ ResourceARN }) => ResourceARN ?? []));
    }
    return left;
  });
}

/** Physical ids of what CloudFormation has deleted of the stack; it remembers for 90 days. */
async function deletedOf(account: AwsAccount, stackId: string): Promise<ReadonlySet<string>> {
  const { paginateDescribeStackEvents } = await import('@aws-sdk/client-cloudformation');
  const client = await account.cloudFormation();
  return account.ask(async () => {
    const deleted = new Set<string>();
    try {
      for await (const { StackEvents = [] } of paginateDescribeStackEvents(
        { client },
        { StackName: stackId },
      )) {
        for (const { ResourceStatus, PhysicalResourceId } of StackEvents) {
          if (ResourceStatus === 'DELETE_COMPLETE' && PhysicalResourceId) deleted.add(PhysicalResourceId);
        }
      }
    } catch (error) {
      // A stack that CloudFormation never had, or has forgotten.
      if (!(error instanceof Error && /does not exist/.test(error.message))) throw error;
    }
    return deleted;
  });
}
