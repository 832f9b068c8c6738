/** `Instances` on EC2, by its tags. Refusals that pass are repeated by the client. */
import {
  type EC2Client,
  type Instance as Ec2Instance,
  type Filter,
  GetConsoleOutputCommand,
  type GetConsoleOutputCommandInput,
  paginateDescribeInstances,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { type MachineToken, tagKeys } from '@skep/contract';
import type { Instance, InstanceState, Instances } from './instances.ts';
import { machineOf } from './machine-tags.ts';

/** DescribeInstances takes no more values of one filter. */
const mostFilterValues = 200;
const mostTerminatedAtOnce = 100;
const living = ['pending', 'running', 'stopping', 'stopped', 'shutting-down'];

export class Ec2Instances implements Instances {
  readonly #ec2: EC2Client;
  readonly #deployment: string;

  constructor(components: { ec2: EC2Client }, options: { deployment: string }) {
    this.#ec2 = components.ec2;
    this.#deployment = options.deployment;
  }

  async find(machines: readonly Pick<MachineToken, 'token'>[]): Promise<readonly Instance[]> {
    const found: Instance[] = [];
    for (const some of chunks(machines, mostFilterValues)) {
      const Values = some.map(({ token }) => token);
      found.push(...(await this.#describe([{ Name: `tag:${tagKeys.token}`, Values }])));
    }
    return found;
  }

  list({ clusterUid, instanceIds }: Parameters<Instances['list']>[0]): Promise<readonly Instance[]> {
    return this.#describe([
      { Name: 'instance-state-name', Values: living },
      // Not the control plane's, which bears the deployment's tag too.
      { Name: 'tag-key', Values: [tagKeys.token] },
      ...(clusterUid === undefined ? [] : [{ Name: `tag:${tagKeys.uid}`, Values: [clusterUid] }]),
      ...(instanceIds === undefined ? [] : [{ Name: 'instance-id', Values: [...instanceIds] }]),
    ]);
  }

  async terminate(instanceIds: readonly string[]): Promise<readonly string[]> {
    const troubles: string[] = [];
    for (const some of chunks(instanceIds, mostTerminatedAtOnce)) {
      if ((await this.#terminate(some)) === undefined) continue;
      // One that cannot be terminated keeps EC2 from all that are named with it.
      for (const id of some) {
        const trouble = await this.#terminate([id]);
        if (trouble !== undefined) troubles.push(`${id} could not be terminated: ${trouble}`);
      }
    }
    return troubles;
  }

  async consoleOutput(instanceId: string): Promise<string> {
    const { Output = '' } = await this.#console({ InstanceId: instanceId, Latest: true }).catch(
      (error: Error) => {
        // Older kinds of instances have only what was said when they began.
        if (error.name === 'UnsupportedOperation') return this.#console({ InstanceId: instanceId });
        throw error;
      },
    );
    return new TextDecoder().decode(Uint8Array.from(atob(Output), (char) => char.charCodeAt(0)));
  }

  #console(request: GetConsoleOutputCommandInput) {
    return this.#ec2.send(new GetConsoleOutputCommand(request));
  }

  async #terminate(ids: readonly string[]): Promise<string | undefined> {
    try {
      await this.#ec2.send(new TerminateInstancesCommand({ InstanceIds: [...ids] }));
      return undefined;
    } catch (error) {
      const { name, message } = error as Error;
      return name === 'InvalidInstanceID.NotFound' && ids.length === 1 ? undefined : `${name}: ${message}`;
    }
  }

  async #describe(filters: readonly Filter[]): Promise<Instance[]> {
    const Filters = [{ Name: `tag:${tagKeys.deployment}`, Values: [this.#deployment] }, ...filters];
    const found: Instance[] = [];
    for await (const page of paginateDescribeInstances(
      { client: this.#ec2 },
      { Filters, MaxResults: 1_000 },
    )) {
      for (const { Instances: some = [] } of page.Reservations ?? []) {
        found.push(...some.flatMap((each) => instanceOf(each) ?? []));
      }
    }
    return found;
  }
}

/** Undefined if it has no id. */
export function instanceOf({ InstanceId, State, StateReason, Tags = [] }: Ec2Instance): Instance | undefined {
  if (InstanceId === undefined) return undefined;
  const machine = machineOf(Tags);
  return {
    instanceId: InstanceId,
    state: (State?.Name ?? 'pending') as InstanceState,
    ...(StateReason?.Message === undefined ? {} : { reason: StateReason.Message }),
    ...(machine === undefined ? {} : { machine }),
  };
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
