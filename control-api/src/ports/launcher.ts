/**
 * What makes machines and proves them gone. A machine is named by its token, a hash of (cluster uid, slot,
 * generation, attempt) and of nothing else: whoever asks, and however often, there is at most one machine a
 * token, ever.
 */
import type { Address, AgentConfig, MachinePlacement } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Compute } from '@skep/p2p-core/host';

/** One attempt at one generation of one slot. */
export interface MachineRef {
  readonly clusterUid: string;
  readonly slot: string;
  readonly generation: number;
  readonly attempt: number;
  readonly token: string;
}

/** Where a slot's machines listen. The slot keeps them over its generations. */
export interface SlotAddresses {
  readonly listen: Address;
  /** On the host of `listen`. */
  readonly ringPort: number;
  readonly healthPort: number;
}

export interface LaunchRequest {
  readonly machine: MachineRef;
  /** The launcher adds what only it can know: directories. */
  readonly config: Omit<AgentConfig, 'dataDirectory' | 'ephemeralDirectory' | 'ephemeralRoot'>;
  /** The machine removes its data when it ends for good. */
  readonly ephemeral: boolean;
  /** The machine finds nothing of what the slot's disk held. */
  readonly emptyDisk?: boolean;
  /** What it is made of and where; of no concern to runners that know neither instance types nor zones. */
  readonly placement?: MachinePlacement;
}

/** What of a configuration only the launcher knows. */
export type AssignedDirectories = Pick<AgentConfig, 'dataDirectory' | 'ephemeralDirectory' | 'ephemeralRoot'>;

export interface LaunchedMachine {
  readonly machine: MachineRef;
  /** The runner's own name of it: for processes the pid. */
  readonly name: string;
}

/** Positive evidence that a machine is gone. */
export interface MachineExit {
  readonly machine: MachineRef;
  /** For instance `exit code 1`, `killed by SIGKILL`. */
  readonly evidence: string;
}

export type LaunchErrorCode =
  /** `stop` came before: this token never will have a machine. */
  | 'called-off'
  /** Nothing is known of the outcome, or nothing was started; the same token may be tried again. */
  | 'not-launched'
  /** Nothing was made nor will be: there is no room for it at its placement now. Another attempt may find some elsewhere. */
  | 'no-capacity'
  | 'no-free-address';

export class LaunchError extends Error {
  override readonly name = 'LaunchError';
  readonly code: LaunchErrorCode;
  constructor(code: LaunchErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface Launcher {
  /** The machines' world has the network that a cluster's spec asks for: nodes need not shape their own. */
  readonly modelsNetwork?: boolean;
  /** How many launches and stops it may be asked for at once. @default 32 */
  readonly mostAtOnce?: number;
  /**
   * Addresses for `count` new slots of a cluster: free now, distinct, and none of those `taken`; with `ownHosts` each
   * with an IP address that no other slot has. `zones` says where the slots' machines are wanted, in their order: a runner
   * whose addresses lie in zones heeds it as far as it can. Rejects no-free-address.
   */
  allocate(
    count: number,
    taken: readonly SlotAddresses[],
    options: { clusterUid: string; ownHosts?: boolean; zones?: readonly (string | undefined)[] },
  ): Promise<readonly SlotAddresses[]>;
  /**
   * Makes the machine of a token, or finds the one there is; if that one has exited already, its exit is told
   * (again). Rejects LaunchError.
   */
  launch(request: LaunchRequest): Promise<LaunchedMachine>;
  /**
   * Lets a spare's machine, as which it was launched, run as the machine of `request`: readies the slot's directories
   * and address for it, which no other machine has any more, and resolves with what of its configuration only the
   * launcher knows. The machine keeps the token that it was launched with; by it, it is stopped, listed and watched.
   * Idempotent, also after a restart of the launcher and when it runs as the other machine already. Rejects LaunchError,
   * called-off if the spare has no machine any more. A launcher that cannot has none: its clusters have no spares.
   */
  assign?(spare: MachineRef, request: LaunchRequest): Promise<AssignedDirectories>;
  /**
   * Asks the machine to end, waits `graceMs`, ends it. Resolves only when it is proven gone, or will never
   * have been: of a token without a machine, it sees to it that there never is one. Idempotent.
   */
  stop(machine: MachineRef, options: { graceMs: number }): Promise<void>;
  /**
   * Ends it abruptly, as a failure would; does not wait. With `power` what was not yet synced to its disk is
   * lost too, where the runner can. Harmless if there is none.
   */
  kill(machine: MachineRef, options?: { power?: boolean }): Promise<void>;
  /**
   * The machine stands still from now on, until `resume`: it runs nothing, but keeps its connections. It can be
   * stopped and killed. A launcher that cannot has neither. Both are harmless if there is no such machine, or
   * if it is so already.
   */
  pause?(machine: MachineRef): Promise<void>;
  resume?(machine: MachineRef): Promise<void>;
  /** Machines that live now, of one cluster or of all; those launched by an earlier process of ours too. */
  list(clusterUid?: string): Promise<readonly LaunchedMachine[]>;
  /** Tells of each exit of machines launched or listed, whoever caused it. Returns what ends that. */
  watch(onExit: (exit: MachineExit) => void): () => void;
  /** The last `tailBytes` of what the machine printed; empty if nothing is known of it. */
  logs(machine: MachineRef, tailBytes: number): Promise<string>;
  /** Where machines reach the control API now, beside the address of its public URL. */
  apiHosts?(): readonly string[];
  /** Removes whatever is kept of a cluster whose machines are all stopped. Harmless if nothing is. */
  forget(clusterUid: string): Promise<void>;
}

/** Names a machine; the same everywhere, at any time. */
export function machineRef(
  compute: Pick<Compute, 'hash'>,
  machine: { clusterUid: string; slot: string; generation: number; attempt: number },
): MachineRef {
  const { clusterUid, slot, generation, attempt } = machine;
  const name = JSON.stringify([clusterUid, slot, generation, attempt]);
  const token = toHex(compute.hash('sha256', new TextEncoder().encode(name)));
  return { clusterUid, slot, generation, attempt, token };
}
