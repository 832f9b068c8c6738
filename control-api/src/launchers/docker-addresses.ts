/**
 * Gives slots their addresses on the networks of a Docker engine: each cluster has a network, each slot an address of
 * it, and all machines listen at the same ports. A network's subnet is drawn, not counted, so that those of several
 * control APIs are seldom the same; what the Engine and the computer use already is kept clear of.
 */
import { ipv4Number, ipv4Range, ipv4Text } from '@skep/contract';
import { type Clock, type Random, randomInt } from '@skep/p2p-core/host';
import { LaunchError, type SlotAddresses } from '../ports/launcher.ts';
import { OwnAddresses } from './own-addresses.ts';

/** As many addresses as a Linux bridge has ports. */
const prefixLength = 22;
const subnetSize = 2 ** (32 - prefixLength);
/** The last of a subnet are the Engine's to give to what others attach to the network. */
const strangersPrefixLength = 26;
const strangersSize = 2 ** (32 - strangersPrefixLength);
/** After the network's own address and the gateway's. */
const firstSlot = 2;
const slotsPerSubnet = subnetSize - strangersSize - firstSlot;
const defaultRange = '10.64.0.0/10';

export interface Subnet {
  readonly cidr: string;
  readonly gateway: string;
  /** For what is attached to the network without an address of its own. */
  readonly strangers: string;
}

/** The subnet that an address of a slot lies in. */
export function subnetOf(address: string): Subnet {
  const base = Math.floor(ipv4Number(address) / subnetSize) * subnetSize;
  return {
    cidr: `${ipv4Text(base)}/${prefixLength}`,
    gateway: ipv4Text(base + 1),
    strangers: `${ipv4Text(base + subnetSize - strangersSize)}/${strangersPrefixLength}`,
  };
}

/** Whether two IPv4 ranges, as in 10.0.0.0/8, have an address in common. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [ipv4Range(one), ipv4Range(other)];
  return a.first <= b.last && b.first <= a.last;
}

export interface DockerAddressOptions {
  /** Where subnets are taken from. @default 10.64.0.0/10 */
  readonly range?: string;
  /** IPv4 ranges that are in use now, and by whom does not matter. */
  readonly inUse: () => Promise<readonly string[]>;
  /** The subnet of a cluster that has its network already. */
  readonly subnetOfCluster: (clusterUid: string) => Promise<string | undefined>;
}

export class DockerAddresses {
  readonly #own: OwnAddresses;
  readonly #random: Random;
  readonly #options: DockerAddressOptions;
  /** Of clusters whose network is not made yet. */
  readonly #chosen = new Map<string, string>();

  constructor(components: { clock: Clock; random: Random }, options: DockerAddressOptions) {
    this.#own = new OwnAddresses(components);
    this.#random = components.random;
    this.#options = options;
  }

  /** As `Launcher.allocate`. */
  async allocate(
    count: number,
    taken: readonly SlotAddresses[],
    clusterUid: string,
  ): Promise<readonly SlotAddresses[]> {
    const takenHosts = new Set(taken.map(({ listen }) => listen.host));
    const { first } = ipv4Range(await this.#subnet(clusterUid, takenHosts));
    return this.#own.give(taken, (unfree) => {
      const hosts: string[] = [];
      for (let index = firstSlot; index < firstSlot + slotsPerSubnet && hosts.length < count; index++) {
        const host = ipv4Text(first + index);
        if (!unfree.has(host)) hosts.push(host);
      }
      if (hosts.length === count) return hosts;
      throw new LaunchError(
        'no-free-address',
        `a cluster in containers has room for ${slotsPerSubnet} nodes, which is what one Docker network holds: ask for fewer`,
      );
    });
  }

  async #subnet(clusterUid: string, takenHosts: ReadonlySet<string>): Promise<string> {
    const known = this.#chosen.get(clusterUid) ?? (await this.#options.subnetOfCluster(clusterUid));
    if (known !== undefined) return known;
    const inUse = await this.#options.inUse();
    // Asked twice at once, it is drawn once.
    const drawn =
      this.#chosen.get(clusterUid) ?? this.#draw([...inUse, ...this.#chosen.values()], takenHosts);
    this.#chosen.set(clusterUid, drawn);
    return drawn;
  }

  /** Begins anywhere and goes on to the next that is free. */
  #draw(inUse: readonly string[], takenHosts: ReadonlySet<string>): string {
    const used = [...inUse, ...[...takenHosts].map((host) => `${host}/32`)];
    const range = ipv4Range(this.#options.range ?? defaultRange);
    const count = Math.floor((range.last - range.first + 1) / subnetSize);
    const start = count === 0 ? 0 : randomInt(this.#random, count);
    for (let index = 0; index < count; index++) {
      const { cidr } = subnetOf(ipv4Text(range.first + ((start + index) % count) * subnetSize));
      if (!used.some((other) => overlap(cidr, other))) return cidr;
    }
    throw new LaunchError(
      'no-free-address',
      `there is no free subnet of /${prefixLength} in ${this.#options.range ?? defaultRange}: remove Docker networks that are not needed`,
    );
  }
}
