/**
 * Machines as processes of this computer, detached, so that they outlive the control API and are adopted by
 * the next one.
 *
 * At most one process a token ever lives: whoever first makes the token's `machine.json` is it. An agent does
 * so as its first act and ends with code 17 if it can't; to call a launch off, the launcher makes that file
 * itself. A machine is known by pid and start time, so no stranger is ever taken for it.
 */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import type { Host, Timer } from '@skep/p2p-core/host';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
  signalProcess,
} from '@skep/p2p-core/process-identity';
import {
  type AssignedDirectories,
  LaunchError,
  type LaunchedMachine,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  machineRef,
  type SlotAddresses,
} from '../ports/launcher.ts';
import { Turns } from '../turns.ts';
import { ProcessAddresses } from './process-addresses.ts';
import { type MachineName, ProcessDirectories } from './process-directories.ts';
import { isStartedWith } from './process-environments.ts';
import { boundLog } from './process-logs.ts';

export interface ProcessLauncherOptions {
  /** Everything that is kept of machines lies below it. */
  readonly directory: string;
  /** The agent's program, a file that Node runs. */
  readonly agentProgram: string;
  /** @default 127.0.0.1 */
  readonly host?: string;
  /** What the last orphan of an ephemeral cluster removes, if all who would clean up were killed. */
  readonly ephemeralRoot?: string;
  /** Environment of the agents, beside SKEP_CONFIG. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** What a token's `machine.json` says. */
type Claim = 'none' | 'called-off' | 'unreadable' | ProcessIdentity;

interface Watched {
  readonly machine: MachineRef;
  readonly process: ProcessIdentity;
  /** What the kernel said of its end, if it is a child of ours. */
  evidence?: string;
}

const pollMs = 150;
const claimPollMs = 5;
/** How long a spawned agent may take to make its claim before it is looked at again by a retry. */
const claimTimeoutMs = 15_000;
const logCheckEveryPolls = 40;
const ownerOnly = 0o600;

export class ProcessLauncher implements Launcher {
  readonly #host: Host;
  readonly #options: ProcessLauncherOptions;
  readonly #addresses: ProcessAddresses;
  readonly #directories: ProcessDirectories;
  readonly #watched = new Map<string, Watched>();
  /** Spawned and not yet seen to exit, by token, whether or not they won their claim. */
  readonly #children = new Map<string, Set<ProcessIdentity>>();
  readonly #listeners = new Set<(exit: MachineExit) => void>();
  /** What concerns one token happens one after the other. */
  readonly #turns = new Turns();
  #polls = 0;
  #timer: Timer | undefined;

  constructor(components: { host: Host }, options: ProcessLauncherOptions) {
    this.#host = components.host;
    this.#options = options;
    this.#addresses = new ProcessAddresses(components.host, options.host ?? '127.0.0.1');
    this.#directories = new ProcessDirectories(options.directory);
  }

  /** Stops watching. Machines run on. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#listeners.clear();
    this.#watched.clear();
  }

  allocate(
    count: number,
    taken: readonly SlotAddresses[],
    { ownHosts = false }: { clusterUid: string; ownHosts?: boolean },
  ): Promise<readonly SlotAddresses[]> {
    return this.#addresses.allocate(count, taken, ownHosts);
  }

  launch(request: LaunchRequest): Promise<LaunchedMachine> {
    return this.#turns.take(request.machine.token, async () => {
      const { machine } = request;
      const known = this.#claim(machine);
      // A claim that its maker died over, half written, can be nobody's any more.
      if (known === 'called-off' || (known === 'unreadable' && !this.#hasProcess(machine))) {
        throw new LaunchError(
          'called-off',
          `${machine.slot}@${machine.generation} was stopped before it was launched`,
        );
      }
      if (typeof known === 'object') return this.#adopt(machine, known);
      await this.#prepare(request);
      const claimed = await this.#spawn(machine);
      return this.#adopt(machine, claimed);
    });
  }

  assign(spare: MachineRef, { machine, ephemeral, emptyDisk }: LaunchRequest): Promise<AssignedDirectories> {
    return this.#turns.take(spare.token, async () => {
      const claim = this.#claim(spare);
      const calledOff = (why: string) =>
        new LaunchError('called-off', `${spare.slot}@${spare.generation} cannot be assigned: ${why}`);
      if (typeof claim !== 'object' || !isAlive(claim)) throw calledOff('it has no process any more');
      const self = JSON.stringify([machine.slot, machine.generation, machine.attempt]);
      const path = this.#directories.assignment(spare);
      const known = readIfThere(path);
      if (known !== undefined && known !== self) throw calledOff(`it is ${known} already`);
      const dataDirectory = this.#directories.data(machine);
      // One that was assigned before may be using the disk by now.
      if (emptyDisk && known === undefined) await rm(dataDirectory, { recursive: true, force: true });
      await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
      await writeWhole(path, self);
      return {
        dataDirectory,
        ...(ephemeral ? this.#ephemeral(this.#directories.slot(machine)) : {}),
      };
    });
  }

  stop(machine: MachineRef, { graceMs }: { graceMs: number }): Promise<void> {
    return this.#turns.take(machine.token, async () => {
      const claim = await this.#claimOrCallOff(machine);
      if (claim !== 'called-off') await this.#end(claim, graceMs);
      // Losers of the claim end by themselves; a launch is not over before they have.
      for (const child of this.#children.get(machine.token) ?? []) await this.#end(child, graceMs);
      this.#exited(machine.token, 'stopped');
    });
  }

  /** What a process has written survives its end, so that `power` changes nothing here. */
  async kill(machine: MachineRef): Promise<void> {
    this.#signal(machine, 'SIGKILL');
  }

