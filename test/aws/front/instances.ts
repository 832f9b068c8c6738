/**
 * Instances: what RunInstances, TerminateInstances and the lists say of them, over guests that really run. MiniStack runs
 * one container a call, knows none of what it was asked for, and forgets it a minute after its end.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
 */
import { randomBytes } from 'node:crypto';
import { takeAddress } from './addresses.ts';
import { ClientTokens } from './client-tokens.ts';
import type { Guest, Guests } from './guests.ts';
import { type Launch, launchOf } from './launch.ts';
import { Ec2Refusal } from './query-protocol.ts';
import type { Records, Subnet } from './records.ts';
import type { RunInstances, Tag } from './requests.ts';

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

export interface StateReason {
  readonly code: string;
  readonly message: string;
}

export interface Instance {
  readonly instanceId: string;
  readonly launch: Launch;
  readonly subnet: Subnet;
  readonly address: string;
  readonly networkInterfaceId: string;
  readonly launchedAt: Date;
  readonly state: InstanceState;
  /** Why it stopped or was terminated. */
  readonly reason?: StateReason;
}

interface Kept extends Instance {
  state: InstanceState;
  reason?: StateReason;
  guest?: Guest;
  /** What it printed, kept from its end on. */
  console?: string;
}

export interface InstancesOptions {
  /** Of every change of state, in order. */
  readonly onChange?: (instance: Instance) => void;
}

const userInitiated: StateReason = {
  code: 'Client.UserInitiatedShutdown',
  message: 'Client.UserInitiatedShutdown: User initiated shutdown',
};
const instanceInitiated: StateReason = {
  code: 'Client.InstanceInitiatedShutdown',
  message: 'Client.InstanceInitiatedShutdown: Instance initiated shutdown',
};
/** Code of the reason of one that never came up. */
export const serverError = 'Server.InternalError';
/** EC2 keeps 64 KiB. */
const consoleBytes = 65_536;

export class Instances {
  readonly #records: Records;
  readonly #guests: Guests;
  readonly #onChange: (instance: Instance) => void;
  readonly #tokens = new ClientTokens();
  readonly #kept = new Map<string, Kept>();
  /** One launch at a time, so that a token is known before it is looked for again. */
  #launching: Promise<unknown> = Promise.resolve();
  /** Boots and ends that are under way. */
  readonly #underWay = new Set<Promise<void>>();

  constructor(
    components: { records: Records; guests: Guests },
    { onChange = () => {} }: InstancesOptions = {},
  ) {
    this.#records = components.records;
    this.#guests = components.guests;
    this.#onChange = onChange;
  }

  /** Resolves once the instance is pending, or with what its token made before. Rejects with an `Ec2Refusal`. */
  run(request: RunInstances, furtherTags: readonly Tag[] = []): Promise<Instance> {
    const run = this.#launching.then(() => this.#run(request, furtherTags));
    this.#launching = run.catch(() => {});
    return run;
  }

  /** Terminated ones too. */
  all(): readonly Instance[] {
    return [...this.#kept.values()];
  }

  /** Throws `InvalidInstanceID.NotFound`. */
  get(instanceId: string): Instance {
    return this.#get(instanceId);
  }

  /** The one that lives at an address. */
  at(address: string): Instance | undefined {
    return this.all().find((each) => each.address === address && holdsItsAddress(each));
  }

  /** Begins their end; ending and ended ones stay as they are. Throws, before any is touched, if one is unknown. */
  terminate(instanceIds: readonly string[]): void {
    for (const instance of instanceIds.map((id) => this.#get(id))) this.#end(instance, userInitiated);
  }

  /** The last of what it printed. */
  async consoleOutput(instanceId: string): Promise<string> {
    const { guest, console } = this.#get(instanceId);
    return console ?? (await guest?.output(consoleBytes)) ?? '';
  }

  /** Ends all, and resolves when nothing of them is left. */
  async stop(): Promise<void> {
    await this.#launching;
    for (const instance of this.#kept.values()) this.#end(instance, userInitiated);
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async #run(request: RunInstances, furtherTags: readonly Tag[]): Promise<Instance> {
    const { ClientToken: token } = request;
    if (token !== undefined) {
      const isTerminated = (id: string) => this.#get(id).state === 'terminated';
      const earlier = this.#tokens.find(token, request, isTerminated);
      if (earlier !== undefined) return this.#get(earlier);
    }
    const template = request.LaunchTemplate && (await this.#records.template(request.LaunchTemplate));
    const ordered = launchOf(request, template);
    const launch = { ...ordered, instanceTags: [...ordered.instanceTags, ...furtherTags] };
    const subnet = await this.#records.subnet(launch.subnetId);
    const image = await this.#records.containerImage(launch.imageId);
    const taken = new Set(
      this.all()
        .filter(holdsItsAddress)
        .map(({ address }) => address),
    );
    const instance: Kept = {
      instanceId: `i-${randomBytes(9).toString('hex').slice(0, 17)}`,
      launch,
      subnet,
      address: takeAddress(subnet, taken, launch.address),
      networkInterfaceId: `eni-${randomBytes(9).toString('hex').slice(0, 17)}`,
      launchedAt: new Date(),
      state: 'pending',
    };
    this.#kept.set(instance.instanceId, instance);
    if (token !== undefined) this.#tokens.keep(token, request, instance.instanceId);
    this.#become(instance, 'pending');
    this.#follow(this.#boot(instance, image));
    return instance;
  }

  async #boot(instance: Kept, image: string): Promise<void> {
    const { instanceId, address } = instance;
    try {
      instance.guest = await this.#guests.start({ name: instanceId, image, address });
    } catch (error) {
      instance.reason = { code: serverError, message: `${serverError}: ${(error as Error).message}` };
      if (instance.state === 'pending') this.#become(instance, 'shutting-down');
    }
    // Terminated while it booted, or never up: what there is of it is ended.
    if (instance.state !== 'pending') return this.#finish(instance);
    this.#become(instance, 'running');
    void instance.guest!.exited.then(() => this.#heed(instance));
  }

  /** Its guest has ended by itself. */
  #heed(instance: Kept): void {
    if (instance.state !== 'running') return;
    if (instance.launch.shutdownBehavior === 'terminate') {
      this.#end(instance, instanceInitiated);
      return;
    }
    instance.reason = instanceInitiated;
    this.#become(instance, 'stopping');
    this.#become(instance, 'stopped');
  }

  #end(instance: Kept, reason: StateReason): void {
    if (instance.state === 'shutting-down' || instance.state === 'terminated') return;
    const isBooting = instance.state === 'pending';
    instance.reason = reason;
    this.#become(instance, 'shutting-down');
    if (!isBooting) this.#follow(this.#finish(instance));
  }

  async #finish(instance: Kept): Promise<void> {
    instance.console = await instance.guest?.output(consoleBytes).catch(() => '');
    await instance.guest?.end();
    this.#become(instance, 'terminated');
  }

  #follow(work: Promise<void>): void {
    const followed = work.finally(() => this.#underWay.delete(followed));
    this.#underWay.add(followed);
  }

  #become(instance: Kept, state: InstanceState): void {
    instance.state = state;
    this.#onChange({ ...instance });
  }

  #get(instanceId: string): Kept {
    const instance = this.#kept.get(instanceId);
    if (instance !== undefined) return instance;
    throw new Ec2Refusal('InvalidInstanceID.NotFound', `The instance ID '${instanceId}' does not exist`);
  }
}

/** Its network interface lives as long as it does. */
export function holdsItsAddress({ state }: Pick<Instance, 'state'>): boolean {
  return state !== 'terminated';
}
