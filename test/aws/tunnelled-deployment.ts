/**
 * A deployment as the command line sees it through its tunnel: moto for what is asked of AWS, a control API whose machines
 * are processes behind the tunnel, and a process that stands in for the tunnel itself (tunnel-stand-in.js).
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { StackOutputs } from '../../cli/src/aws/stack-outputs.ts';
import { type ControlApiProcess, startControlApi } from '../../cli/src/daemon/control-api-process.ts';
import { type Emulator, emulatorRegion } from './emulator.ts';
import { startMoto } from './moto.ts';
import { clientOf, createOutputsStack, ownTags, type Value } from './outputs-stack.ts';
import { layOutTunnelPrograms } from './tunnel-programs.ts';

/** The control API's admin token. */
export const token = 'f'.repeat(64);
export const stack = 'Bees';

export const vpc = { Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16' } } };
const group = {
  ...vpc,
  Subnet: { Type: 'AWS::EC2::Subnet', Properties: { CidrBlock: '10.0.0.0/24', VpcId: { Ref: 'Vpc' } } },
  Template: {
    Type: 'AWS::EC2::LaunchTemplate',
    Properties: {
      LaunchTemplateData: {
        ImageId: 'ami-12345678',
        InstanceType: 't4g.small',
        TagSpecifications: [{ ResourceType: 'instance', Tags: ownTags }],
      },
    },
  },
  Group: {
    Type: 'AWS::AutoScaling::AutoScalingGroup',
    Properties: {
      MinSize: '1',
      MaxSize: '1',
      DesiredCapacity: '1',
      VPCZoneIdentifier: [{ Ref: 'Subnet' }],
      LaunchTemplate: {
        LaunchTemplateId: { Ref: 'Template' },
        Version: { 'Fn::GetAtt': ['Template', 'LatestVersionNumber'] },
      },
    },
  },
};

export interface BegunTunnel {
  readonly pid: number;
  readonly words: readonly string[];
}

export class TunnelledDeployment {
  /** Of the test's own: removed at the end. */
  readonly directory: string;
  /** Of the command line's. */
  readonly state: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What its stack's outputs are; those of other stacks can be made of them. */
  readonly outputs: Partial<Record<keyof StackOutputs, Value>>;
  readonly moto: Emulator;
  readonly #controlApi: ControlApiProcess;

  private constructor(
    parts: { directory: string; moto: Emulator; controlApi: ControlApiProcess },
    outputs: Partial<Record<keyof StackOutputs, Value>>,
  ) {
    const { directory, moto, controlApi } = parts;
    this.directory = directory;
    this.state = join(directory, 'state');
    this.moto = moto;
    this.#controlApi = controlApi;
    this.outputs = outputs;
    this.environment = {
      ...moto.environment,
      PATH: `${join(directory, 'bin')}:${process.env.PATH}`,
      TUNNEL_TARGET: new URL(controlApi.url).host,
      TUNNEL_LOG: join(directory, 'tunnels'),
    };
  }

  static async start(): Promise<TunnelledDeployment> {
    const directory = mkdtempSync(join(tmpdir(), 'skep-tunnelled-'));
    writeFileSync(join(directory, 'token'), token, { mode: 0o600 });
    layOutTunnelPrograms(join(directory, 'bin'));
    const [moto, controlApi] = await Promise.all([
      startMoto(),
      startControlApi({
        stateDirectory: join(directory, 'control-api'),
        port: 0,
        adminTokenFile: join(directory, 'token'),
        logFile: join(directory, 'control-api.log'),
        exitWithParent: true,
        runner: { SKEP_RUNNER: 'process' },
      }),
    ]);
    const { ARN = '' } = await new SecretsManagerClient(clientOf(moto)).send(
      new CreateSecretCommand({ Name: 'admin', SecretString: JSON.stringify({ token }) }),
    );
    const bucket = 'bees-bundles';
    await new S3Client({ ...clientOf(moto), forcePathStyle: true }).send(
      new CreateBucketCommand({
        Bucket: bucket,
        CreateBucketConfiguration: { LocationConstraint: emulatorRegion },
      }),
    );
    const outputs = { AdminTokenSecret: ARN, ControlGroup: { Ref: 'Group' }, BundlesBucket: bucket };
    await createOutputsStack(moto, stack, group, outputs);
    return new TunnelledDeployment({ directory, moto, controlApi }, outputs);
  }

  /** All that were begun. */
  tunnels(): BegunTunnel[] {
    const log = join(this.directory, 'tunnels');
    if (!existsSync(log)) return [];
    return readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  async stop(): Promise<void> {
    for (const { pid } of this.tunnels()) endQuietly(pid);
    this.#controlApi.child.kill('SIGKILL');
    await this.moto.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function endQuietly(pid: number): void {
  if (isRunning(pid)) process.kill(pid, 'SIGKILL');
}