  async pause(machine: MachineRef): Promise<void> {
    this.#signal(machine, 'SIGSTOP');
  }

  async resume(machine: MachineRef): Promise<void> {
    this.#signal(machine, 'SIGCONT');
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    const living: LaunchedMachine[] = [];
    for (const name of this.#directories.machines(clusterUid)) {
      const machine = machineRef(this.#host.compute, name);
      const claim = this.#claim(machine);
      if (typeof claim === 'object' && isAlive(claim)) living.push(this.#adopt(machine, claim));
    }
    return living;
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async logs(machine: MachineRef, tailBytes: number): Promise<string> {
    let file: number;
    try {
      file = openSync(this.#directories.log(machine), 'r');
    } catch {
      return '';
    }
    try {
      const { size } = fstatSync(file);
      const tail = new Uint8Array(Math.min(size, tailBytes));
      const length = readSync(file, tail, 0, tail.length, size - tail.length);
      return new TextDecoder().decode(tail.subarray(0, length));
    } finally {
      closeSync(file);
    }
  }

  async forget(clusterUid: string): Promise<void> {
    await rm(this.#directories.cluster(clusterUid), { recursive: true, force: true });
  }

  #signal(machine: MachineRef, signal: NodeJS.Signals): void {
    const claim = this.#claim(machine);
    if (typeof claim === 'object') signalProcess(claim, signal);
  }

  /** Everything a launch needs on disk; the same however often it is done. */
  async #prepare({ machine, config, ephemeral, emptyDisk }: LaunchRequest): Promise<void> {
    const isSpare = config.role === 'spare';
    const dataDirectory = isSpare ? this.#directories.spareData(machine) : this.#directories.data(machine);
    // A process that was spawned before and is late with its claim found the disk empty already.
    if (emptyDisk && !this.#hasProcess(machine)) await rm(dataDirectory, { recursive: true, force: true });
    await mkdir(this.#directories.machine(machine), { recursive: true, mode: 0o700 });
    await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
    // What a spare leaves is its own alone: by then its slot may have the next one.
    const own = isSpare ? this.#directories.machine(machine) : this.#directories.slot(machine);
    const whole = { ...config, dataDirectory, ...(ephemeral ? this.#ephemeral(own) : {}) };
    await writeWhole(this.#directories.config(machine), JSON.stringify(whole, null, 2));
  }

  #ephemeral(ephemeralDirectory: string): Omit<AssignedDirectories, 'dataDirectory'> {
    const { ephemeralRoot } = this.#options;
    return { ephemeralDirectory, ...(ephemeralRoot ? { ephemeralRoot } : {}) };
  }

  /** Starts a process for the token and resolves with the one that became the machine, this or another. */
  async #spawn(machine: MachineRef): Promise<ProcessIdentity> {
    const log = openSync(this.#directories.log(machine), 'a', ownerOnly);
    const child = spawn(process.execPath, [this.#options.agentProgram], {
      cwd: this.#directories.machine(machine),
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...this.#options.environment, SKEP_CONFIG: this.#directories.config(machine) },
    });
    closeSync(log);
    child.unref();
    const self = child.pid === undefined ? undefined : identifyProcess(child.pid);
    let ended: string | undefined;
    const siblings = this.#children.get(machine.token) ?? new Set();
    this.#children.set(machine.token, siblings);
    if (self !== undefined) siblings.add(self);
    const onEnd = (evidence: string): void => {
      ended = evidence;
      if (self !== undefined) siblings.delete(self);
      if (siblings.size === 0) this.#children.delete(machine.token);
      const watched = this.#watched.get(machine.token);
      if (watched?.process.pid === child.pid) this.#exited(machine.token, evidence);
    };
    child.once('error', (error) => onEnd(error.message));
    child.once('exit', (code, signal) =>
      onEnd(signal === null ? `exit code ${code}` : `killed by ${signal}`),
    );

    const deadline = this.#host.clock.now() + claimTimeoutMs;
    for (;;) {
      // Read after `ended` is looked at: a child may claim and exit between the two.
      const over = ended;
      const claim = this.#claim(machine);
      if (typeof claim === 'object') {
        if (claim.pid === child.pid && over !== undefined) this.#rememberEvidence(machine, claim, over);
        return claim;
      }
      if (over !== undefined) {
        throw new LaunchError('not-launched', `the agent ended before it began (${over}); its log says why`);
      }
      if (this.#host.clock.now() > deadline) {
        throw new LaunchError('not-launched', `the agent made no claim within ${claimTimeoutMs} ms`);
      }
      await this.#sleep(claimPollMs);
    }
  }

  /** Whoever makes the file first wins; after this the token has its machine, or never will. */
  async #claimOrCallOff(machine: MachineRef): Promise<'called-off' | ProcessIdentity> {
    await mkdir(this.#directories.machine(machine), { recursive: true, mode: 0o700 });
    for (;;) {
      const claim = this.#claim(machine);
      if (claim === 'called-off' || typeof claim === 'object') return claim;
      if (claim === 'none') {
        try {
          writeFileSync(this.#directories.claim(machine), '{"calledOff":true}', {
            flag: 'wx',
            mode: ownerOnly,
          });
          return 'called-off';
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
      }
      // Made, but not written to the end: its maker is at it, or died between the two.
      if (claim === 'unreadable' && !this.#hasProcess(machine)) return 'called-off';
      await this.#sleep(claimPollMs);
    }
  }

  #claim(machine: MachineName): Claim {
    const text = readIfThere(this.#directories.claim(machine));
    if (text === undefined) return 'none';
    try {
      const { pid, startTime, calledOff } = JSON.parse(text) as Record<string, unknown>;
      if (calledOff === true) return 'called-off';
      if (Number.isSafeInteger(pid) && Number(pid) > 1)
        return { pid: Number(pid), startTime: String(startTime) };
    } catch {
      // Not written to the end yet.
    }
    return 'unreadable';
  }

  /** Whether any process was started with this machine's configuration, as the kernel knows their environments. */
  #hasProcess(machine: MachineRef): boolean {
    if ((this.#children.get(machine.token)?.size ?? 0) > 0) return true;
    return isStartedWith(`SKEP_CONFIG=${this.#directories.config(machine)}`);
  }

  async #end(target: ProcessIdentity, graceMs: number): Promise<void> {
    const { clock } = this.#host;
    const killAtMs = clock.now() + graceMs;
    if (graceMs > 0) {
      signalProcess(target, 'SIGTERM');
      // One that is paused hears of it only when it goes on.
      signalProcess(target, 'SIGCONT');
    }
    for (let waitMs = 2; isAlive(target); waitMs = Math.min(waitMs * 2, 50)) {
      if (clock.now() >= killAtMs) signalProcess(target, 'SIGKILL');
      await this.#sleep(waitMs);
    }
  }

  #adopt(machine: MachineRef, process: ProcessIdentity): LaunchedMachine {
    if (!this.#watched.has(machine.token)) this.#watched.set(machine.token, { machine, process });
    this.#timer ??= this.#host.clock.setTimer(pollMs, () => this.#poll());
    return { machine, name: String(process.pid) };
  }

  #rememberEvidence(machine: MachineRef, process: ProcessIdentity, evidence: string): void {
    this.#watched.set(machine.token, { machine, process, evidence });
  }

  /** Notices the end of machines that are no children of ours, and bounds the logs of all. */
  #poll(): void {
    this.#timer = undefined;
    this.#polls += 1;
    for (const [token, { process, machine, evidence }] of this.#watched) {
      if (evidence !== undefined || !isAlive(process)) this.#exited(token, evidence ?? 'its process is gone');
      else if (this.#polls % logCheckEveryPolls === 0) boundLog(this.#directories.log(machine));
    }
    if (this.#watched.size > 0) this.#timer ??= this.#host.clock.setTimer(pollMs, () => this.#poll());
  }

  #exited(token: string, evidence: string): void {
    const watched = this.#watched.get(token);
    if (watched === undefined) return;
    this.#watched.delete(token);
    for (const listener of [...this.#listeners]) listener({ machine: watched.machine, evidence });
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#host.clock.setTimer(delayMs, resolve);
    });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Renamed into place: whoever reads it, at any time, reads the whole of it or nothing. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: ownerOnly });
  await rename(`${path}.new`, path);
}
