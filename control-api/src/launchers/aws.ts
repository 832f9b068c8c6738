/**
 * Machines as EC2 instances: the launcher asks the functions of the deployment, which alone hold the rights, and hears of
 * ends from EC2's events. What it knows it has from them, so it can be restarted, or run beside another, at any time.
 */
import type { LambdaClient } from '@aws-sdk/client-lambda';
import type { SQSClient } from '@aws-sdk/client-sqs';
import {
  ClusterUid,
  ConsoleAnswer,
  type DeployRequest,
  LaunchAnswer,
  type LaunchOutcome,
  ListAnswer,
  type ListedInstance,
  type MachineOrder,
  type NodeSubnet,
  TeardownAnswer,
  type TeardownRequest,
} from '@skep/contract';
import type { Clock, Timer } from '@skep/p2p-core/host';
import type * as z from 'zod';
import {
  LaunchError,
  type LaunchedMachine,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  type SlotAddresses,
} from '../ports/launcher.ts';
import { AwsAddresses } from './aws-addresses.ts';
import { InstanceEnds } from './aws-events.ts';
import { AwsFunctions } from './aws-functions.ts';
import { Gathering } from './aws-gathering.ts';

export interface AwsLauncherComponents {
  readonly clock: Clock;
  /** Without a time-out shorter than the functions' own. */
  readonly lambda: LambdaClient;
  readonly sqs: SQSClient;
}

export interface AwsLauncherOptions {
  readonly deployFunction: string;
  readonly teardownFunction: string;
  /** URL of the queue that EC2's events of instances that end go to. */
  readonly eventsQueue: string;
  readonly subnets: readonly NodeSubnet[];
  /** Told, in sentences, of what went wrong without a caller to tell it to. */
  readonly onTrouble?: (message: string) => void;
}

interface Known {
  readonly machine: MachineRef;
  readonly instanceId: string;
  readonly sinceMs: number;
}

const gatherMs = 5;
/** Launches side by side in one call; more are calls side by side. */
const mostLaunched = 25;
const mostStopped = 100;
/** How long one call waits for machines to be gone: none of them waits longer for the others. */
const stopWaitMs = 8_000;
const forgetWaitMs = 60_000;
/** EC2's lists may not show yet what its events tell. */
const looks = 5;
const lookAgainMs = 1_000;
/** How often all that is known is compared with what is there, for events that never come. */
const sweepMs = 60_000;
/** Events of instances that nobody knows yet, for a launch whose answer is still on its way. */
const mostUnknown = 1_000;
const mostListed = 200;
/** EC2 keeps no more of a console. */
const mostConsoleBytes = 65_536;

export class AwsLauncher implements Launcher {
  /** An instance takes most of a minute to end: were it fewer, a large cluster would take most of an hour. */
  readonly mostAtOnce = 100;
  readonly #clock: Clock;
  readonly #options: AwsLauncherOptions;
  readonly #functions: AwsFunctions;
  readonly #addresses: AwsAddresses;
  readonly #ends: InstanceEnds;
  readonly #launches: Gathering<LaunchRequest, LaunchOutcome>;
  readonly #stops: Gathering<MachineRef, boolean>;
  readonly #listeners = new Set<(exit: MachineExit) => void>();
  /** Machines that live, as far as is known, by token; and their tokens by instance. */
  readonly #known = new Map<string, Known>();
  readonly #tokens = new Map<string, string>();
  readonly #unknownEnds = new Set<string>();
  /** What was told already of machines that do not end. */
  readonly #told = new Set<string>();
  #sweepTimer: Timer | undefined;
  #closed = false;

