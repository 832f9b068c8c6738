/** EC2's API as far as the front answers it: requests read, instances asked, answers in the API's own form. */

import type * as z from 'zod';
import { type Filterable, matches } from './filters.ts';
import { holdsItsAddress, type Instance, type Instances } from './instances.ts';
import {
  type Answer,
  Ec2Refusal,
  type Parameters,
  readForm,
  writeAnswer,
  writeRefusal,
} from './query-protocol.ts';
import {
  DeleteNetworkInterface,
  DescribeInstances,
  DescribeNetworkInterfaces,
  GetConsoleOutput,
  RunInstances,
  type Tag,
  TerminateInstances,
} from './requests.ts';

export interface Ec2Options {
  readonly account: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

type Content = { readonly [name: string]: Answer };

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html */
const stateCodes = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

export class Ec2 {
  readonly #instances: Instances;
  readonly #account: string;
  readonly #actions: Readonly<Record<string, (parameters: Parameters) => Content | Promise<Content>>>;

  constructor({ instances }: { instances: Instances }, { account }: Ec2Options) {
    this.#instances = instances;
    this.#account = account;
    this.#actions = {
      RunInstances: async (parameters) => {
        const instance = await instances.run(read(RunInstances, parameters));
        return this.#reservation(instance);
      },
      DescribeInstances: (parameters) => this.#describeInstances(read(DescribeInstances, parameters)),
      TerminateInstances: (parameters) => this.#terminate(read(TerminateInstances, parameters).InstanceId),
      GetConsoleOutput: (parameters) => this.#consoleOutput(read(GetConsoleOutput, parameters).InstanceId),
      DescribeNetworkInterfaces: (parameters) =>
        this.#describeInterfaces(read(DescribeNetworkInterfaces, parameters)),
      DeleteNetworkInterface: (parameters) =>
        this.#deleteInterface(read(DeleteNetworkInterface, parameters).NetworkInterfaceId),
    };
  }

  /** Undefined for what MiniStack answers. */
  async answer(form: string): Promise<HttpAnswer | undefined> {
    const parameters = readForm(form);
    const action = String(parameters.Action);
    const act = Object.hasOwn(this.#actions, action) ? this.#actions[action] : undefined;
    if (act === undefined) return undefined;
    try {
      return { status: 200, body: writeAnswer(action, await act(parameters)) };
    } catch (error) {
      const refusal =
        error instanceof Ec2Refusal ? error : new Ec2Refusal('InternalError', (error as Error).message, 500);
      return { status: refusal.httpStatus, body: writeRefusal(refusal) };
    }
  }

  #describeInstances({ InstanceId, Filter }: z.infer<typeof DescribeInstances>): Content {
    const named =
      InstanceId.length === 0 ? this.#instances.all() : InstanceId.map((id) => this.#instances.get(id));
    const found = named.filter((each) => matches(Filter, each.launch.instanceTags, filterableInstance(each)));
    return { reservationSet: found.map((each) => this.#reservation(each)) };
  }

  #terminate(ids: readonly string[]): Content {
    const before = ids.map((id) => this.#instances.get(id).state);
    this.#instances.terminate(ids);
    return {
      instancesSet: ids.map((instanceId, at) => ({
        instanceId,
        currentState: stateOf(this.#instances.get(instanceId).state),
        previousState: stateOf(before[at]!),
      })),
    };
  }

  async #consoleOutput(instanceId: string): Promise<Content> {
    const output = await this.#instances.consoleOutput(instanceId);
    const timestamp = new Date().toISOString();
    return { instanceId, timestamp, output: Buffer.from(output).toString('base64') };
  }

  #interfaces(): readonly Instance[] {
    return this.#instances.all().filter(holdsItsAddress);
  }

  #describeInterfaces({ NetworkInterfaceId, Filter }: z.infer<typeof DescribeNetworkInterfaces>): Content {
    for (const id of NetworkInterfaceId) this.#interface(id);
    const found = this.#interfaces().filter(
      (each) =>
        (NetworkInterfaceId.length === 0 || NetworkInterfaceId.includes(each.networkInterfaceId)) &&
        matches(Filter, each.launch.interfaceTags, filterableInterface(each)),
    );
    return {
      networkInterfaceSet: found.map((each) => ({
        ...attachedInterface(each),
        ownerId: this.#account,
        availabilityZone: each.subnet.zone,
        tagSet: tagSet(each.launch.interfaceTags),
      })),
    };
  }

  /** Interfaces come and go with their instances, so none may be deleted. */
  #deleteInterface(id: string): Content {
    const { instanceId } = this.#interface(id);
    const message = `The network interface '${id}' is currently in use by ${instanceId}`;
    throw new Ec2Refusal('InvalidParameterValue', message);
  }

  #interface(id: string): Instance {
    const found = this.#interfaces().find(({ networkInterfaceId }) => networkInterfaceId === id);
    if (found !== undefined) return found;
    throw new Ec2Refusal(
      'InvalidNetworkInterfaceID.NotFound',
      `The networkInterface ID '${id}' does not exist`,
    );
  }

  #reservation(instance: Instance): Content {
    return {
      reservationId: instance.instanceId.replace('i-', 'r-'),
      ownerId: this.#account,
      instancesSet: [instanceContent(instance)],
    };
  }
}

