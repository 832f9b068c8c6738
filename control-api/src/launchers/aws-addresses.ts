/**
 * Gives slots their addresses in the subnets of a deployment, by arithmetic alone: nothing else stands in these subnets
 * that is not told of. A slot's address decides its zone, so slots are spread evenly over the subnets.
 */
import { hostRange, ipv4Text, type NodeSubnet, subnetOf } from '@skep/contract';
import type { Clock } from '@skep/p2p-core/host';
import { LaunchError, type SlotAddresses } from '../ports/launcher.ts';
import { OwnAddresses } from './own-addresses.ts';

/**
 * `count` addresses that are free: each in its zone where `zones` names one that has room, and there in the subnet that
 * has the fewest by then. Undefined if there are not as many. Pure.
 */
export function freeAddresses(
  subnets: readonly NodeSubnet[],
  count: number,
  taken: ReadonlySet<string>,
  zones: readonly (string | undefined)[] = [],
): string[] | undefined {
  const inUse = [...taken].map((address) => subnetOf(address, subnets)?.subnetId);
  const places = subnets.map(({ subnetId, zone, cidr }) => ({
    zone,
    range: hostRange(cidr),
    next: 0,
    used: inUse.filter((each) => each === subnetId).length,
  }));
  const found: string[] = [];
  while (found.length < count) {
    const open = places.filter(({ next, range }) => next < range.count);
    if (open.length === 0) return undefined;
    const inZone = open.filter(({ zone }) => zone === zones[found.length]);
    const place = (inZone.length > 0 ? inZone : open).reduce((least, each) =>
      each.used < least.used ? each : least,
    );
    const address = ipv4Text(place.range.first + place.next);
    place.next += 1;
    if (taken.has(address)) continue;
    place.used += 1;
    found.push(address);
  }
  return found;
}

export class AwsAddresses {
  readonly #own: OwnAddresses;
  readonly #subnets: readonly NodeSubnet[];

  constructor(components: { clock: Clock }, options: { subnets: readonly NodeSubnet[] }) {
    this.#own = new OwnAddresses(components);
    this.#subnets = options.subnets;
  }

  /** As `Launcher.allocate`. */
  allocate(
    count: number,
    taken: readonly SlotAddresses[],
    zones: readonly (string | undefined)[],
  ): readonly SlotAddresses[] {
    return this.#own.give(taken, (unfree) => {
      const found = freeAddresses(this.#subnets, count, unfree, zones);
      if (found !== undefined) return found;
      const cidrs = this.#subnets.map(({ cidr }) => cidr).join(', ');
      throw new LaunchError(
        'no-free-address',
        `there are no ${count} free addresses in the subnets ${cidrs}: make the cluster smaller, delete another, or deploy with larger subnets`,
      );
    });
  }
}