  constructor(components: AwsLauncherComponents, options: AwsLauncherOptions) {
    const { clock, sqs } = components;
    this.#clock = clock;
    this.#options = options;
    this.#functions = new AwsFunctions(components);
    this.#addresses = new AwsAddresses({ clock }, options);
    this.#launches = new Gathering(
      { clock, keyOf: ({ machine }) => machine.token, carryOut: (requests) => this.#launchAll(requests) },
      { gatherMs, mostAtOnce: mostLaunched },
    );
    this.#stops = new Gathering(
      { clock, keyOf: ({ token }) => token, carryOut: (machines) => this.#stopAll(machines) },
      { gatherMs, mostAtOnce: mostStopped },
    );
    this.#ends = new InstanceEnds(
      { clock, sqs, onEnds: (instanceIds) => this.#onEnds(instanceIds) },
      { queueUrl: options.eventsQueue, onTrouble: (message) => this.#trouble(message) },
    );
    this.#sweepLater();
  }

  /** Stops watching. Machines run on. */
  close(): void {
    this.#closed = true;
    this.#ends.close();
    this.#sweepTimer?.cancel();
    this.#listeners.clear();
  }

  async allocate(
    count: number,
    taken: readonly SlotAddresses[],
    { zones = [] }: { zones?: readonly (string | undefined)[] },
  ): Promise<readonly SlotAddresses[]> {
    return this.#addresses.allocate(count, taken, zones);
  }

  /** Every machine begins with an empty disk, and takes it along when it ends. */
  async launch(request: LaunchRequest): Promise<LaunchedMachine> {
    const { machine } = request;
    const outcome = await this.#launches.ask(request).catch((error: Error) => {
      throw new LaunchError('not-launched', error.message, { cause: error });
    });
    switch (outcome.outcome) {
      case 'launched':
        this.#adopt(machine, outcome.instanceId);
        if (this.#unknownEnds.delete(outcome.instanceId)) this.#lookSoon(outcome.instanceId);
        return { machine, name: outcome.instanceId };
      case 'exited':
        this.#forgetMachine(machine.token);
        this.#tell(machine, outcome.evidence);
        return { machine, name: outcome.instanceId ?? 'an instance that EC2 has forgotten' };
      default:
        throw new LaunchError(outcome.outcome, outcome.message);
    }
  }

  /** EC2 asks the system to shut down, and has its own patience with it: `graceMs` is not ours to choose. */
  async stop(machine: MachineRef): Promise<void> {
    while (!(await this.#stops.ask(machine))) {
      if (this.#closed) throw new Error('the launcher is closed: the machine is still ending');
    }
    this.#exited(machine.token, 'terminated by teardown');
  }

  /** An instance's disk goes with it, so that `power` changes nothing here. */
  async kill(machine: MachineRef): Promise<void> {
    // Of a machine that there is not, teardown would see to it that there never is one.
    if (!this.#known.has(machine.token)) await this.list(machine.clusterUid);
    if (this.#known.has(machine.token))
      await this.#tearDown({ scope: 'machines', machines: [machine], waitMs: 0 });
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    if (clusterUid !== undefined && !ClusterUid.safeParse(clusterUid).success) return [];
    const listed = await this.#listed(clusterUid === undefined ? {} : { clusterUid });
    return listed.filter(isAlive).map(({ machine, instanceId }) => {
      this.#adopt(machine, instanceId);
      return { machine, name: instanceId };
    });
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The end of the instance's console, which EC2 brings up to date every few minutes. */
  async logs(machine: MachineRef, tailBytes: number): Promise<string> {
    const asked = { action: 'console', machine, tailBytes: Math.min(tailBytes, mostConsoleBytes) } as const;
    const { text } = await this.#deploy(asked, ConsoleAnswer);
    return text;
  }

  async forget(clusterUid: string): Promise<void> {
    for (;;) {
      const { state } = await this.#tearDown({ scope: 'cluster', clusterUid, waitMs: forgetWaitMs });
      if (state === 'gone') return;
      if (this.#closed) throw new Error('the launcher is closed: the cluster is still ending');
    }
  }

  async #launchAll(requests: readonly LaunchRequest[]): Promise<readonly LaunchOutcome[]> {
    const machines = requests.map(orderOf);
    const { outcomes } = await this.#deploy({ action: 'launch', machines }, LaunchAnswer);
    const byToken = new Map(outcomes.map((outcome) => [outcome.token, outcome]));
    return requests.map(({ machine: { token } }) => {
      const missing = `${this.#options.deployFunction} did not say what became of it`;
      return byToken.get(token) ?? { token, outcome: 'not-launched', message: missing };
    });
  }

  /** Whether each is gone. */
  async #stopAll(machines: readonly MachineRef[]): Promise<readonly boolean[]> {
    const { gone, left } = await this.#tearDown({
      scope: 'machines',
      machines: [...machines],
      waitMs: stopWaitMs,
    });
    for (const each of left.filter((words) => /could not be terminated/.test(words))) this.#troubleOnce(each);
    return machines.map(({ token }) => gone.includes(token));
  }

  #deploy<Answer extends z.ZodType>(request: DeployRequest, answer: Answer): Promise<z.infer<Answer>> {
    return this.#functions.call(this.#options.deployFunction, request, answer);
  }

  #tearDown(request: TeardownRequest): Promise<TeardownAnswer> {
    return this.#functions.call(this.#options.teardownFunction, request, TeardownAnswer);
  }

