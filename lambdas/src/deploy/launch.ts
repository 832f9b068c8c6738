/**
 * Launches machines, each at most once. Safe against itself and teardown at the same time, at any number and killed
 * anywhere, by the agreement of `launches/agreement.ts`.
 */
import {
  formatMachineId,
  type LaunchOutcome,
  type MachineOrder,
  type MachineToken,
  type NodeSubnet,
  type Role,
  tableKeys,
} from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Clock, Compute, Random } from '@skep/p2p-core/host';
import {
  type Instance,
  type InstanceRuns,
  type Instances,
  isAlive,
  type RunOutcome,
  type RunParameters,
} from '../ec2/instances.ts';
import {
  type FrozenParameters,
  type LaunchAgreements,
  type LaunchRow,
  marginMs,
} from '../launches/agreement.ts';
import { backOffMs, pause, sideBySide } from '../patience.ts';
import { placeOf } from './place.ts';

export interface LaunchComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly compute: Pick<Compute, 'hash'>;
  readonly agreements: LaunchAgreements;
  readonly runs: InstanceRuns;
  readonly instances: Instances;
  readonly renderUserData: (options: { image: string; config: MachineOrder['config'] }) => string;
}

export interface LaunchOptions {
  readonly subnets: readonly NodeSubnet[];
  /** By role; `*` for those not named. */
  readonly launchTemplates: Readonly<
    Partial<Record<Role | '*', { readonly id: string; readonly version: string }>>
  >;
  readonly securityGroupId: string;
  /** `repository@sha256:…` */
  readonly image: string;
  /** ISO 8601. After it nothing is launched. */
  readonly expiresAt?: string;
  readonly stack?: string;
}

/** EC2 takes about two calls a second of an account, after five at once. */
const mostAtOnce = 8;
/** How long the calls for one machine go on. */
const launchMs = 25_000;
/** The longest single call. */
const callMs = 12_000;
const shortestCallMs = 1_000;

/** Longer than any list may lag behind. */
const forgottenMs = 600_000;
/** Untold by EC2: when there is nothing to wait for. */
const never = Number.NEGATIVE_INFINITY;

/** An outcome whose token goes without saying. */
type Outcome = LaunchOutcome extends infer Each
  ? Each extends LaunchOutcome
    ? Omit<Each, 'token'>
    : never
  : never;

/**
 * The row by which RunInstances may be called, as it was written: its version, what it froze, and until when calls that
 * others were allowed may be carried out.
 */
interface Permission {
  readonly version: number;
  readonly frozen: FrozenParameters;
  readonly othersUntilMs: number;
}

/** How the calls for one token ended. */
interface Course {
  readonly last: RunOutcome;
  /** Whether one of them may be carried out although nothing was heard of it. */
  readonly inDoubt: boolean;
}

export class Launches {
  readonly #components: LaunchComponents;
  readonly #options: LaunchOptions;

