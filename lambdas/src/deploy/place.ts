/** Decides where a machine can stand: pure. Its address lies in one subnet, and that subnet in one zone. */
import { type MachineOrder, type NodeSubnet, subnetOf } from '@skep/contract';

export type Place =
  | { readonly kind: 'subnet'; readonly subnetId: string }
  | { readonly kind: 'no-capacity' | 'no-free-address'; readonly message: string };

/** Where the placement wants another zone than the slot's there is no room, and never will be. */
export function placeOf(
  { config, placement }: Pick<MachineOrder, 'config' | 'placement'>,
  subnets: readonly NodeSubnet[],
): Place {
  const { host } = config.listen;
  const subnet = subnetOf(host, subnets);
  if (subnet === undefined) {
    const cidrs = subnets.map(({ cidr }) => cidr).join(', ');
    return {
      kind: 'no-free-address',
      message: `${config.slot} has the address ${host}, which is in none of the deployment's subnets (${cidrs}): remove the slot and add another`,
    };
  }
  if (placement?.zone !== undefined && placement.zone !== subnet.zone) {
    return {
      kind: 'no-capacity',
      message: `${config.slot} keeps its address ${host}, which is in ${subnet.zone}: it cannot stand in ${placement.zone}`,
    };
  }
  return { kind: 'subnet', subnetId: subnet.subnetId };
}
