/** The machines of a command's own cluster, however they run: what it takes that none of them outlives the command. */
import { randomBytes } from 'node:crypto';
import type { NodeView } from '@skep/contract';
import { type Clock, sleep } from '@skep/p2p-core/host';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
  signalProcess,
} from '@skep/p2p-core/process-identity';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import type { RunnerChoice } from './choice.ts';

export interface OwnMachines {
  /** What the control API is told, so that its machines are known as this command's. */
  readonly environment: Readonly<Record<string, string>>;
  /** Before the first: ends what commands have left that were killed. Rejects CliError if the runner cannot be had. */
  prepare(): Promise<void>;
  remember(nodes: readonly NodeView[]): void;
  /** Ends, and removes, all that is left, the control API being gone. */
  endAll(): Promise<void>;
}

export function ownMachines(choice: RunnerChoice, clock: Clock): OwnMachines {
  return choice.name === 'docker' ? new OwnContainers() : new OwnProcesses(clock);
}

const goneMs = 2_000;

class OwnProcesses implements OwnMachines {
  readonly environment = {};
  readonly #clock: Clock;
  readonly #processes = new Map<number, ProcessIdentity>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async prepare(): Promise<void> {}

  remember(nodes: readonly NodeView[]): void {
    for (const { machine } of nodes) {
      const pid = Number(machine);
      if (!(pid > 1) || this.#processes.has(pid)) continue;
      const identity = identifyProcess(pid);
      if (identity !== undefined) this.#processes.set(pid, identity);
    }
  }

  async endAll(): Promise<void> {
    const processes = [...this.#processes.values()];
    for (const machine of processes) signalProcess(machine, 'SIGKILL');
    const giveUpAt = this.#clock.now() + goneMs;
    const never = new AbortController().signal;
    while (processes.some(isAlive) && this.#clock.now() < giveUpAt) await sleep(this.#clock, 20, never);
  }
}

const ownerPattern = /^command\.(\d+)\.(\d+)\.[0-9a-f]+$/;

/** They carry the name of the command, which says of what process it is. */
class OwnContainers implements OwnMachines {
  readonly #owner: string;

  constructor() {
    const self = identifyProcess(process.pid);
    this.#owner = `command.${self?.pid}.${self?.startTime}.${randomBytes(4).toString('hex')}`;
  }

  get environment() {
    return { SKEP_DOCKER_OWNER: this.#owner };
  }

  prepare(): Promise<void> {
    return removeRemains((owner) => {
      const [, pid, startTime] = ownerPattern.exec(owner) ?? [];
      return startTime !== undefined && !isAlive({ pid: Number(pid), startTime });
    });
  }

  /** By their labels they are found without. */
  remember(): void {}

  endAll(): Promise<void> {
    return removeRemains((owner) => owner === this.#owner);
  }
}

/** What speaks to an engine is loaded only where there is one to speak to. */
async function removeRemains(isMeant: (owner: string) => boolean): Promise<void> {
  const remains = await import('@skep/control-api/docker-remains');
  try {
    await remains.removeRemains(isMeant);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError('engine', exitCodes.machine, `${why.slice(0, 1).toUpperCase()}${why.slice(1)}.`, {
      cause: error,
    });
  }
}
