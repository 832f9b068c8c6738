/** What `skep destroy` looks for at the end, with moto for AWS: each kind of thing is found by its stack's tag. */
import {
  CreateVolumeCommand,
  CreateVpcCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { tagKeys } from '@skep/contract';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AwsAccount } from '../../cli/src/aws/account.ts';
import { findLeftovers } from '../../cli/src/aws/leftovers.ts';
import type { Emulator } from './emulator.ts';
import { hasMoto, startMoto } from './moto.ts';
import { clientOf } from './outputs-stack.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const stackId = 'arn:aws:cloudformation:eu-central-1:123456789012:stack/Bees/1';
const Tags = [{ Key: tagKeys.stack, Value: stackId }];

describe.skipIf(!hasMoto() && mayBeMissing)('findLeftovers (moto, from test/aws/install-emulators)', () => {
  let moto: Emulator;
  beforeEach(async () => {
    moto = await startMoto();
    for (const [name, value] of Object.entries(moto.environment)) vi.stubEnv(name, value);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await moto?.stop();
  });

  it('finds instances, volumes and interfaces of the stack, and no others', async () => {
    const account = new AwsAccount({ signal: new AbortController().signal });
    expect(await findLeftovers(account, stackId)).toEqual({ machines: [], others: [] });

    const ec2 = new EC2Client(clientOf(moto));
    const run = (tags: typeof Tags) =>
      ec2.send(
        new RunInstancesCommand({
          ImageId: 'ami-12345678',
          MinCount: 1,
          MaxCount: 1,
          TagSpecifications: [{ ResourceType: 'instance', Tags: tags }],
        }),
      );
    const ours = await run(Tags);
    await run([{ Key: tagKeys.stack, Value: `${stackId}2` }]);
    const volume = await ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: 'eu-central-1a',
        Size: 1,
        TagSpecifications: [{ ResourceType: 'volume', Tags }],
      }),
    );
    const instanceId = ours.Instances?.[0]?.InstanceId ?? '';
    expect(await findLeftovers(account, stackId)).toEqual({
      machines: [instanceId, volume.VolumeId],
      others: [],
    });

    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    expect(await findLeftovers(account, stackId)).toEqual({ machines: [volume.VolumeId], others: [] });
  });

  it('lists what else carries the tag', async () => {
    const account = new AwsAccount({ signal: new AbortController().signal });
    const ec2 = new EC2Client(clientOf(moto));
    const { Vpc } = await ec2.send(
      new CreateVpcCommand({ CidrBlock: '10.9.0.0/16', TagSpecifications: [{ ResourceType: 'vpc', Tags }] }),
    );
    expect((await findLeftovers(account, stackId)).others).toEqual([
      expect.stringContaining(Vpc?.VpcId ?? '?'),
    ]);
  });
});