  async #listed(which: { clusterUid?: string; instanceIds?: string[] }): Promise<ListedInstance[]> {
    return (await this.#deploy({ action: 'list', ...which }, ListAnswer)).instances;
  }

  async #onEnds(instanceIds: readonly string[]): Promise<void> {
    for (const instanceId of instanceIds) {
      if (this.#tokens.has(instanceId)) continue;
      this.#unknownEnds.add(instanceId);
      if (this.#unknownEnds.size > mostUnknown) this.#unknownEnds.delete([...this.#unknownEnds][0]!);
    }
    await this.#lookAt(instanceIds.filter((instanceId) => this.#tokens.has(instanceId)));
  }

  #lookSoon(instanceId: string): void {
    this.#lookAt([instanceId]).catch((error: Error) => {
      this.#trouble(`the end of ${instanceId} is told later: ${error.message}`);
    });
  }

  /** Tells of those that live no more, and looks again at the others, for which the news may be ahead of the lists. */
  async #lookAt(instanceIds: readonly string[]): Promise<void> {
    let open = [...instanceIds];
    for (let look = 1; open.length > 0 && !this.#closed; look++) {
      const alive = await this.#tellEnded(open);
      open = open.filter((instanceId) => alive.has(instanceId));
      if (look === looks) return;
      if (open.length > 0) {
        await new Promise<void>((resolve) => {
          this.#clock.setTimer(lookAgainMs, resolve);
        });
      }
    }
  }

  /** Tells of those of these instances that live no more. Resolves with those that do. */
  async #tellEnded(instanceIds: readonly string[]): Promise<ReadonlySet<string>> {
    const listed = await this.#listed({ instanceIds: [...instanceIds] });
    const alive = new Set(listed.filter(isAlive).map(({ instanceId }) => instanceId));
    for (const instanceId of instanceIds) {
      const token = this.#tokens.get(instanceId);
      if (token === undefined || alive.has(instanceId)) continue;
      const state = listed.find((each) => each.instanceId === instanceId)?.state ?? 'terminated';
      this.#exited(token, `its instance ${instanceId} is ${state}`);
    }
    return alive;
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#clock.setTimer(sweepMs, async () => {
      try {
        await this.#sweep();
      } catch (error) {
        this.#trouble(`instances could not be compared with machines: ${(error as Error).message}`);
      }
      if (!this.#closed) this.#sweepLater();
    });
  }

  async #sweep(): Promise<void> {
    // One that was made a moment ago may not be listed yet.
    const settled = [...this.#known.values()].filter(({ sinceMs }) => this.#clock.now() - sinceMs >= sweepMs);
    const instanceIds = settled.map(({ instanceId }) => instanceId);
    for (let start = 0; start < instanceIds.length; start += mostListed) {
      await this.#tellEnded(instanceIds.slice(start, start + mostListed));
    }
  }

  #adopt(machine: MachineRef, instanceId: string): void {
    if (this.#known.has(machine.token)) return;
    this.#known.set(machine.token, { machine, instanceId, sinceMs: this.#clock.now() });
    this.#tokens.set(instanceId, machine.token);
  }

  #forgetMachine(token: string): Known | undefined {
    const known = this.#known.get(token);
    if (known === undefined) return undefined;
    this.#known.delete(token);
    this.#tokens.delete(known.instanceId);
    return known;
  }

  #exited(token: string, evidence: string): void {
    const known = this.#forgetMachine(token);
    if (known !== undefined) this.#tell(known.machine, evidence);
  }

  #tell(machine: MachineRef, evidence: string): void {
    for (const listener of [...this.#listeners]) listener({ machine, evidence });
  }

  #troubleOnce(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#trouble(message);
  }

  #trouble(message: string): void {
    if (!this.#closed) this.#options.onTrouble?.(message);
  }
}

function orderOf({ machine, config, placement, emptyDisk }: LaunchRequest): MachineOrder {
  return {
    machine,
    config,
    ...(placement === undefined ? {} : { placement }),
    ...(emptyDisk === undefined ? {} : { emptyDisk }),
  };
}

function isAlive({ state }: ListedInstance): boolean {
  return state === 'pending' || state === 'running';
}
