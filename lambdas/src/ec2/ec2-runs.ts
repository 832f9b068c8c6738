/** `InstanceRuns` on EC2. The client is made with `maxAttempts: 1`: what is repeated, and for how long, is the caller's to decide. */
import {
  type _InstanceType,
  type EC2Client,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import type { Clock } from '@skep/p2p-core/host';
import { instanceOf } from './ec2-instances.ts';
import type { InstanceRuns, RunOutcome, RunParameters } from './instances.ts';
import { tagsOf } from './machine-tags.ts';
import { meaningOf } from './run-errors.ts';

export class Ec2Runs implements InstanceRuns {
  readonly #ec2: EC2Client;
  readonly #clock: Clock;
  readonly #deployment: string;

  constructor(components: { ec2: EC2Client; clock: Clock }, options: { deployment: string }) {
    this.#ec2 = components.ec2;
    this.#clock = components.clock;
    this.#deployment = options.deployment;
  }

  async run(parameters: RunParameters, timeoutMs: number): Promise<RunOutcome> {
    const aborting = new AbortController();
    const timer = this.#clock.setTimer(timeoutMs, () => aborting.abort());
    try {
      const { Instances: made } = await this.#ec2.send(
        new RunInstancesCommand(runInput(this.#deployment, parameters)),
        { abortSignal: aborting.signal },
      );
      const instance = made?.[0] && instanceOf(made[0]);
      if (instance === undefined) return { kind: 'unknown', message: 'EC2 answered without an instance' };
      return { kind: 'instance', instance: { ...instance, machine: parameters.machine } };
    } catch (error) {
      if (aborting.signal.aborted)
        return { kind: 'unknown', message: `EC2 did not answer within ${Math.round(timeoutMs)} ms` };
      return refusalOf(error);
    } finally {
      timer.cancel();
    }
  }
}

/** The call for a machine's instance: the same for the same parameters. */
export function runInput(deployment: string, parameters: RunParameters): RunInstancesCommandInput {
  const { machine, frozen, address, instanceType, userData } = parameters;
  const Tags = tagsOf(deployment, parameters);
  return {
    ClientToken: machine.token,
    MinCount: 1,
    MaxCount: 1,
    LaunchTemplate: { LaunchTemplateId: frozen.launchTemplateId, Version: frozen.launchTemplateVersion },
    ...(instanceType === undefined ? {} : { InstanceType: instanceType as _InstanceType }),
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: frozen.subnetId,
        PrivateIpAddress: address,
        Groups: [frozen.securityGroupId],
        DeleteOnTermination: true,
      },
    ],
    UserData: base64(userData),
    TagSpecifications: [
      { ResourceType: 'instance', Tags },
      { ResourceType: 'volume', Tags },
      { ResourceType: 'network-interface', Tags },
    ],
  };
}

function refusalOf(error: unknown): RunOutcome {
  const { name, message, $metadata } = error as Partial<Error> & { $metadata?: { httpStatusCode?: number } };
  return { kind: meaningOf(name ?? '', $metadata?.httpStatusCode), message: `${name}: ${message}` };
}

function base64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
