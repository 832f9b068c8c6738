/**
 * Machines as containers of a Docker engine. Its objects are all the memory there is: a machine is a container whose
 * name follows from its token, and the Engine makes none twice; one that has exited stays, as the record that the
 * token had its machine; a token called off before has a container that is never started. A slot's disk is a volume,
 * kept over its generations; a cluster has a network of its own, in which each slot keeps its address.
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
import { DockerAddresses, subnetOf } from './docker-addresses.ts';
import {
  type ContainerLimits,
  type ContainerParts,
  configFiles,
  containerOf,
  diskDirectory,
  evidenceOf,
  tombstoneOf,
} from './docker-containers.ts';
import { DeathWatch } from './docker-deaths.ts';
import { type ContainerDetails, type DockerEngine, isAlive } from './docker-engine.ts';
import { asLaunch, EngineError } from './docker-engine-error.ts';
import { containerName, type Labels, labels, machineOf, networkName } from './docker-naming.ts';
import { removeLabelled } from './docker-remains.ts';

export interface DockerLauncherOptions {
  /** Tells this control API's containers from those of others on the same Engine; the same after a restart. */
  readonly owner: string;
  readonly image: string;
  readonly limits?: ContainerLimits;
  /** Files and folders of the Engine's computer that machines may read, each at its own path. */
  readonly content?: readonly string[];
  /** Where clusters' subnets are taken from. @default 10.64.0.0/10 */
  readonly addressRange?: string;
  /** IPv4 ranges of this computer's own, which no cluster may have. */
  readonly ownRanges?: () => readonly string[];
  /**
   * Has the control API listen at an address of this computer too, the gateway of a cluster's network. Without it
   * machines are told the URL of their configuration. Rejects HostError.
   */
  readonly serveAt?: (address: string) => Promise<ServedAt>;
}

export interface ServedAt {
  readonly url: string;
  close(): Promise<void>;
}

const shownIdLength = 12;

export class DockerLauncher implements Launcher {
  readonly #host: Host;
  readonly #engine: DockerEngine;
  readonly #options: DockerLauncherOptions;
  readonly #parts: ContainerParts;
  readonly #addresses: DockerAddresses;
  readonly #deaths: DeathWatch;
  /** Not yet known to have exited, by token. */
  readonly #watched = new Map<string, MachineRef>();
  readonly #listeners = new Set<(exit: MachineExit) => void>();
  /** What concerns one token happens one after the other. */
  readonly #turns = new Turns();
  /** How the control API is reached in a cluster's network, which is there; undefined where that is no concern of ours. */
  readonly #networks = new Map<string, Promise<ServedAt | undefined>>();
  /** Where it is. */
  readonly #apiHosts = new Set<string>();

