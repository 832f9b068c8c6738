/** The functions `deploy` and `teardown` as they are, on moto: what is made of an order, who is found by tags, and what is ended. */
import {
  CreateNetworkInterfaceCommand,
  DescribeInstanceAttributeCommand,
  DescribeNetworkInterfacesCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  LaunchAnswer,
  ListAnswer,
  type MachineOrder,
  type MachineToken,
  TeardownAnswer,
  tagKeys,
} from '@skep/contract';
import { AwsFunctions } from '@skep/control-api/launchers/aws-functions';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { machineOrder } from '../../lambdas/src/testing/orders.ts';
import { type MotoAccount, MotoDeployment, startMotoAccount } from './deployment-on-moto.ts';
import { hasMoto } from './moto.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const patienceMs = 60_000;
const otherUid = 'd'.repeat(32);

describe.skipIf(!hasMoto() && mayBeMissing)('launching on moto', { timeout: 120_000 }, () => {
  let account: MotoAccount;
  let deployment: MotoDeployment;
  let deployments = 0;
  beforeAll(async () => {
    account = await startMotoAccount();
  }, patienceMs);
  afterAll(() => account.stop());
  beforeEach(async () => {
    deployments += 1;
    deployment = await MotoDeployment.start(account, `launching-${deployments}`);
  }, patienceMs);
  afterEach(() => deployment.stop());

  let addresses = 3;
  /** Never one twice: all deployments here stand in one network. */
  const nextAddress = () => {
    addresses += 1;
    return `10.0.0.${addresses}`;
  };
  const order = (machine: Parameters<typeof machineOrder>[0] = {}) =>
    machineOrder(machine, { address: nextAddress() });
  const functions = () => new AwsFunctions({ lambda: deployment.lambda });
  const launch = async (...machines: MachineOrder[]) =>
    (await functions().call('deploy', { action: 'launch', machines }, LaunchAnswer)).outcomes;
  const list = async (which: object = {}) =>
    (await functions().call('deploy', { action: 'list', ...which }, ListAnswer)).instances;
  const tearDown = (request: object) => functions().call('teardown', request, TeardownAnswer);
  const stateOf = async (machine: MachineToken) =>
    (await deployment.instancesOf(machine)).map(({ State }) => State?.Name);
  const interfaces = async () => {
    const Filters = [{ Name: `tag:${tagKeys.deployment}`, Values: [deployment.name] }];
    return (
      (await account.ec2.send(new DescribeNetworkInterfacesCommand({ Filters }))).NetworkInterfaces ?? []
    );
  };

  it('makes all machines of a request, each at its address, from the template, tagged as the deployment’s', async () => {
    const orders = [
      machineOrder({ slot: 'bootstrap-1' }, { address: '10.0.0.200' }),
      machineOrder(
        { slot: 'peer-1', generation: 2 },
        { address: '10.0.1.4', placement: { instanceType: 't4g.medium' } },
      ),
      machineOrder({ slot: 'peer-2' }, { address: '10.0.1.5', placement: { zone: 'eu-central-1a' } }),
    ];
    const outcomes = await launch(...orders);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['launched', 'launched', 'no-capacity']);
    const [bootstrap] = await deployment.instancesOf(orders[0]!.machine);
    const [peer] = await deployment.instancesOf(orders[1]!.machine);
    expect(bootstrap).toMatchObject({
      PrivateIpAddress: '10.0.0.200',
      SubnetId: account.subnets[0]!.subnetId,
      InstanceType: 't4g.small',
      Placement: { AvailabilityZone: 'eu-central-1a' },
    });
    expect(peer).toMatchObject({ PrivateIpAddress: '10.0.1.4', InstanceType: 't4g.medium' });
    const tags = Object.fromEntries(peer!.Tags!.map(({ Key, Value }) => [Key, Value]));
    expect(tags).toMatchObject({
      'skep:cluster': deployment.name,
      'skep:uid': orders[1]!.machine.clusterUid,
      'skep:slot': 'peer-1',
      'skep:role': 'peer',
      'skep:generation': '2',
      'skep:attempt': '1',
      'skep:token': orders[1]!.machine.token,
      'skep:stack': expect.stringContaining(`stack/${deployment.name}/`),
    });
    const { UserData } = await account.ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId: peer!.InstanceId!, Attribute: 'userData' }),
    );
    const userData = Buffer.from(UserData!.Value!, 'base64').toString();
    expect(userData).toMatch(/^#cloud-config\n/);
    expect(userData).toContain(orders[1]!.config.joinSecret);
  });

  it('lists those that are not terminated: all, of a cluster, or of some instances', async () => {
    const [one, other] = [order(), order({ clusterUid: otherUid })];
    await launch(one, other);
    expect((await list()).map(({ machine }) => machine.clusterUid).sort()).toEqual([
      one.machine.clusterUid,
      otherUid,
    ]);
    const [listed] = await list({ clusterUid: otherUid });
    expect(listed).toMatchObject({ machine: other.machine, state: 'running' });
    expect(await list({ instanceIds: [listed!.instanceId] })).toEqual([listed]);
    await deployment.endInstance(listed!.instanceId);
    expect(await list({ instanceIds: [listed!.instanceId] })).toEqual([]);
    expect(await list({ clusterUid: otherUid })).toEqual([]);
  });

  it('ends a machine and no other, and nothing that does not bear the deployment’s tag', async () => {
    const [one, other] = [order(), order({ slot: 'peer-2' })];
    await launch(one, other);
    const { Instances } = await account.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: (await deployment.instancesOf(one.machine))[0]!.ImageId!,
        TagSpecifications: [
          {
            ResourceType: 'instance',
            Tags: [
              { Key: tagKeys.deployment, Value: 'somebody-elses' },
              { Key: tagKeys.token, Value: one.machine.token },
              { Key: tagKeys.uid, Value: one.machine.clusterUid },
            ],
          },
        ],
      }),
    );
    const foreign = Instances![0]!.InstanceId!;
    expect(await tearDown({ scope: 'machines', machines: [one.machine], waitMs: 10_000 })).toEqual({
      state: 'gone',
      left: [],
      gone: [one.machine.token],
    });
    expect(await stateOf(one.machine)).toEqual(['terminated']);
    expect(await stateOf(other.machine)).toEqual(['running']);
    await tearDown({ scope: 'cluster', waitMs: 10_000 });
    expect(await stateOf(other.machine)).toEqual(['terminated']);
    expect(await deployment.isRunning(foreign)).toBe(true);
  });

  it('answers at once that a machine is ending, and the next time that it is gone', async () => {
    const asked = order();
    const { machine } = asked;
    await launch(asked);
    const ending = await tearDown({ scope: 'machines', machines: [machine] });
    expect(ending).toMatchObject({
      state: 'ending',
      left: [expect.stringMatching(/^peer-1@1: i-[0-9a-f]+ is running$/)],
    });
    expect((await tearDown({ scope: 'machines', machines: [machine] })).state).toBe('gone');
    expect((await tearDown({ scope: 'machines', machines: [machine] })).state).toBe('gone');
    expect(await launch(asked)).toMatchObject([{ outcome: 'exited' }]);
  });

  it('ends a cluster with its interfaces, launches nothing in it any more, and leaves others alone', async () => {
    const one = order();
    const other = order({ clusterUid: otherUid });
    await launch(one, other);
    const Tags = [
      { Key: tagKeys.deployment, Value: deployment.name },
      { Key: tagKeys.uid, Value: one.machine.clusterUid },
      { Key: tagKeys.token, Value: one.machine.token },
    ];
    await account.ec2.send(
      new CreateNetworkInterfaceCommand({
        SubnetId: account.subnets[0]!.subnetId,
        TagSpecifications: [{ ResourceType: 'network-interface', Tags }],
      }),
    );
    expect(await interfaces()).not.toEqual([]);
    const request = { scope: 'cluster', clusterUid: one.machine.clusterUid, waitMs: 20_000 };
    expect(await tearDown(request)).toEqual({ state: 'gone', left: [], gone: [] });
    expect(await tearDown(request)).toEqual({ state: 'gone', left: [], gone: [] });
    expect(await list()).toMatchObject([{ machine: other.machine }]);
    const late = order({ slot: 'peer-9' });
    expect(await launch(late)).toMatchObject([
      { outcome: 'called-off', message: expect.stringContaining('being torn down') },
    ]);
    expect(await deployment.instancesOf(late.machine)).toEqual([]);
  });

  it('ends all of a deployment, and launches nothing in it any more', async () => {
    await launch(order(), order({ clusterUid: otherUid }));
    expect((await tearDown({ scope: 'cluster', waitMs: 20_000 })).state).toBe('gone');
    expect(await list()).toEqual([]);
    expect(await interfaces()).toEqual([]);
    expect(await launch(order({ clusterUid: 'e'.repeat(32) }))).toMatchObject([{ outcome: 'called-off' }]);
  });

  it('refuses a request that is none, in a sentence', async () => {
    await expect(
      functions().call('deploy', { action: 'launch', machines: [] }, LaunchAnswer),
    ).rejects.toThrow(/deploy failed: the request is not as it must be: .* at machines/);
    await expect(tearDown({ scope: 'everything' })).rejects.toThrow(
      /teardown failed: the request is not as it must be/,
    );
  });
});
