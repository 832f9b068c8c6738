/**
 * Faults carried out on a simulated cluster: those of the contract's vocabulary, natively, and those of what
 * stands around a cluster, which no API can cause and only a simulator has in its hand.
 */
import { type Conditions, combineConditions, controlApiNode, type Fault } from '@skep/contract';
import type { SimHost } from '../host/index.ts';
import type { ClusterWorld } from './cluster-world.ts';
import type { OutageWay } from './fleet.ts';
import type { StoreOutage } from './store.ts';

/** Whoever holds the lease when the fault comes; may stand for a slot in any fault. */
export const leaderNode = 'leader';

export type SurroundingsFault =
  /** The control API's store cannot be reached. */
  | { readonly kind: 'store-outage'; readonly way: StoreOutage; readonly forMs: number }
  /** The runner's own API cannot be reached, or loses its answers. */
  | { readonly kind: 'launcher-outage'; readonly way: OutageWay; readonly forMs: number }
  /** Machines lose power and come back as the same machines, at once or after their agents' next small write. */
  | {
      readonly kind: 'reboot';
      readonly nodes: readonly string[];
      readonly disk: 'keep' | 'lose';
      readonly downMs: number;
      readonly when: 'now' | 'next-write';
    }
  /**
   * The runner takes machines for ended that run on, out of its reach; so long they are cut off from the control
   * API too, which cannot tell them that they are over, and not from the ring.
   */
  | { readonly kind: 'stray'; readonly nodes: readonly string[]; readonly forMs: number }
  /** For a while there are two processes of the control API; agents know one. */
  | { readonly kind: 'second-control'; readonly forMs: number }
  /** Agents are told to end by their hosts, as SIGTERM does. */
  | { readonly kind: 'terminate'; readonly nodes: readonly string[] }
  /** What nodes ask of the control API is done, but they are not told; of leases they are. */
  | { readonly kind: 'lost-answers'; readonly nodes: readonly string[]; readonly forMs: number };

export type ClusterFault = Fault | SurroundingsFault;

type Lasting<K extends Fault['kind']> = Extract<Fault, { kind: K }>;

export class Injection {
  readonly #cluster: ClusterWorld;
  /** What is done to each place now, a layer a fault. */
  readonly #layers = new Map<string, Set<Conditions>>();
  readonly #awaitingWrite = new Map<string, () => void>();

  constructor(cluster: ClusterWorld) {
    this.#cluster = cluster;
  }

