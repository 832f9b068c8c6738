/**
 * The front as a deployment meets it: MiniStack behind it, instances as containers of the instance image, the SDK before it.
 * What each shim supplies is asked for by the API whose behaviour it is.
 */
import {
  AutoScalingClient,
  DescribeAutoScalingGroupsCommand,
  UpdateAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import {
  CloudFormationClient,
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStacksCommand,
} from '@aws-sdk/client-cloudformation';
import { BatchGetBuildsCommand, CodeBuildClient, StartBuildCommand } from '@aws-sdk/client-codebuild';
import {
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  EC2Client,
  GetConsoleOutputCommand,
  type Instance,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { ChangeResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import { GetBucketTaggingCommand, S3Client } from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../chaos/waiting.ts';
import { hasEngine, productImage } from '../../containers/image.ts';
import { type Account, startAccount } from '../account.ts';
import { buildInstanceImage } from '../instance/image.ts';
import { hasMiniStack } from '../ministack.ts';
import { openSession } from '../session.ts';
import type { BuildEnvironment } from './builds.ts';
import { trialTemplate } from './trial-stack.ts';

const isRequired = process.env.SKEP_TEST_ALL === '1';
const stackName = 'Front';
const startMs = 900_000;
const testMs = 120_000;

describe.skipIf(!isRequired && !(hasEngine() && hasMiniStack()))(
  'the front (needs a Docker engine, and test/aws/install-emulators)',
  () => {
    let account: Account;
    let outputs: Record<string, string>;
    let client: {
      endpoint: string;
      region: string;
      credentials: { accessKeyId: string; secretAccessKey: string };
    };
    let ec2: EC2Client;
    const builds: { environment: BuildEnvironment; settle: PromiseWithResolvers<void> }[] = [];
    const docker = new Docker();

    beforeAll(async () => {
      account = await startAccount({
        instanceImage: buildInstanceImage(productImage()),
        build: (environment) => {
          const settle = Promise.withResolvers<void>();
          builds.push({ environment, settle });
          return settle.promise;
        },
      });
      client = {
        endpoint: account.environment.AWS_ENDPOINT_URL!,
        region: account.region,
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      };
      ec2 = new EC2Client(client);
      outputs = await createStack();
    }, startMs);

    afterAll(async () => {
      expect(await account?.stop()).toEqual([]);
    }, testMs);

    const described = async (instanceId: string): Promise<Instance> => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
      return Reservations![0]!.Instances![0]!;
    };
    const inState = (instanceId: string, state: string) =>
      until(`${instanceId} to be ${state}`, async () => {
        const instance = await described(instanceId);
        return instance.State?.Name === state && instance;
      });
    const console = async (instanceId: string): Promise<string> => {
      const { Output = '' } = await ec2.send(new GetConsoleOutputCommand({ InstanceId: instanceId }));
      return Buffer.from(Output, 'base64').toString('utf8');
    };
    const printed = (instanceId: string, text: string) =>
      until(`${instanceId} to print ${text}`, async () => (await console(instanceId)).includes(text), {
        state: () => console(instanceId),
      });
    const container = (instanceId: string) => docker.getContainer(`${account.label}-${instanceId}`);

    /** From the stack's template, with this user data. */
    async function run(userData: string, more: { ClientToken?: string; address?: string } = {}) {
      const { Instances } = await ec2.send(
        new RunInstancesCommand({
          MinCount: 1,
          MaxCount: 1,
          LaunchTemplate: { LaunchTemplateId: outputs.Template!, Version: '1' },
          UserData: Buffer.from(userData).toString('base64'),
          ...(more.ClientToken === undefined ? {} : { ClientToken: more.ClientToken }),
          NetworkInterfaces: [
            {
              DeviceIndex: 0,
              SubnetId: outputs.Subnet!,
              ...(more.address === undefined ? {} : { PrivateIpAddress: more.address }),
              Groups: [outputs.Group!],
              DeleteOnTermination: true,
            },
          ],
        }),
      );
      return Instances![0]!;
    }

    const ends = async (instanceId: string) => {
      await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
      await inState(instanceId, 'terminated');
    };

    it(
      'runs what its user data says, at its address, in its subnet’s zone, with the template’s tags',
      async () => {
        const address = account.vpcCidr.replace('.0.0/16', '.16.77');
        const userData = `#cloud-config
write_files:
  - path: /tmp/greeting
    permissions: '0640'
    content: "hello from cloud-init\\n"
runcmd:
  - [cat, /tmp/greeting]
  - stat -c 'mode %a' /tmp/greeting; hostname -I | tr ' ' '\\n' | sed 's/^/address /'
`;
        const { InstanceId } = await run(userData, { address });
        const instance = await inState(InstanceId!, 'running');
        expect(instance).toMatchObject({
          PrivateIpAddress: address,
          SubnetId: outputs.Subnet,
          Placement: { AvailabilityZone: `${account.region}b` },
          Tags: [{ Key: 'made-by', Value: 'template' }],
        });
        await printed(InstanceId!, 'hello from cloud-init');
        await printed(InstanceId!, 'mode 640');
        await printed(InstanceId!, `address ${address}`);
        await ends(InstanceId!);
        expect(await console(InstanceId!)).toContain('hello from cloud-init');
      },
      testMs,
    );

    it(
      'gives an instance its metadata for a session’s token, and nothing without',
      async () => {
        const script = `#!/bin/sh
exec node -e '
  const imds = "http://169.254.169.254/latest";
  const token = await (await fetch(imds + "/api/token", {
    method: "PUT", headers: { "x-aws-ec2-metadata-token-ttl-seconds": "60" },
  })).text();
  const get = (path, headers = { "x-aws-ec2-metadata-token": token }) => fetch(imds + path, { headers });
  console.log("bare " + (await get("/meta-data/instance-id", {})).status);
  console.log("id " + await (await get("/meta-data/instance-id")).text());
  console.log("role " + await (await get("/meta-data/iam/security-credentials/")).text());
' --input-type=module
`;
        const { InstanceId } = await run(script);
        await printed(InstanceId!, 'bare 401');
        await printed(InstanceId!, `id ${InstanceId}`);
        await printed(InstanceId!, 'role ');
        await ends(InstanceId!);
      },
      testMs,
    );

    it(
      'resolves the names of hosted zones for instances',
      async () => {
        await new Route53Client(client).send(
          new ChangeResourceRecordSetsCommand({
            HostedZoneId: outputs.Zone,
            ChangeBatch: {
              Changes: [
                {
                  Action: 'UPSERT',
                  ResourceRecordSet: {
                    Name: 'control.front.internal',
                    Type: 'A',
                    TTL: 5,
                    ResourceRecords: [{ Value: '10.1.2.3' }],
                  },
                },
              ],
            },
          }),
        );
        const { InstanceId } = await run(
          '#!/bin/sh\ngetent hosts control.front.internal\ngetent hosts other.front.internal || echo none other\n',
        );
        await printed(InstanceId!, '10.1.2.3');
        await printed(InstanceId!, 'none other');
        await ends(InstanceId!);
      },
      testMs,
    );

    it(
      'makes one instance of a token, and ends it when it powers itself off, which rules’ queues are told',
      async () => {
        const off = '#!/bin/sh\necho goes off\npoweroff\n';
        const ClientToken = 'a'.repeat(64);
        const { InstanceId } = await run(off, { ClientToken });
        const again = run(off, { ClientToken });
        const outcome = await again.then(
          ({ InstanceId: id }) => id,
          ({ name }: Error) => name,
        );
        expect([InstanceId, 'IdempotentInstanceTerminated']).toContain(outcome);
        const ended = await inState(InstanceId!, 'terminated');
        expect(ended.StateReason?.Code).toBe('Client.InstanceInitiatedShutdown');
        await expect(run(off, { ClientToken })).rejects.toMatchObject({
          name: 'IdempotentInstanceTerminated',
        });
        await expect(run('#!/bin/sh\n', { ClientToken })).rejects.toMatchObject({
          name: 'IdempotentParameterMismatch',
        });
        const told = await until('the queue to be told', async () => {
          const events = await receive();
          return events.find(({ detail }) => detail['instance-id'] === InstanceId);
        });
        expect(told).toMatchObject({
          source: 'aws.ec2',
          'detail-type': 'EC2 Instance State-change Notification',
          region: account.region,
          detail: { 'instance-id': InstanceId, state: 'terminated' },
        });
      },
      testMs,
    );

    it(
      'keeps a group at as many instances as it desires, and tells which',
      async () => {
        const autoScaling = new AutoScalingClient(client);
        const members = async () => {
          const { AutoScalingGroups } = await autoScaling.send(new DescribeAutoScalingGroupsCommand({}));
          return AutoScalingGroups![0]!.Instances!;
        };
        const resize = (size: number) =>
          autoScaling.send(
            new UpdateAutoScalingGroupCommand({
              AutoScalingGroupName: outputs.Scaled,
              MinSize: size,
              MaxSize: size,
              DesiredCapacity: size,
            }),
          );
        await resize(1);
        const first = await until('an instance of the group', async () =>
          (await members()).find(({ LifecycleState }) => LifecycleState === 'InService'),
        );
        expect((await described(first.InstanceId!)).Tags).toEqual(
          expect.arrayContaining([
            { Key: 'made-by', Value: 'template' },
            { Key: 'aws:autoscaling:groupName', Value: outputs.Scaled },
          ]),
        );
        await container(first.InstanceId!).kill();
        const second = await until('its replacement', async () =>
          (await members()).find(
            ({ InstanceId, LifecycleState }) =>
              InstanceId !== first.InstanceId && LifecycleState === 'InService',
          ),
        );
        await resize(0);
        await inState(second.InstanceId!, 'terminated');
        expect(await members()).toEqual([]);
      },
      testMs,
    );

    it(
      'opens a port of an instance’s loopback, as a session would',
      async () => {
        const { InstanceId, PrivateIpAddress } = await run(
          `#!/bin/sh\nexec node -e 'require("http").createServer((_, out) => out.end("inside")).listen(8080, "127.0.0.1", () => console.log("listens"))'\n`,
        );
        await printed(InstanceId!, 'listens');
        const session = await openSession({ address: () => PrivateIpAddress, port: 8080 });
        try {
          expect(await (await fetch(`http://127.0.0.1:${session.port}`)).text()).toBe('inside');
        } finally {
          await session.close();
        }
        await ends(InstanceId!);
      },
      testMs,
    );

    it(
      'has a build in progress until its work is done, and failed if that fails',
      async () => {
        const codeBuild = new CodeBuildClient(client);
        const start = async () =>
          (
            await codeBuild.send(
              new StartBuildCommand({
                projectName: outputs.Project,
                environmentVariablesOverride: [{ name: 'TAG', value: 'of the call' }],
              }),
            )
          ).build!;
        const status = async (id: string) =>
          (await codeBuild.send(new BatchGetBuildsCommand({ ids: [id] }))).builds![0]!.buildStatus;
        const [good, bad] = [await start(), await start()];
        expect(good.buildStatus).toBe('IN_PROGRESS');
        expect(builds[0]!.environment).toEqual({ PLACE: 'of the project', TAG: 'of the call' });
        expect(await status(good.id!)).toBe('IN_PROGRESS');
        builds[0]!.settle.resolve();
        builds[1]!.settle.reject(new Error('no space'));
        await until('both to end', async () => (await status(good.id!)) !== 'IN_PROGRESS');
        expect([await status(good.id!), await status(bad.id!)]).toEqual(['SUCCEEDED', 'FAILED']);
      },
      testMs,
    );

    it('has rules between security groups, tags of buckets, and secrets without punctuation', async () => {
      const { SecurityGroups } = await ec2.send(
        new DescribeSecurityGroupsCommand({ GroupIds: [outputs.Group!] }),
      );
      expect(SecurityGroups![0]!.IpPermissions).toMatchObject([
        { IpProtocol: 'udp', FromPort: 6881, ToPort: 6881, UserIdGroupPairs: [{ GroupId: outputs.Group }] },
      ]);
      const { TagSet } = await new S3Client({ ...client, forcePathStyle: true }).send(
        new GetBucketTaggingCommand({ Bucket: outputs.Bucket }),
      );
      expect(TagSet).toContainEqual({ Key: 'kept', Value: 'yes' });
      const { SecretString } = await new SecretsManagerClient(client).send(
        new GetSecretValueCommand({ SecretId: outputs.Secret }),
      );
      expect(JSON.parse(SecretString!).token).toMatch(/^[0-9A-Za-z]{64}$/);
    });

    it(
      'ends a group’s instances with its stack',
      async () => {
        const cloudFormation = new CloudFormationClient(client);
        await new AutoScalingClient(client).send(
          new UpdateAutoScalingGroupCommand({
            AutoScalingGroupName: outputs.Scaled,
            MaxSize: 1,
            DesiredCapacity: 1,
          }),
        );
        const living = async () => {
          const { Reservations = [] } = await ec2.send(
            new DescribeInstancesCommand({
              Filters: [
                { Name: 'tag-key', Values: ['aws:autoscaling:groupName'] },
                { Name: 'instance-state-name', Values: ['pending', 'running'] },
              ],
            }),
          );
          return Reservations.length;
        };
        await until('the group’s instance', async () => (await living()) === 1);
        await cloudFormation.send(new DeleteStackCommand({ StackName: stackName }));
        await until('its end', async () => (await living()) === 0);
      },
      testMs,
    );

    async function receive(): Promise<{ detail: Record<string, string> }[]> {
      const { Messages = [] } = await new SQSClient(client).send(
        new ReceiveMessageCommand({ QueueUrl: outputs.Queue, MaxNumberOfMessages: 10 }),
      );
      return Messages.map(({ Body }) => JSON.parse(Body!));
    }

    async function createStack(): Promise<Record<string, string>> {
      const cloudFormation = new CloudFormationClient(client);
      await cloudFormation.send(
        new CreateStackCommand({
          StackName: stackName,
          TemplateBody: JSON.stringify(trialTemplate(account)),
        }),
      );
      const stack = await until('the stack', async () => {
        const { Stacks } = await cloudFormation.send(new DescribeStacksCommand({ StackName: stackName }));
        const { StackStatus, StackStatusReason } = Stacks![0]!;
        if (StackStatus?.includes('ROLLBACK')) throw new Error(StackStatusReason);
        return StackStatus === 'CREATE_COMPLETE' && Stacks![0]!;
      });
      return Object.fromEntries(
        stack.Outputs!.map(({ OutputKey, OutputValue }) => [OutputKey!, OutputValue!]),
      );
    }
  },
);
