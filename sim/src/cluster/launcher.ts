/**
 * The launcher `sim`: one control API process's line to the fleet. It promises what every launcher does, and
 * fails as real ones do, by seed: a launch that starts nothing, one whose outcome is never known, an exit
 * that is told late, a runner that answers nobody for a while. The fleet outlives the process; the next one
 * makes a launcher of its own.
 */
import {
  type AssignedDirectories,
  LaunchError,
  type LaunchedMachine,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  type SlotAddresses,
} from '@skep/control-api';
import type { Host } from '@skep/p2p-core/host';
import { drawMs } from './distribution.ts';
import type { Fleet, FleetMachine } from './fleet.ts';

const pollMs = 10;
const slotNetwork = '10.1';
const addressesPerNetwork = 250;
const carefulRate = 0.6;
const ports = { listen: 6881, ring: 6882, health: 6883 };

export class SimLauncher implements Launcher {
  readonly modelsNetwork = true;
  readonly #fleet: Fleet;
  readonly #host: Host;
  readonly #listeners = new Set<(exit: MachineExit) => void>();

  /** `host`: of the process that launches; when it dies, so do its calls. */
  constructor(components: { fleet: Fleet; host: Host }) {
    this.#fleet = components.fleet;
    this.#host = components.host;
    this.#fleet.onChange((machine, change) => {
      if (change === 'exited') this.#tellExit(machine);
    });
  }

  async allocate(count: number, taken: readonly SlotAddresses[]): Promise<readonly SlotAddresses[]> {
    const used = new Set(taken.map(({ listen }) => listen.host));
    const addresses: SlotAddresses[] = [];
    for (let index = 0; addresses.length < count; index++) {
      const [network, machine] = [Math.floor(index / addressesPerNetwork), (index % addressesPerNetwork) + 1];
      if (network > 255) throw new LaunchError('no-free-address', 'the simulated network is full');
      const host = `${slotNetwork}.${network}.${machine}`;
      if (used.has(host)) continue;
      // Something still answers there that nobody knows of: a careful runner would give away another.
      if (this.#fleet.answersAt(host) && this.#fleet.random.chance(carefulRate)) continue;
      addresses.push({
        listen: { host, port: ports.listen },
        ringPort: ports.ring,
        healthPort: ports.health,
      });
    }
    return addresses;
  }

  async launch(request: LaunchRequest): Promise<LaunchedMachine> {
    const { launchFailureRate = 0, unknownOutcomeRate = 0 } = this.#fleet.options;
    const { machine: ref } = request;
    const fate = this.#fleet.random.float();
    await this.#answer();
    if (this.#fleet.isOut('fail')) throw notLaunched(ref, 'the runner does not answer');
    if (fate < launchFailureRate) throw notLaunched(ref, 'the runner has no room just now');
    if (this.#fleet.isOut('late')) {
      this.#fleet.launchLate(request);
      throw notLaunched(ref, 'the answer was lost');
    }
    const machine = this.#fleet.launch(request);
    if (machine === 'called-off') {
      throw new LaunchError('called-off', `${ref.slot}@${ref.generation} was stopped before it was launched`);
    }
    const isLost = fate < launchFailureRate + unknownOutcomeRate || this.#fleet.isOut('unknown');
    if (isLost) throw notLaunched(ref, 'the answer was lost');
    while (machine.state === 'booting') await this.#sleep(pollMs);
    if (machine.evidence === 'called off') throw new LaunchError('called-off', 'it was called off meanwhile');
    if (machine.state === 'exited') this.#tellExit(machine);
    return { machine: ref, name: machine.name };
  }

  async assign(spare: MachineRef, request: LaunchRequest): Promise<AssignedDirectories> {
    const { unknownOutcomeRate = 0 } = this.#fleet.options;
    const fate = this.#fleet.random.float();
    await this.#answer();
    if (this.#fleet.isOut('fail')) throw notLaunched(request.machine, 'the runner does not answer');
    const directories = this.#fleet.assign(spare.token, request);
    if (directories === undefined) {
      throw new LaunchError(
        'called-off',
        `${spare.slot}@${spare.generation} cannot be assigned: it is gone, or another slot’s`,
      );
    }
    const isLost = fate < unknownOutcomeRate || this.#fleet.isOut('unknown') || this.#fleet.isOut('late');
    if (isLost) throw notLaunched(request.machine, 'the answer was lost');
    return directories;
  }

  async stop(ref: MachineRef, { graceMs }: { graceMs: number }): Promise<void> {
    const stopMs = drawMs(this.#fleet.random, this.#fleet.options.stopMs ?? [0, 0]);
    if (stopMs > 0) await this.#sleep(stopMs);
    if (this.#fleet.isOut('fail'))
      throw new LaunchError('not-launched', 'the runner does not answer; try again');
    const machine = this.#fleet.callOff(ref.token);
    if (machine === 'called-off') return;
    if (machine.state === 'alive' && graceMs > 0) this.#fleet.terminate(machine);
    const killAtMs = this.#host.clock.now() + graceMs;
    while (machine.state !== 'exited') {
      if (this.#host.clock.now() >= killAtMs) this.#fleet.crash(machine);
      await this.#sleep(pollMs);
    }
  }

  async kill(ref: MachineRef, { power = false }: { power?: boolean } = {}): Promise<void> {
    const machine = this.#machineOf(ref);
    if (machine !== undefined) this.#fleet.crash(machine, power ? 'machine' : 'process');
  }

  async pause(ref: MachineRef): Promise<void> {
    const machine = this.#machineOf(ref);
    if (machine !== undefined) this.#fleet.pause(machine);
  }

  async resume(ref: MachineRef): Promise<void> {
    const machine = this.#machineOf(ref);
    if (machine !== undefined) this.#fleet.resume(machine);
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    await this.#answer();
    return this.#fleet
      .living()
      .filter(({ ref }) => clusterUid === undefined || ref.clusterUid === clusterUid)
      .map(({ launchedAs, name }) => ({ machine: launchedAs, name }));
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async logs({ token }: MachineRef, tailBytes: number): Promise<string> {
    return tailBytes > 0 ? this.#fleet.log(token).join('').slice(-tailBytes) : '';
  }

  async forget(_clusterUid: string): Promise<void> {
    // Disks are the world's and end with it.
  }

  #machineOf({ token }: MachineRef): FleetMachine | undefined {
    const machine = this.#fleet.of(token);
    return machine === 'called-off' ? undefined : machine;
  }

  #tellExit({ launchedAs, evidence }: FleetMachine): void {
    const knownMs = drawMs(this.#fleet.random, this.#fleet.options.exitKnownMs ?? [20, 2_000]);
    this.#host.clock.setTimer(knownMs, () => {
      for (const listener of [...this.#listeners])
        listener({ machine: launchedAs, evidence: evidence ?? 'gone' });
    });
  }

  #answer(): Promise<void> {
    return this.#sleep(drawMs(this.#fleet.random, this.#fleet.options.answerMs ?? [pollMs, pollMs]));
  }

  /** In the life of the process: what it awaits never comes once it is dead. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#host.clock.setTimer(ms, resolve));
  }
}

function notLaunched({ slot, generation }: MachineRef, why: string): LaunchError {
  return new LaunchError('not-launched', `${slot}@${generation} could not be launched: ${why}; try again`);
}