  constructor(components: { host: Host; engine: DockerEngine }, options: DockerLauncherOptions) {
    this.#host = components.host;
    this.#engine = components.engine;
    this.#options = options;
    const { owner, image, limits = {}, content = [] } = options;
    this.#parts = { owner, image, limits, content };
    this.#addresses = new DockerAddresses(components.host, {
      ...(options.addressRange === undefined ? {} : { range: options.addressRange }),
      inUse: async () => [
        ...(options.ownRanges?.() ?? []),
        ...(await this.#engine.networks()).flatMap(({ subnets }) => subnets),
      ],
      subnetOfCluster: async (clusterUid) => (await this.#networkOf(clusterUid))?.subnets[0],
    });
    this.#deaths = new DeathWatch(
      { clock: components.host.clock, engine: components.engine },
      {
        having: this.#own(),
        onDeath: ({ labels: found }) => void this.#onDeath(found),
        onBegun: () => void this.#lookForMissed().catch(() => undefined),
      },
    );
  }

  /**
   * Sees that the Engine answers and has the image, and has the control API reached from the clusters that are there.
   * Rejects EngineError, with what to do.
   */
  async start(): Promise<void> {
    const { image } = this.#options;
    if (!(await this.#engine.hasImage(image))) {
      throw new EngineError(
        `there is no Docker image ${image}: build it with \`docker build -f node-agent/Dockerfile -t ${image} .\``,
        404,
      );
    }
    for (const { labels: found, subnets } of await this.#engine.networks(this.#own())) {
      const clusterUid = found[labels.cluster];
      const [subnet] = subnets;
      if (clusterUid !== undefined && subnet !== undefined)
        await this.#network(clusterUid, subnet.split('/')[0]!);
    }
  }

  /** Stops watching. Machines run on. */
  close(): void {
    this.#deaths.close();
    this.#listeners.clear();
    this.#watched.clear();
  }

  allocate(
    count: number,
    taken: readonly SlotAddresses[],
    { clusterUid }: { clusterUid: string },
  ): Promise<readonly SlotAddresses[]> {
    return this.#addresses.allocate(count, taken, clusterUid);
  }

  launch(request: LaunchRequest): Promise<LaunchedMachine> {
    return this.#turns.take(request.machine.token, () => asLaunch(() => this.#launch(request)));
  }

  async #launch(request: LaunchRequest): Promise<LaunchedMachine> {
    const { machine } = request;
    for (;;) {
      const found = await this.#engine.find(containerName(machine));
      if (found?.labels[labels.calledOff] !== undefined) {
        throw new LaunchError(
          'called-off',
          `${machine.slot}@${machine.generation} was stopped before it was launched`,
        );
      }
      if (found !== undefined && found.state !== 'created') return this.#adopt(machine, found);
      const served = await this.#network(machine.clusterUid, request.config.listen.host);
      // Made before, but not started: whoever was at it died, and perhaps before the configuration was there.
      const id = found?.id ?? (await this.#create(request));
      if (id === undefined) continue;
      const config = served === undefined ? request.config : { ...request.config, apiUrl: served.url };
      await this.#engine.putFiles(id, diskDirectory, configFiles({ ...request, config }));
      await this.#engine.start(id);
    }
  }

  async #create(request: LaunchRequest): Promise<string | undefined> {
    const { machine } = request;
    const disk = await this.#diskFor(request);
    const { clusterUid, slot } = machine;
    await this.#engine.createVolume(disk, { ...this.#own(clusterUid), [labels.slot]: slot });
    return this.#engine.create(containerName(machine), containerOf(this.#parts, request, disk));
  }

  /** That of the slot's machine before, or one of its own that holds nothing. */
  async #diskFor({ machine, emptyDisk }: LaunchRequest): Promise<string> {
    const { clusterUid, slot } = machine;
    const before = emptyDisk
      ? []
      : (await this.#engine.containers({ ...this.#own(clusterUid), [labels.slot]: slot })).flatMap(
          ({ labels: found }) => {
            const disk = found[labels.disk];
            return disk === undefined ? [] : [{ disk, at: lifeOrder(found) }];
          },
        );
    const last = before.sort((a, b) => b.at - a.at)[0];
    return last?.disk ?? containerName(machine);
  }

  stop(machine: MachineRef, { graceMs }: { graceMs: number }): Promise<void> {
    return this.#turns.take(machine.token, async () => {
      for (;;) {
        const found = await this.#engine.find(containerName(machine));
        if (found === undefined) {
          if (await this.#engine.create(containerName(machine), tombstoneOf(this.#parts, machine))) return;
        } else if (isAlive(found.state)) await this.#engine.stop(found.id, graceMs);
        else if (found.state !== 'created') return this.#exited(machine, 'stopped');
        else if (found.labels[labels.calledOff] !== undefined) return;
        // Left alone by the Engine if it has been started meanwhile.
        else await this.#engine.remove(found.id);
      }
    });
  }

  /** What a container has written survives its end, so that `power` changes nothing here. */
  kill(machine: MachineRef): Promise<void> {
    return this.#engine.kill(containerName(machine));
  }

  pause(machine: MachineRef): Promise<void> {
    return this.#engine.pause(containerName(machine));
  }

  resume(machine: MachineRef): Promise<void> {
    return this.#engine.resume(containerName(machine));
  }

  async list(clusterUid?: string): Promise<readonly LaunchedMachine[]> {
    const found = await this.#engine.containers(this.#own(clusterUid));
    return found.flatMap((container) => {
      const machine = machineOf(this.#host.compute, container.labels);
      return machine !== undefined && isAlive(container.state) ? [this.#adopt(machine, container)] : [];
    });
  }

  watch(onExit: (exit: MachineExit) => void): () => void {
    const listener = (exit: MachineExit) => onExit(exit);
    this.#listeners.add(listener);
    this.#deaths.start();
    return () => this.#listeners.delete(listener);
  }

  logs(machine: MachineRef, tailBytes: number): Promise<string> {
    return this.#engine.logs(containerName(machine), tailBytes);
  }

  apiHosts(): readonly string[] {
    return [...this.#apiHosts];
  }

  async forget(clusterUid: string): Promise<void> {
    await removeLabelled(this.#engine, this.#own(clusterUid));
    const served = await this.#networks.get(clusterUid);
    this.#networks.delete(clusterUid);
    await served?.close();
  }

  // ---- exits

  #adopt(machine: MachineRef, { id, state }: Pick<ContainerDetails, 'id' | 'state'>): LaunchedMachine {
    this.#watched.set(machine.token, machine);
    if (!isAlive(state)) void this.#tellEnd(machine);
    return { machine, name: id.slice(0, shownIdLength) };
  }

  async #onDeath(found: Labels): Promise<void> {
    const machine = machineOf(this.#host.compute, found);
    if (machine !== undefined && this.#watched.has(machine.token)) await this.#tellEnd(machine);
  }

  /** After a time without events. */
  async #lookForMissed(): Promise<void> {
    const living = new Set((await this.list()).map(({ machine }) => machine.token));
    for (const machine of [...this.#watched.values()]) {
      if (!living.has(machine.token)) await this.#tellEnd(machine);
    }
  }

  /** Tells what the Engine knows of how it ended; nothing if it lives after all. */
  async #tellEnd(machine: MachineRef): Promise<void> {
    try {
      const found = await this.#engine.find(containerName(machine));
      if (found === undefined) this.#exited(machine, 'its container was removed');
      else if (!isAlive(found.state)) this.#exited(machine, evidenceOf(found));
    } catch {
      // The Engine is gone: when its events are heard again, all that is watched is looked for.
    }
  }

  #exited(machine: MachineRef, evidence: string): void {
    if (!this.#watched.delete(machine.token)) return;
    for (const listener of [...this.#listeners]) listener({ machine, evidence });
  }

  // ---- networks

  async #networkOf(clusterUid: string) {
    return (await this.#engine.networks(this.#own(clusterUid)))[0];
  }

  /** Makes the network that an address of a cluster lies in, and has the control API reached from there; once. */
  #network(clusterUid: string, address: string): Promise<ServedAt | undefined> {
    const known = this.#networks.get(clusterUid) ?? this.#openNetwork(clusterUid, address);
    this.#networks.set(clusterUid, known);
    known.catch(() => this.#networks.delete(clusterUid));
    return known;
  }

  async #openNetwork(clusterUid: string, address: string): Promise<ServedAt | undefined> {
    const { cidr, gateway, strangers } = subnetOf(address);
    if ((await this.#networkOf(clusterUid)) === undefined) {
      await this.#engine.createNetwork({
        Name: networkName(clusterUid),
        Driver: 'bridge',
        Labels: this.#own(clusterUid),
        IPAM: { Driver: 'default', Config: [{ Subnet: cidr, Gateway: gateway, IPRange: strangers }] },
      });
    }
    const served = await this.#options.serveAt?.(gateway).catch((error: unknown) => {
      throw new EngineError(
        `the control API cannot listen at ${gateway}, the gateway of ${networkName(clusterUid)}: the Docker engine must run on this computer; where it does not, run the control API in a container, as compose.yaml does`,
        undefined,
        { cause: error },
      );
    });
    if (served === undefined) return undefined;
    this.#apiHosts.add(gateway);
    return {
      url: served.url,
      close: () => {
        this.#apiHosts.delete(gateway);
        return served.close();
      },
    };
  }

  #own(clusterUid?: string): Record<string, string> {
    const { owner } = this.#options;
    return { [labels.owner]: owner, ...(clusterUid === undefined ? {} : { [labels.cluster]: clusterUid }) };
  }
}

/** Machines of one slot in the order of their lives. */
function lifeOrder(found: Labels): number {
  return Number(found[labels.generation]) * 1e6 + Number(found[labels.attempt]);
}