function read<T>(schema: z.ZodType<T>, parameters: Parameters): T {
  const { data, error } = schema.safeParse(parameters);
  if (error === undefined) return data;
  const { path, message } = error.issues[0]!;
  throw new Ec2Refusal('InvalidParameterValue', `${path.join('.')}: ${message}`);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html */
function instanceContent(instance: Instance): Content {
  const { instanceId, launch, subnet, address, state, reason, launchedAt } = instance;
  return {
    instanceId,
    imageId: launch.imageId,
    instanceState: stateOf(state),
    ...(reason === undefined ? {} : { reason: reason.message, stateReason: { ...reason } }),
    instanceType: launch.instanceType,
    launchTime: launchedAt.toISOString(),
    placement: { availabilityZone: subnet.zone, tenancy: 'default' },
    architecture: 'x86_64',
    tagSet: tagSet(launch.instanceTags),
    // A terminated instance has lost what it had in the network.
    ...(holdsItsAddress(instance)
      ? {
          subnetId: subnet.subnetId,
          vpcId: subnet.vpcId,
          privateIpAddress: address,
          networkInterfaceSet: [attachedInterface(instance)],
        }
      : {}),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterface.html */
function attachedInterface({ instanceId, networkInterfaceId, subnet, address, launch }: Instance): Content {
  return {
    networkInterfaceId,
    subnetId: subnet.subnetId,
    vpcId: subnet.vpcId,
    status: 'in-use',
    privateIpAddress: address,
    groupSet: launch.securityGroupIds.map((groupId) => ({ groupId })),
    attachment: { instanceId, deviceIndex: 0, status: 'attached', deleteOnTermination: true },
  };
}

function filterableInstance(instance: Instance): Filterable {
  const { instanceId, state, subnet, address, launch } = instance;
  return {
    'instance-id': instanceId,
    'instance-state-name': state,
    'image-id': launch.imageId,
    'instance-type': launch.instanceType,
    'availability-zone': subnet.zone,
    'subnet-id': holdsItsAddress(instance) ? subnet.subnetId : undefined,
    'vpc-id': holdsItsAddress(instance) ? subnet.vpcId : undefined,
    'private-ip-address': holdsItsAddress(instance) ? address : undefined,
    'instance.group-id': launch.securityGroupIds,
  };
}

function filterableInterface({
  instanceId,
  networkInterfaceId,
  subnet,
  address,
  launch,
}: Instance): Filterable {
  return {
    'network-interface-id': networkInterfaceId,
    'attachment.instance-id': instanceId,
    status: 'in-use',
    'subnet-id': subnet.subnetId,
    'vpc-id': subnet.vpcId,
    'private-ip-address': address,
    'addresses.private-ip-address': address,
    'group-id': launch.securityGroupIds,
  };
}

function stateOf(state: Instance['state']): Content {
  return { code: stateCodes[state], name: state };
}

function tagSet(tags: readonly Tag[]): Answer {
  return tags.map(({ Key, Value }) => ({ key: Key, value: Value }));
}
