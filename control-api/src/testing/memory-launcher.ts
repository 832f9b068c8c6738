/** A launcher of pretended machines, which counts what it was made to do. Its machines outlive a control API. */
import { describePlacement } from '../decisions/placement.ts';
import {
  type AssignedDirectories,
  LaunchError,
  type LaunchedMachine,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  type SlotAddresses,
} from '../ports/launcher.ts';

interface Pretended {
  readonly request: LaunchRequest;
  /** Of a spare: what it is to run as. */
  assigned?: LaunchRequest;
  alive: boolean;
  paused: boolean;
}

export class MemoryLauncher implements Launcher {
  readonly machines = new Map<string, Pretended>();
  readonly calledOff = new Set<string>();
  readonly forgotten: string[] = [];
  /** How many launches and assignments fail before one succeeds; half of the failures happen after it was done. */
  failures = 0;
  /** Placements, in words, that have no room. */
  readonly full = new Set<string>();
  /** Most machines of one slot that were ever alive at one time. */
  mostAlive = 0;
  #port = 1_000;
  #failed = 0;
  readonly #listeners = new Set<(exit: MachineExit) => void>();

  async allocate(
    count: number,
    _taken: readonly SlotAddresses[] = [],
    { ownHosts = false }: { ownHosts?: boolean } = {},
  ): Promise<readonly SlotAddresses[]> {
    return Array.from({ length: count }, () => {
      this.#port += 3;
      const port = this.#port;
      const host = ownHosts ? `127.77.${port >> 8}.${port & 255}` : '127.0.0.1';
      return { listen: { host, port }, ringPort: port + 1, healthPort: port + 2 };
    });
  }

  async launch(request: LaunchRequest): Promise<LaunchedMachine> {
    const { machine } = request;
    if (this.calledOff.has(machine.token)) throw new LaunchError('called-off', 'called off');
    const place = describePlacement(request.placement ?? {});
    if (this.full.has(place)) throw new LaunchError('no-capacity', `no room for ${place}`);
    const fails = this.#fails();
    if (!fails || this.#failed % 2 === 0) {
      if (!this.machines.has(machine.token))
        this.machines.set(machine.token, { request, alive: true, paused: false });
      this.#countAlive(machine.slot);
    }
    if (fails) throw new LaunchError('not-launched', 'the answer was lost');
    if (!this.machines.get(machine.token)!.alive) this.#tell(machine, 'found exited');
    return { machine, name: `m-${machine.slot}-${machine.generation}.${machine.attempt}` };
  }

  async assign(spare: MachineRef, request: LaunchRequest): Promise<AssignedDirectories> {
    const known = this.machines.get(spare.token);
    const fails = this.#fails();
    if (fails && this.#failed % 2 === 1) throw new LaunchError('not-launched', 'the answer was lost');
    if (!known?.alive) throw new LaunchError('called-off', 'the spare has no machine any more');
    known.assigned ??= request;
    if (known.assigned.machine.token !== request.machine.token)
      throw new LaunchError('called-off', 'the spare is another slot’s already');
    this.#countAlive(request.machine.slot);
    if (fails) throw new LaunchError('not-launched', 'the answer was lost');
    return { dataDirectory: `/data/${request.machine.slot}` };
  }

  async stop(machine: MachineRef): Promise<void> {
    const known = this.machines.get(machine.token);
    if (known === undefined) this.calledOff.add(machine.token);
    else if (known.alive) this.crash(machine, 'stopped');
  }

  async kill(machine: MachineRef): Promise<void> {
    if (this.machines.get(machine.token)?.alive) this.crash(machine, 'killed by SIGKILL');
  }

  async pause(machine: MachineRef): Promise<void> {
    const known = this.machines.get(machine.token);
    if (known !== undefined) known.paused = true;
  }

  async resume(machine: MachineRef): Promise<void> {
    const known = this.machines.get(machine.token);
    if (known !== undefined) known.paused = false;
  }

  /** Slots whose living machine stands still. */
  paused(): string[] {
    return [...this.machines.values()].filter(({ alive, paused }) => alive && paused).map(slotOf);
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    return [...this.machines.values()]
      .filter(
        ({ alive, request }) =>
          alive && (clusterUid ?? request.machine.clusterUid) === request.machine.clusterUid,
      )
      .map(({ request: { machine } }) => ({
        machine,
        name: `m-${machine.slot}-${machine.generation}.${machine.attempt}`,
      }));
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async logs(machine: MachineRef, tailBytes: number): Promise<string> {
    return `log of ${machine.slot}@${machine.generation}`.slice(-tailBytes);
  }

  async forget(clusterUid: string): Promise<void> {
    this.forgotten.push(clusterUid);
  }

  /** Ends a machine, as a failure would. */
  crash(machine: MachineRef, evidence = 'exit code 1'): void {
    this.machines.get(machine.token)!.alive = false;
    this.#tell(machine, evidence);
  }

  /** The living machine of a slot, by the name that it was launched with. */
  living(slot: string): LaunchRequest | undefined {
    const found = [...this.machines.values()].find((each) => each.alive && slotOf(each) === slot);
    return found === undefined
      ? undefined
      : { ...(found.assigned ?? found.request), machine: found.request.machine };
  }

  #fails(): boolean {
    if (this.failures === 0) return false;
    this.failures -= 1;
    this.#failed += 1;
    return true;
  }

  #countAlive(slot: string): void {
    const alive = [...this.machines.values()].filter((each) => each.alive && slotOf(each) === slot);
    this.mostAlive = Math.max(this.mostAlive, alive.length);
  }

  #tell(machine: MachineRef, evidence: string): void {
    for (const listener of [...this.#listeners]) listener({ machine, evidence });
  }
}

/** Where a machine lives by now. */
function slotOf({ request, assigned }: Pretended): string {
  return (assigned ?? request).config.slot;
}
