/** Subnets in which machines stand, and arithmetic on their addresses. A slot's address lies in one, which gives its zone. */
import * as z from 'zod';
import { ipv4Number, ipv4Range } from './ipv4.ts';

export const NodeSubnet = z.object({
  subnetId: z.string().min(1),
  zone: z.string().min(1),
  cidr: z.cidrv4(),
});
export type NodeSubnet = z.infer<typeof NodeSubnet>;

/** The network's own address, the router's, the resolver's and one kept for later are the first four; the last is the broadcast's. */
const reservedFirst = 4;
const reservedLast = 1;

/** The addresses of a subnet that machines may have: the first, and how many there are. */
export function hostRange(cidr: string): { readonly first: number; readonly count: number } {
  const { first, last } = ipv4Range(cidr);
  return {
    first: first + reservedFirst,
    count: Math.max(0, last - first + 1 - reservedFirst - reservedLast),
  };
}

/** The subnet among whose hosts an IPv4 address is; undefined if there is none. */
export function subnetOf(address: string, subnets: readonly NodeSubnet[]): NodeSubnet | undefined {
  const number = ipv4Number(address);
  return subnets.find(({ cidr }) => {
    const { first, count } = hostRange(cidr);
    return number >= first && number < first + count;
  });
}
