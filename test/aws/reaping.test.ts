/** What `reap` finds by tags on moto, and ends of it: instances, network interfaces, and the groups of control planes. */
import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  CreateLaunchConfigurationCommand,
  DescribeAutoScalingGroupsCommand,
} from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient, CreateStackCommand, DeleteStackCommand } from '@aws-sdk/client-cloudformation';
import {
  CreateNetworkInterfaceCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { tagKeys } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OwnDeployment } from '../../lambdas/src/reap/decision.ts';
import { reap } from '../../lambdas/src/reap/reap.ts';
import { type MotoAccount, startMotoAccount } from './deployment-on-moto.ts';
import { hasMoto } from './moto.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const past = '2020-01-01T00:00:00Z';
const future = '2999-01-01T00:00:00Z';
const template = JSON.stringify({ Resources: { Topic: { Type: 'AWS::SNS::Topic' } } });

describe.skipIf(!hasMoto() && mayBeMissing)('reaping on moto', { timeout: 120_000 }, () => {
  let account: MotoAccount;
  let autoScaling: AutoScalingClient;
  let cloudFormation: CloudFormationClient;
  let imageId: string;
  beforeAll(async () => {
    account = await startMotoAccount();
    autoScaling = new AutoScalingClient();
    cloudFormation = new CloudFormationClient();
    const { Images } = await account.ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
    imageId = Images![0]!.ImageId!;
    await autoScaling.send(
      new CreateLaunchConfigurationCommand({
        LaunchConfigurationName: 'control',
        ImageId: imageId,
        InstanceType: 't4g.small',
      }),
    );
  }, 60_000);
  afterAll(async () => {
    for (const client of [autoScaling, cloudFormation]) client.destroy();
    await account.stop();
  });

  const tagsOf = (deployment: string, rest: Record<string, string>) =>
    Object.entries({ [tagKeys.deployment]: deployment, ...rest }).map(([Key, Value]) => ({ Key, Value }));
  const machine = { [tagKeys.token]: 'a'.repeat(64) };

  async function makeInstance(deployment: string, rest: Record<string, string>): Promise<string> {
    const { Instances } = await account.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: imageId,
        SubnetId: account.subnets[0]!.subnetId,
        TagSpecifications: [{ ResourceType: 'instance', Tags: tagsOf(deployment, rest) }],
      }),
    );
    return Instances![0]!.InstanceId!;
  }

  async function makeInterface(deployment: string, rest: Record<string, string>): Promise<string> {
    const Tags = tagsOf(deployment, rest);
    const { NetworkInterface } = await account.ec2.send(
      new CreateNetworkInterfaceCommand({
        SubnetId: account.subnets[0]!.subnetId,
        TagSpecifications: [{ ResourceType: 'network-interface', Tags }],
      }),
    );
    return NetworkInterface!.NetworkInterfaceId!;
  }

  async function makeGroup(name: string, deployment: string, rest: Record<string, string>): Promise<void> {
    await autoScaling.send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: name,
        LaunchConfigurationName: 'control',
        MinSize: 1,
        MaxSize: 1,
        DesiredCapacity: 1,
        VPCZoneIdentifier: account.subnets[0]!.subnetId,
        Tags: tagsOf(deployment, rest).map((tag) => ({ ...tag, PropagateAtLaunch: true })),
      }),
    );
  }

  async function desired(name: string): Promise<number> {
    const { AutoScalingGroups } = await autoScaling.send(
      new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }),
    );
    return AutoScalingGroups![0]!.DesiredCapacity!;
  }

  async function isRunning(instanceId: string): Promise<boolean> {
    const request = new DescribeInstancesCommand({ InstanceIds: [instanceId] });
    const { Reservations } = await account.ec2.send(request);
    return Reservations![0]!.Instances![0]!.State!.Name === 'running';
  }

  const run = (own?: OwnDeployment) => {
    const { clock } = createNodeHost();
    return reap({ clock, ec2: account.ec2, autoScaling, cloudFormation }, own === undefined ? {} : { own });
  };

  it('ends what is past its time: machines, interfaces and the group of the control plane, and nothing else', async () => {
    const expired = { [tagKeys.expiresAt]: past };
    const late = await makeInstance('late', { ...machine, ...expired });
    const free = await makeInterface('late', { ...machine, ...expired });
    await makeGroup('late-control', 'late', expired);
    const living = await makeInstance('living', { ...machine, [tagKeys.expiresAt]: future });
    const lasting = await makeInstance('lasting', machine);
    await makeGroup('living-control', 'living', { [tagKeys.expiresAt]: 'never' });

    expect(await run()).toEqual({
      terminated: [late],
      interfaces: [free],
      groups: ['late-control'],
      left: [],
    });
    expect(await isRunning(late)).toBe(false);
    expect([await isRunning(living), await isRunning(lasting)]).toEqual([true, true]);
    expect([await desired('late-control'), await desired('living-control')]).toEqual([0, 1]);
    const { NetworkInterfaces = [] } = await account.ec2.send(
      new DescribeNetworkInterfacesCommand({
        Filters: [{ Name: `tag:${tagKeys.deployment}`, Values: ['late'] }],
      }),
    );
    expect(NetworkInterfaces.map(({ NetworkInterfaceId }) => NetworkInterfaceId)).not.toContain(free);
    expect(await run()).toEqual({ terminated: [], interfaces: [], groups: [], left: [] });
  });

  it('ends what is of a stack that is gone, and leaves what is of one that is there', async () => {
    const make = async (StackName: string) =>
      (await cloudFormation.send(new CreateStackCommand({ StackName, TemplateBody: template }))).StackId!;
    const [gone, there] = [await make('gone'), await make('there')];
    const orphan = await makeInstance('gone', { ...machine, [tagKeys.stack]: gone });
    const kept = await makeInstance('there', { ...machine, [tagKeys.stack]: there });
    const forgotten = await makeInstance('forgotten', {
      ...machine,
      [tagKeys.stack]: there.replace('stack/there', 'stack/forgotten'),
    });
    expect((await run()).terminated).toEqual([forgotten]);
    await cloudFormation.send(new DeleteStackCommand({ StackName: gone }));
    expect((await run()).terminated).toEqual([orphan]);
    expect([await isRunning(kept), await isRunning(forgotten)]).toEqual([true, false]);
  });

  it('of one deployment touches no other, and heeds the time that the deployment has now', async () => {
    const expired = { ...machine, [tagKeys.expiresAt]: past };
    const [own, foreign] = [await makeInstance('mine', expired), await makeInstance('yours', expired)];
    expect((await run({ deployment: 'mine', expiresAt: future })).terminated).toEqual([]);
    expect((await run({ deployment: 'mine', expiresAt: past })).terminated).toEqual([own]);
    expect(await isRunning(foreign)).toBe(true);
  });
});
