/**
 * Auto Scaling groups keep as many instances as they desire: one that ends is replaced, ones too many are ended. MiniStack
 * keeps groups as records, and launches nothing.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-groups.html
 */
import {
  type AutoScalingClient,
  type AutoScalingGroup,
  DescribeAutoScalingGroupsCommand,
} from '@aws-sdk/client-auto-scaling';
import type { Instance, Instances } from './instances.ts';
import { RunInstances } from './requests.ts';

/** https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html */
export const groupTag = 'aws:autoscaling:groupName';

const instancesOfGroup =
  /(<AutoScalingGroupName>([^<]+)<\/AutoScalingGroupName>.*?)<Instances(?:\/>|>.*?<\/Instances>)/gs;

export class ScalingGroups {
  readonly #autoScaling: AutoScalingClient;
  readonly #instances: Instances;

  constructor(components: { autoScaling: AutoScalingClient; instances: Instances }) {
    this.#autoScaling = components.autoScaling;
    this.#instances = components.instances;
  }

  /** One round: what is missing is launched, what is too many is ended, as are those of groups that are gone. */
  async tend(): Promise<void> {
    const { AutoScalingGroups = [] } = await this.#autoScaling.send(new DescribeAutoScalingGroupsCommand({}));
    for (const group of AutoScalingGroups) await this.#tendGroup(group);
    const names = new Set(AutoScalingGroups.map(({ AutoScalingGroupName }) => AutoScalingGroupName));
    const orphans = this.#living().filter((each) => {
      const name = groupOf(each);
      return name !== undefined && !names.has(name);
    });
    this.#instances.terminate(orphans.map(({ instanceId }) => instanceId));
  }

  /** What DescribeAutoScalingGroups answers, with the instances that there are. */
  corrected(xml: string): string {
    return xml.replace(instancesOfGroup, (_, before: string, name: string) => {
      const members = this.#living().filter((each) => groupOf(each) === name);
      return `${before}<Instances>${members.map(memberXml).join('')}</Instances>`;
    });
  }

  async #tendGroup(group: AutoScalingGroup): Promise<void> {
    const living = this.#living().filter((each) => groupOf(each) === group.AutoScalingGroupName);
    const desired = group.DesiredCapacity ?? 0;
    this.#instances.terminate(living.slice(desired).map(({ instanceId }) => instanceId));
    for (let count = living.length; count < desired; count++) await this.#launch(group, count);
  }

  async #launch(group: AutoScalingGroup, count: number): Promise<void> {
    const subnets = (group.VPCZoneIdentifier ?? '').split(',');
    const { LaunchTemplateId, Version } = group.LaunchTemplate ?? {};
    const request = RunInstances.parse({
      MinCount: '1',
      MaxCount: '1',
      LaunchTemplate: { LaunchTemplateId, Version },
      SubnetId: subnets[count % subnets.length],
    });
    const propagated = (group.Tags ?? []).flatMap(({ Key = '', Value = '', PropagateAtLaunch }) =>
      PropagateAtLaunch === true ? [{ Key, Value }] : [],
    );
    await this.#instances.run(request, [
      ...propagated,
      { Key: groupTag, Value: group.AutoScalingGroupName ?? '' },
    ]);
  }

  #living(): readonly Instance[] {
    return this.#instances.all().filter(({ state }) => state === 'pending' || state === 'running');
  }
}

function groupOf({ launch }: Instance): string | undefined {
  return launch.instanceTags.find(({ Key }) => Key === groupTag)?.Value;
}

/** https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Instance.html */
function memberXml({ instanceId, subnet, state }: Instance): string {
  const lifecycle = state === 'running' ? 'InService' : 'Pending';
  return `<member><InstanceId>${instanceId}</InstanceId><AvailabilityZone>${subnet.zone}</AvailabilityZone><LifecycleState>${lifecycle}</LifecycleState><HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>`;
}