  constructor(components: LaunchComponents, options: LaunchOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** One outcome a machine, in their order. Does not reject: what fails for one machine is its outcome. */
  launch(orders: readonly MachineOrder[]): Promise<LaunchOutcome[]> {
    return sideBySide(orders, mostAtOnce, async (order) => {
      const { token } = order.machine;
      try {
        return { token, ...(await this.#launch(order)) } as LaunchOutcome;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return { token, outcome: 'not-launched', message: `${formatMachineId(order.machine)}: ${message}` };
      }
    });
  }

  async #launch(order: MachineOrder): Promise<Outcome> {
    const { clock, compute, renderUserData } = this.#components;
    const { subnets, expiresAt, image } = this.#options;
    const place = placeOf(order, subnets);
    if (place.kind !== 'subnet') return { outcome: place.kind, message: place.message };
    if (expiresAt !== undefined && clock.wallTime() >= Date.parse(expiresAt)) {
      return {
        outcome: 'no-capacity',
        message: `the deployment's time to live ended at ${expiresAt}: deploy it again with a longer one`,
      };
    }
    const render = (imageToRun: string) => renderUserData({ image: imageToRun, config: order.config });
    const hashOf = (text: string) => toHex(compute.hash('sha256', new TextEncoder().encode(text)));
    const wanted = this.#frozen(order, place.subnetId, hashOf(render(image)));

    const deadlineMs = clock.now() + launchMs;
    const permission = await this.#permission(order.machine, wanted, clock.wallTime() + launchMs);
    if ('outcome' in permission) return permission;
    const { frozen } = permission;
    const userData = render(frozen.image);
    if (hashOf(userData) !== frozen.userDataSha256) {
      return { outcome: 'not-launched', message: mismatch(order.machine, frozen) };
    }
    const parameters: RunParameters = {
      machine: order.machine,
      role: order.config.role,
      frozen,
      address: order.config.listen.host,
      ...(order.placement?.instanceType === undefined ? {} : { instanceType: order.placement.instanceType }),
      userData,
    };
    return this.#settle(order.machine, permission, await this.#run(parameters, deadlineMs));
  }

  #frozen(order: MachineOrder, subnetId: string, userDataSha256: string): FrozenParameters {
    const { launchTemplates, securityGroupId, image, expiresAt, stack } = this.#options;
    const { role } = order.config;
    const template = launchTemplates[role] ?? launchTemplates['*'];
    if (template === undefined) {
      throw new Error(`there is no launch template for the role ${role}: name one in SKEP_LAUNCH_TEMPLATES`);
    }
    return {
      launchTemplateId: template.id,
      launchTemplateVersion: template.version,
      image,
      subnetId,
      securityGroupId,
      userDataSha256,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(stack === undefined ? {} : { stack }),
    };
  }

  /** Agrees with teardown that RunInstances may be called until `untilMs`. */
  async #permission(
    machine: MachineToken,
    wanted: FrozenParameters,
    untilMs: number,
  ): Promise<Permission | Outcome> {
    const { agreements } = this.#components;
    for (;;) {
      const agreed = await agreements.read(tableKeys.launch(machine));
      const row = agreed?.row;
      if (row !== undefined && row.state !== 'launching' && row.state !== 'not-made') {
        return this.#known(machine, row);
      }
      // Whoever else may be at it stays allowed for as long as it was.
      const othersUntilMs = row?.state === 'launching' ? row.untilMs : never;
      const frozen = row?.state === 'launching' ? row.frozen : wanted;
      const version = agreed?.version ?? 0;
      const launching = { state: 'launching', untilMs: Math.max(othersUntilMs, untilMs), frozen } as const;
      if (await agreements.allow(machine, version, launching)) {
        return { version: version + 1, frozen, othersUntilMs };
      }
      if (await agreements.isClosed(machine.clusterUid)) {
        return calledOff(machine, 'its cluster is being torn down');
      }
    }
  }

