/**
 * Machines as containers that docker compose has made: they wait, each for a configuration, and a launch gives one of
 * them the slot's address and its configuration. To end a machine is to start its container anew, upon which it waits
 * again. Compose says how many containers of a role there are; a launch for which none is left finds no capacity.
 */
import type { Host } from '@skep/p2p-core/host';
import {
  LaunchError,
  type LaunchedMachine,
  type Launcher,
  type LaunchRequest,
  type MachineExit,
  type MachineRef,
  type SlotAddresses,
} from '../ports/launcher.ts';
import { Turns } from '../turns.ts';
import { ComposeRecords, type LaunchedRecord } from './compose-records.ts';
import { DockerAddresses } from './docker-addresses.ts';
import { composeConfig, evidenceOf } from './docker-containers.ts';
import { DeathWatch } from './docker-deaths.ts';
import { type ContainerDetails, type DockerEngine, type EngineContainer, isAlive } from './docker-engine.ts';
import { asLaunch, EngineError } from './docker-engine-error.ts';

export interface ComposeLauncherOptions {
  /** The compose project, whose containers they are. */
  readonly project: string;
  /** Records of machines are kept below it. */
  readonly directory: string;
}

/** What compose.yaml says of a service whose containers wait to be nodes. */
export const composeLabels = {
  /** bootstrap, index or peer. */
  role: 'skep.role',
  /** On containers of a peer that have the content: the first peers are put there. */
  seeds: 'skep.seeds',
} as const;

/** The network of the project in which slots have their addresses. */
const networkKey = 'cluster';
/** Reads a configuration to where the container looks for it: in its memory, so that it is gone when the container ends. */
const takeConfig = [
  'sh',
  '-c',
  'umask 077 && cat >/config/agent.json.new && mv /config/agent.json.new /config/agent.json',
];
/** Succeeds while the container waits for one. */
const waits = ['test', '-e', '/config/waiting'];
const shownIdLength = 12;
/** What turns are taken about. */
const containersOfAll = 'containers';
const readyPollMs = 100;
const readyMs = 30_000;
/** Of an agent, and of one that waited, that were told to end. */
const orderlyExitCodes: ReadonlySet<number> = new Set([0, 143]);
/** Longer than compose takes to remove what it has stopped. */
const putAwayMs = 15_000;

export class ComposeLauncher implements Launcher {
  readonly #host: Host;
  readonly #engine: DockerEngine;
  readonly #options: ComposeLauncherOptions;
  readonly #records: ComposeRecords;
  readonly #addresses: DockerAddresses;
  readonly #deaths: DeathWatch;
  readonly #watched = new Map<string, LaunchedRecord>();
  readonly #listeners = new Set<(exit: MachineExit) => void>();
  /** When containers were last told to end, by whomever; and those that we told, by the life in which we did. */
  readonly #toldAtMs = new Map<string, number>();
  readonly #endedByUs = new Map<string, string>();
  /** Containers are chosen one after the other. */
  readonly #turns = new Turns();

