/**
 * What one call of RunInstances asks for: the request over its launch template, whose parameters it overrides one by one.
 * Pure. MiniStack ignores templates, network interfaces and user data of what it runs.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html and, on which of the two counts,
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html (`LaunchTemplate`)
 */
import type { ResponseLaunchTemplateData } from '@aws-sdk/client-ec2';
import { Ec2Refusal } from './query-protocol.ts';
import type { RunInstances, Tag } from './requests.ts';

/** An instance as ordered. */
export interface Launch {
  readonly imageId: string;
  readonly instanceType: string;
  readonly subnetId: string;
  /** One of the subnet's is chosen if it is not given. */
  readonly address?: string;
  readonly securityGroupIds: readonly string[];
  /** Base64. */
  readonly userData?: string;
  readonly instanceProfile?: string;
  readonly shutdownBehavior: 'stop' | 'terminate';
  readonly instanceTags: readonly Tag[];
  readonly interfaceTags: readonly Tag[];
}

/** EC2's own, where neither request nor template says. */
const defaultInstanceType = 'm1.small';

export function launchOf(request: RunInstances, template: ResponseLaunchTemplateData = {}): Launch {
  const requested = request.NetworkInterface?.[0];
  const templated = template.NetworkInterfaces?.[0];
  const imageId = request.ImageId ?? template.ImageId;
  if (imageId === undefined)
    throw new Ec2Refusal('MissingParameter', 'The request must contain the parameter ImageId');
  const subnetId = requested?.SubnetId ?? request.SubnetId ?? templated?.SubnetId;
  if (subnetId === undefined) throw new Ec2Refusal('MissingInput', 'No subnets found for the default VPC');
  const address = requested?.PrivateIpAddress ?? request.PrivateIpAddress ?? templated?.PrivateIpAddress;
  const userData = request.UserData ?? template.UserData;
  const profile = request.IamInstanceProfile ?? {
    Arn: template.IamInstanceProfile?.Arn,
    Name: template.IamInstanceProfile?.Name,
  };
  const instanceProfile = profile.Name ?? profile.Arn?.split('/').at(-1);
  const behavior = request.InstanceInitiatedShutdownBehavior ?? template.InstanceInitiatedShutdownBehavior;
  return {
    imageId,
    instanceType: request.InstanceType ?? template.InstanceType ?? defaultInstanceType,
    subnetId,
    ...(address === undefined ? {} : { address }),
    securityGroupIds:
      requested?.SecurityGroupId ??
      request.SecurityGroupId ??
      templated?.Groups ??
      template.SecurityGroupIds ??
      [],
    ...(userData === undefined ? {} : { userData }),
    ...(instanceProfile === undefined ? {} : { instanceProfile }),
    shutdownBehavior: behavior === 'terminate' ? 'terminate' : 'stop',
    instanceTags: tagsFor('instance', request, template),
    interfaceTags: tagsFor('network-interface', request, template),
  };
}

/** Those of both; of one key, the request's. */
function tagsFor(resourceType: string, request: RunInstances, template: ResponseLaunchTemplateData): Tag[] {
  const tags = new Map<string, string>();
  for (const specification of template.TagSpecifications ?? []) {
    if (specification.ResourceType !== resourceType) continue;
    for (const { Key = '', Value = '' } of specification.Tags ?? []) tags.set(Key, Value);
  }
  for (const specification of request.TagSpecification) {
    if (specification.ResourceType !== resourceType) continue;
    for (const { Key, Value } of specification.Tag) tags.set(Key, Value);
  }
  return [...tags].map(([Key, Value]) => ({ Key, Value }));
}
