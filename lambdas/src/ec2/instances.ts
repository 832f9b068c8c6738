/**
 * What the functions need of EC2, and what they may rely on: the seam between their logic and the SDK. `Ec2Runs`,
 * `Ec2Instances` and `Ec2NetworkInterfaces` implement it; the tests of the races between deploy and teardown use a model of it.
 */
import type { MachineToken } from '@skep/contract';
import type { FrozenParameters } from '../launches/agreement.ts';

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

export interface Instance {
  readonly instanceId: string;
  readonly state: InstanceState;
  /** Why it is in its state, in EC2's words. */
  readonly reason?: string;
  /** Of the machine that it was launched as; missing if its tags say none. */
  readonly machine?: MachineToken;
}

export interface RunParameters {
  readonly machine: MachineToken;
  readonly role: string;
  readonly frozen: FrozenParameters;
  /** The slot's address, which the instance's network interface is given. */
  readonly address: string;
  readonly instanceType?: string;
  readonly userData: string;
}

/**
 * What became of one call for an instance. `terminated`: the token had one, which is terminated. `no-capacity`,
 * `no-free-address` and `refused` are certain: this call made nothing. `mismatch`: the token was used with other
 * parameters. `throttled`: this call made nothing, and may be repeated. `unknown`: it may or may not have.
 */
export type RunOutcome =
  | { readonly kind: 'instance'; readonly instance: Instance }
  | {
      readonly kind:
        | 'terminated'
        | 'no-capacity'
        | 'no-free-address'
        | 'refused'
        | 'mismatch'
        | 'throttled'
        | 'unknown';
      readonly message: string;
    };

export interface InstanceRuns {
  /**
   * Asks for the instance of a token; asked again, with the same parameters, it is the same instance. Does not repeat
   * itself, does not reject, and takes no longer than `timeoutMs`; an `unknown` call may be carried out a little later.
   */
  run(parameters: RunParameters, timeoutMs: number): Promise<RunOutcome>;
}

/** Those that bear the deployment's tag: no other is seen, or touched. Lists may lag behind what was done. */
export interface Instances {
  /** Those of these tokens in whichever state, terminated ones for about an hour. */
  find(machines: readonly Pick<MachineToken, 'token'>[]): Promise<readonly Instance[]>;
  /** Those not terminated: of the deployment, of one cluster, or of these. */
  list(which: { clusterUid?: string; instanceIds?: readonly string[] }): Promise<readonly Instance[]>;
  /** Resolves with what could not be asked to terminate, by sentences; what is terminated already is no trouble. */
  terminate(instanceIds: readonly string[]): Promise<readonly string[]>;
  /** What it printed last, as far as EC2 keeps it. */
  consoleOutput(instanceId: string): Promise<string>;
}

/** Network interfaces that bear the deployment's tag. */
export interface NetworkInterfaces {
  list(clusterUid?: string): Promise<readonly NetworkInterface[]>;
  /** Resolves with what could not be deleted, by a sentence; undefined if it is gone. */
  delete(networkInterfaceId: string): Promise<string | undefined>;
}

export interface NetworkInterface {
  readonly networkInterfaceId: string;
  /** Attached to an instance, whose end deletes it. */
  readonly inUse: boolean;
}

export function isTerminated({ state }: Pick<Instance, 'state'>): boolean {
  return state === 'terminated';
}

/** Whether a machine runs on it, or will. One that was stopped has none any more: whatever starts it again, its agent ends. */
export function isAlive({ state }: Pick<Instance, 'state'>): boolean {
  return state === 'pending' || state === 'running';
}

/** Whether nothing need be done for its end. */
export function isEnding({ state }: Pick<Instance, 'state'>): boolean {
  return state === 'shutting-down' || state === 'terminated';
}