  constructor(components: { host: Host; engine: DockerEngine }, options: ComposeLauncherOptions) {
    const { host, engine } = components;
    this.#host = host;
    this.#engine = engine;
    this.#options = options;
    this.#records = new ComposeRecords(host, options);
    this.#addresses = new DockerAddresses(host, {
      inUse: async () => [],
      subnetOfCluster: async () => (await this.#network()).subnets[0],
    });
    this.#deaths = new DeathWatch(
      { clock: host.clock, engine },
      {
        having: this.#ofProject(),
        onDeath: ({ id }) => void this.#onDeath(id),
        onTold: ({ id, atMs }) => this.#toldAtMs.set(id, atMs),
        onBegun: () => void this.#lookForMissed().catch(() => undefined),
      },
    );
  }

  /** Sees that the Engine answers and the project has its network. Rejects EngineError. */
  async start(): Promise<void> {
    await this.#network();
  }

  /** Stops watching. Machines run on. */
  close(): void {
    this.#deaths.close();
    this.#listeners.clear();
    this.#watched.clear();
  }

  /** Containers of the project that are or may become nodes of a role, running or not. */
  async containers(role: string): Promise<EngineContainer[]> {
    const having = { ...this.#ofProject(), [composeLabels.role]: role };
    return (await this.#engine.containers(having)).filter(
      ({ state }) => state !== 'removing' && state !== 'dead',
    );
  }

  allocate(
    count: number,
    taken: readonly SlotAddresses[],
    { clusterUid }: { clusterUid: string },
  ): Promise<readonly SlotAddresses[]> {
    return this.#addresses.allocate(count, taken, clusterUid);
  }

  launch(request: LaunchRequest): Promise<LaunchedMachine> {
    return this.#turns.take(containersOfAll, () => asLaunch(() => this.#launch(request)));
  }

  async #launch(request: LaunchRequest): Promise<LaunchedMachine> {
    const { machine } = request;
    const known = await this.#records.find(machine);
    if (known?.kind === 'called-off') {
      throw new LaunchError(
        'called-off',
        `${machine.slot}@${machine.generation} was stopped before it was launched`,
      );
    }
    if (known !== undefined) {
      const found = await this.#living(known);
      // Chosen, but whoever did died before the configuration was there.
      if (found !== undefined && (await this.#isWaiting(found))) await this.#handOver(request, known);
      return this.#adopt(known);
    }
    const disk = await this.#diskFor(request);
    const { id, startedAt } = await this.#choose(request);
    const record: LaunchedRecord = { kind: 'launched', machine, containerId: id, startedAt, disk };
    await this.#records.add(record);
    await this.#handOver(request, record);
    return this.#adopt(record);
  }

  async #handOver({ config }: LaunchRequest, { containerId, disk }: LaunchedRecord): Promise<void> {
    const text = JSON.stringify(composeConfig(config, disk));
    const status = await this.#engine.execute(containerId, takeConfig, text);
    if (status !== 0) throw new LaunchError('not-launched', 'the container did not take its configuration');
  }

  /** One that waits, at the slot's address. Rejects no-capacity. */
  async #choose({ machine, config }: LaunchRequest): Promise<ContainerDetails> {
    const used = new Set((await this.#livingRecords()).map(({ containerId }) => containerId));
    const free = (await this.containers(config.role)).filter(
      ({ id, state }) => !used.has(id) && state !== 'paused',
    );
    const candidates: EngineContainer[] = [];
    for (const container of free) {
      const found = await this.#engine.find(container.id);
      if (found !== undefined && !this.#isPutAway(found)) candidates.push(container);
    }
    const isSeed = Number(machine.slot.split('-')[1]) === 1;
    const fitness = ({ labels, state }: EngineContainer) =>
      ((labels[composeLabels.seeds] === 'true') === isSeed ? 2 : 0) + (state === 'running' ? 1 : 0);
    const [best] = candidates.sort((a, b) => fitness(b) - fitness(a));
    if (best === undefined) {
      throw new LaunchError(
        'no-capacity',
        `no container of the compose project ${this.#options.project} waits to be a ${config.role} node: scale its service up`,
      );
    }
    await this.#readdress(best, config.listen.host);
    await this.#engine.start(best.id);
    const deadline = this.#host.clock.now() + readyMs;
    for (;;) {
      const found = await this.#engine.find(best.id);
      if (found?.state === 'running' && (await this.#isWaiting(found))) return found;
      if (this.#host.clock.now() > deadline) {
        throw new LaunchError('not-launched', `container ${best.name} does not wait for a configuration`);
      }
      await new Promise<void>((resolve) => {
        this.#host.clock.setTimer(readyPollMs, resolve);
      });
    }
  }

  /** Told to end a moment ago by others, who may be about to remove it, as compose is when it takes the project down. */
  #isPutAway({ id, startedAt, state, exitCode, finishedAt }: ContainerDetails): boolean {
    if (this.#endedByUs.get(id) === startedAt) return false;
    const now = this.#host.clock.wallTime();
    const toldAtMs = this.#toldAtMs.get(id) ?? Number.NEGATIVE_INFINITY;
    if (toldAtMs >= Date.parse(startedAt)) return now - toldAtMs < putAwayMs;
    // Perhaps before anybody listened.
    const isOrderly = state === 'exited' && orderlyExitCodes.has(exitCode);
    return isOrderly && now - Date.parse(finishedAt) < putAwayMs;
  }

  async #isWaiting({ id }: ContainerDetails): Promise<boolean> {
    return (await this.#engine.execute(id, waits)) === 0;
  }

  /** Whoever else has the address, perhaps since it was in the slot before, gets another. */
  async #readdress(container: EngineContainer, address: string): Promise<void> {
    const { id, name } = await this.#network();
    for (const other of await this.#engine.containers(this.#ofProject())) {
      if (other.id !== container.id && other.addresses[name] === address)
        await this.#engine.readdress(id, other.id);
    }
    if (container.addresses[name] !== address) await this.#engine.readdress(id, container.id, address);
  }

  /** The folder of the slot's machine before, or one of its own that holds nothing. */
  async #diskFor({ machine, emptyDisk }: LaunchRequest): Promise<string> {
    const order = ({ machine: { generation, attempt } }: LaunchedRecord) => generation * 1e6 + attempt;
    const before = (await this.#records.launched(machine.clusterUid))
      .filter((record) => record.machine.slot === machine.slot)
      .sort((a, b) => order(b) - order(a));
    const own = `${machine.clusterUid.slice(0, shownIdLength)}/${machine.slot}-${machine.generation}.${machine.attempt}`;
    return emptyDisk ? own : (before[0]?.disk ?? own);
  }

  stop(machine: MachineRef, { graceMs }: { graceMs: number }): Promise<void> {
    return this.#turns.take(containersOfAll, async () => {
      for (;;) {
        const known = await this.#records.find(machine);
        if (known?.kind === 'called-off') return;
        if (known === undefined) {
          await this.#records.add({ kind: 'called-off', machine });
          continue;
        }
        const found = await this.#living(known);
        if (found !== undefined) {
          const isPutAway = this.#isPutAway(found);
          if (!isPutAway) this.#endedByUs.set(found.id, found.startedAt);
          await this.#engine.stop(found.id, graceMs);
          if ((await this.#living(known)) !== undefined) continue;
          // It waits again. Whether it does is not this machine's concern: the next launch starts it too.
          if (!isPutAway) await this.#engine.start(found.id).catch(() => undefined);
        }
        return this.#exited(known, 'stopped');
      }
    });
  }

  /** What a container has written survives its end, so that `power` changes nothing here. */
  async kill(machine: MachineRef): Promise<void> {
    await this.#ifLiving(machine, (id) => this.#engine.kill(id));
  }

  async pause(machine: MachineRef): Promise<void> {
    await this.#ifLiving(machine, (id) => this.#engine.pause(id));
  }

  async resume(machine: MachineRef): Promise<void> {
    await this.#ifLiving(machine, (id) => this.#engine.resume(id));
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    return (await this.#livingRecords(clusterUid)).map((record) => this.#adopt(record));
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    this.#deaths.start();
    return () => this.#listeners.delete(listener);
  }

  async logs(machine: MachineRef, tailBytes: number): Promise<string> {
    const known = await this.#records.find(machine);
    if (known?.kind !== 'launched') return '';
    const found = await this.#engine.find(known.containerId);
    if (found === undefined) return '';
    const seconds = (time: string) => (Date.parse(time) / 1000).toFixed(3);
    const later = found.startedAt === known.startedAt ? {} : { until: seconds(found.startedAt) };
    return this.#engine.logs(found.id, tailBytes, { since: seconds(known.startedAt), ...later });
  }

  /** What slots kept stays until compose removes its volume: it is the nodes', and out of reach here. */
  async forget(clusterUid: string): Promise<void> {
    await this.#records.forget(clusterUid);
  }

  // ---- lives and ends

  /** The container, if it still is this machine. */
  async #living({ containerId, startedAt }: LaunchedRecord): Promise<ContainerDetails | undefined> {
    const found = await this.#engine.find(containerId);
    return found !== undefined && isAlive(found.state) && found.startedAt === startedAt ? found : undefined;
  }

  async #livingRecords(clusterUid?: string): Promise<LaunchedRecord[]> {
    const records = await this.#records.launched(clusterUid);
    const living = await Promise.all(records.map((record) => this.#living(record)));
    return records.filter((_, index) => living[index] !== undefined);
  }

  async #ifLiving(machine: MachineRef, act: (id: string) => Promise<void>): Promise<void> {
    const known = await this.#records.find(machine);
    if (known?.kind !== 'launched') return;
    const found = await this.#living(known);
    if (found !== undefined) await act(found.id);
  }

  #adopt(record: LaunchedRecord): LaunchedMachine {
    const { machine, containerId } = record;
    this.#watched.set(machine.token, record);
    void this.#tellIfEnded(record);
    return { machine, name: containerId.slice(0, shownIdLength) };
  }

  async #onDeath(containerId: string): Promise<void> {
    for (const record of [...this.#watched.values()]) {
      if (record.containerId === containerId) await this.#tellIfEnded(record);
    }
  }

  /** After a time without events. */
  async #lookForMissed(): Promise<void> {
    for (const record of [...this.#watched.values()]) await this.#tellIfEnded(record);
  }

  async #tellIfEnded(record: LaunchedRecord): Promise<void> {
    try {
      const found = await this.#engine.find(record.containerId);
      if (found === undefined) this.#exited(record, 'its container was removed');
      else if (found.startedAt !== record.startedAt) this.#exited(record, 'its container was started anew');
      else if (!isAlive(found.state)) this.#exited(record, evidenceOf(found));
    } catch {
      // The Engine is gone: when its events are heard again, all that is watched is looked at.
    }
  }

  #exited({ machine }: LaunchedRecord, evidence: string): void {
    if (!this.#watched.delete(machine.token)) return;
    for (const listener of [...this.#listeners]) listener({ machine, evidence });
  }

  // ---- the project

  #ofProject(): Record<string, string> {
    return { 'com.docker.compose.project': this.#options.project };
  }

  async #network() {
    const having = { ...this.#ofProject(), 'com.docker.compose.network': networkKey };
    const [network] = await this.#engine.networks(having);
    if (network === undefined) {
      throw new EngineError(
        `the compose project ${this.#options.project} has no network ${networkKey}: take compose.yaml as it is`,
        404,
      );
    }
    return network;
  }
}