  /** The answer where the row says all. */
  async #known(
    machine: MachineToken,
    row: LaunchRow & { state: 'launched' | 'called-off' | 'ending' | 'gone' },
  ): Promise<Outcome> {
    if (row.state === 'called-off') return calledOff(machine, 'it was stopped before it was launched');
    const { instanceId } = row;
    if (row.state !== 'launched') {
      return instanceId === undefined
        ? calledOff(machine, 'it was stopped while it was launched')
        : { outcome: 'exited', instanceId, evidence: 'terminated by teardown' };
    }
    const found = await this.#components.instances.find([machine]);
    const instance = found.find((each) => each.instanceId === instanceId);
    if (instance !== undefined) return outcomeOf(instance);
    // One that is not listed was made a moment ago, or ended so long ago that EC2 has forgotten it.
    return this.#components.clock.wallTime() > row.untilMs + forgottenMs
      ? { outcome: 'exited', instanceId: row.instanceId, evidence: 'EC2 knows its instance no more' }
      : { outcome: 'launched', instanceId: row.instanceId };
  }

  /** Calls until there is an answer that repeating would not change, or the time is over. */
  async #run(parameters: RunParameters, deadlineMs: number): Promise<Course> {
    const { clock, random, runs } = this.#components;
    let last: RunOutcome = { kind: 'throttled', message: 'there was no time left to ask EC2 for it' };
    let inDoubt = false;
    for (let failures = 1; clock.now() + shortestCallMs <= deadlineMs; failures++) {
      last = await runs.run(parameters, Math.min(callMs, deadlineMs - clock.now()));
      inDoubt ||= last.kind === 'unknown';
      // The address of the generation before may be a moment late in becoming free.
      const passes = last.kind === 'unknown' || last.kind === 'throttled' || last.kind === 'no-free-address';
      if (!passes) break;
      await pause(clock, backOffMs(random, failures));
    }
    return { last, inDoubt };
  }

  /** Writes down what came of the calls, and says it. */
  async #settle(machine: MachineToken, permission: Permission, course: Course): Promise<Outcome> {
    const { last } = course;
    if (last.kind === 'instance') return this.#made(machine, last.instance);
    if (last.kind === 'terminated' || last.kind === 'mismatch') {
      const [instance] = await this.#components.instances.find([machine]);
      if (instance !== undefined) return this.#made(machine, instance);
      return last.kind === 'terminated'
        ? { outcome: 'exited', evidence: last.message }
        : { outcome: 'not-launched', message: mismatch(machine, permission.frozen, last.message) };
    }
    const message = `${formatMachineId(machine)} could not be launched: ${last.message}`;
    const isCertain = await this.#notMade(machine, permission, course.inDoubt);
    if (!isCertain)
      return { outcome: 'not-launched', message: `${message}; an earlier call may still come through` };
    return last.kind === 'no-capacity' || last.kind === 'no-free-address'
      ? { outcome: last.kind, message }
      : { outcome: 'not-launched', message };
  }

  /** Resolves with whether it is certain that there is no instance, and writes down for how long there may yet be one. */
  async #notMade(machine: MachineToken, permission: Permission, inDoubt: boolean): Promise<boolean> {
    const { clock, agreements } = this.#components;
    const { version, frozen, othersUntilMs } = permission;
    const nowMs = clock.wallTime();
    const untilMs = Math.max(othersUntilMs, inDoubt ? nowMs : never);
    const isCertain = nowMs >= untilMs + marginMs;
    const row: LaunchRow = isCertain ? { state: 'not-made' } : { state: 'launching', untilMs, frozen };
    // Where somebody has joined or ended it since, what they wrote holds.
    const isLast = await agreements.change(tableKeys.launch(machine), version, row);
    return isCertain && isLast;
  }

  /** There is an instance: whoever ends the token is to know which. */
  async #made(machine: MachineToken, instance: Instance): Promise<Outcome> {
    const { agreements, clock } = this.#components;
    const { instanceId } = instance;
    for (;;) {
      const agreed = await agreements.read(tableKeys.launch(machine));
      const row = agreed?.row;
      const isWanted = row?.state === 'launching' || row?.state === 'launched' || row?.state === 'not-made';
      const untilMs = row !== undefined && 'untilMs' in row ? row.untilMs : clock.wallTime();
      const next: LaunchRow = isWanted
        ? { state: 'launched', untilMs, instanceId }
        : { state: 'ending', untilMs, instanceId };
      const isWritten = row !== undefined && 'instanceId' in row && row.instanceId === instanceId;
      if (isWritten || (await agreements.change(tableKeys.launch(machine), agreed?.version ?? 0, next))) {
        return isWanted
          ? outcomeOf(instance)
          : { outcome: 'exited', instanceId, evidence: 'torn down while it was launched' };
      }
    }
  }
}

function outcomeOf({
  instanceId,
  state,
  reason,
}: Pick<Instance, 'instanceId' | 'state' | 'reason'>): Outcome {
  if (isAlive({ state })) return { outcome: 'launched', instanceId };
  return { outcome: 'exited', instanceId, evidence: `${state}${reason === undefined ? '' : `: ${reason}`}` };
}

function calledOff(machine: MachineToken, why: string): Outcome {
  return { outcome: 'called-off', message: `${formatMachineId(machine)} is called off: ${why}` };
}

function mismatch(machine: MachineToken, frozen: FrozenParameters, said?: string): string {
  const { launchTemplateId, launchTemplateVersion, image, subnetId, userDataSha256 } = frozen;
  return [
    `${formatMachineId(machine)}, attempt ${machine.attempt}, was asked for before with other parameters, and is not asked for twice`,
    `frozen were: template ${launchTemplateId} version ${launchTemplateVersion}, image ${image}, subnet ${subnetId}, user data ${userDataSha256}`,
    'tear the machine down for the next attempt to be made',
    ...(said === undefined ? [] : [said]),
  ].join('; ');
}