  /** Begins now; ends by itself where it lasts. */
  inject(fault: ClusterFault): void {
    const cluster = this.#cluster;
    cluster.tell(`FAULT ${describeFault(fault)}`);
    switch (fault.kind) {
      case 'crash':
        for (const node of this.#places(fault.nodes)) this.#crash(node, fault.power === true);
        break;
      case 'restart':
        for (const node of this.#places(fault.nodes)) {
          this.#crash(node, false);
          if (fault.disk === 'lose' && node !== controlApiNode) {
            cluster.fleet.eraseDisk(cluster.addressOf(node));
          }
        }
        break;
      case 'pause':
        for (const node of this.#places(fault.nodes)) this.#pause(node, fault.forMs);
        break;
      case 'partition':
        this.#partition(fault);
        break;
      case 'degrade':
        this.#degrade(fault);
        break;
      case 'clock':
        this.#layOver(this.#places(fault.nodes), fault.forMs, { clock: { skewMs: fault.skewMs } });
        break;
      case 'disk': {
        const { kind: _kind, nodes, forMs, ...disk } = fault;
        this.#layOver(this.#places(nodes), forMs, { disk });
        break;
      }
      case 'store-outage':
        cluster.storeOutage(fault.way, fault.forMs);
        break;
      case 'launcher-outage':
        cluster.fleet.goOut(fault.way, fault.forMs);
        break;
      case 'reboot':
        for (const node of this.#places(fault.nodes)) this.#reboot(node, fault);
        break;
      case 'stray': {
        const places = this.#places(fault.nodes);
        const { forMs } = fault;
        this.#partition({ kind: 'partition', nodes: places, from: [controlApiNode], way: 'both', forMs });
        for (const place of places) this.#stray(place);
        break;
      }
      case 'second-control':
        cluster.secondControl(fault.forMs);
        break;
      case 'terminate':
        for (const node of this.#places(fault.nodes)) cluster.terminate(node);
        break;
      case 'lost-answers':
        for (const node of this.#places(fault.nodes)) cluster.wire.loseAnswers(node, fault.forMs);
        break;
    }
  }

  /** Told of each small file that a slot's machine wrote. */
  wrote(slot: string): void {
    const due = this.#awaitingWrite.get(slot);
    this.#awaitingWrite.delete(slot);
    due?.();
  }

  /** A machine that has just booted is under what its slot is under. */
  settle(slot: string): void {
    this.#apply(slot);
  }

  /** Those that are there: slots come and go, and for a moment there may be none. */
  #places(nodes: readonly string[]): string[] {
    const { leader, slots } = this.#cluster;
    const named = new Set(nodes.map((node) => (node === leaderNode ? (leader ?? slots[0]) : node)));
    return [...slots, controlApiNode].filter((place) => named.has(place));
  }

  #others(places: readonly string[]): string[] {
    return [...this.#cluster.slots, controlApiNode].filter((place) => !places.includes(place));
  }

  #crash(place: string, power: boolean): void {
    if (place === controlApiNode) this.#cluster.crashControl();
    else this.#cluster.crash(place, power ? 'machine' : 'process');
  }

  #stray(slot: string): void {
    const machine = this.#cluster.machineIn(slot);
    if (machine !== undefined) this.#cluster.fleet.stray(machine);
  }

  #pause(place: string, forMs: number): void {
    const { world, impairments } = this.#cluster;
    const host = this.#cluster.hostOf(place);
    if (host === undefined || host.state !== 'running') return;
    host.pause();
    impairments.begin(place);
    world.at(world.nowMs + forMs, () => {
      impairments.end(place);
      // A process that took over the machine meanwhile runs already.
      host.resume();
    });
  }

  #partition({ nodes, from, way, forMs }: Lasting<'partition'>): void {
    const { world } = this.#cluster;
    const inside = this.#places(nodes);
    const outside = from === undefined ? this.#others(inside) : this.#places(from);
    const [here, there] = [inside, outside].map((group) =>
      group.map((place) => this.#cluster.addressOf(place)),
    );
    const heals: (() => void)[] = [];
    if (way !== 'in') heals.push(world.cutOneWay(here!, there!));
    if (way !== 'out') heals.push(world.cutOneWay(there!, here!));
    this.#holdBack([...inside, ...outside], forMs, () => {
      for (const heal of heals) heal();
    });
  }

  #degrade({ kind: _kind, nodes, with: others, forMs, ...worse }: Lasting<'degrade'>): void {
    const { upBytesPerSecond, downBytesPerSecond, ...path } = worse;
    const here = this.#places(nodes);
    const link = {
      ...(upBytesPerSecond === undefined ? {} : { upBytesPerSecond }),
      ...(downBytesPerSecond === undefined ? {} : { downBytesPerSecond }),
    };
    if (Object.keys(link).length > 0) this.#layOver(here, forMs, { link });
    if (Object.keys(path).length === 0) return;
    const there = others === undefined ? this.#others(here) : this.#places(others);
    const [ends, farEnds] = [here, there].map((group) =>
      group.map((place) => this.#cluster.addressOf(place)),
    );
    const { world } = this.#cluster;
    const heals = [world.degrade(ends!, farEnds!, path), world.degrade(farEnds!, ends!, path)];
    this.#holdBack([...here, ...there], forMs, () => {
      for (const heal of heals) heal();
    });
  }

  #reboot(slot: string, { disk, downMs, when }: Extract<SurroundingsFault, { kind: 'reboot' }>): void {
    const reboot = () => {
      const machine = this.#cluster.machineIn(slot);
      if (machine !== undefined) this.#cluster.fleet.reboot(machine, disk, downMs);
    };
    if (when === 'now') reboot();
    else this.#awaitingWrite.set(slot, reboot);
  }

  #holdBack(places: readonly string[], forMs: number, end: () => void): void {
    const { world, impairments } = this.#cluster;
    for (const place of places) impairments.begin(place);
    world.at(world.nowMs + forMs, () => {
      for (const place of places) impairments.end(place);
      end();
    });
  }

  #layOver(places: readonly string[], forMs: number, layer: Conditions): void {
    const { world } = this.#cluster;
    for (const place of places) {
      const layers = this.#layers.get(place) ?? new Set();
      this.#layers.set(place, layers.add(layer));
      this.#apply(place);
    }
    world.at(world.nowMs + forMs, () => {
      for (const place of places) {
        this.#layers.get(place)!.delete(layer);
        this.#apply(place);
      }
    });
  }

  #apply(place: string): void {
    const layers = this.#layers.get(place);
    const host = this.#cluster.hostOf(place);
    if (layers === undefined || host === undefined) return;
    put(host, combineConditions([this.#cluster.fleet.usualAt(host.address), ...layers]));
  }
}

/** Does to a machine what the conditions say, and nothing that they do not say. */
function put(host: SimHost, { link, clock, disk }: Conditions): void {
  const unlimited = Number.POSITIVE_INFINITY;
  host.setLink({
    upBytesPerSecond: link?.upBytesPerSecond ?? unlimited,
    downBytesPerSecond: link?.downBytesPerSecond ?? unlimited,
  });
  host.clockSkewMs = clock?.skewMs ?? 0;
  host.disk.setConditions(disk ?? {});
}

/** One line, for a story. */
export function describeFault({ kind, ...rest }: ClusterFault): string {
  return `${kind} ${JSON.stringify(rest)}`;
}
