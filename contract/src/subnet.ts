/** Subnets in which machines stand, and arithmetic on their addresses. A slot's address lies in one, which gives its zone. */
import * as z from 'zod';

export const NodeSubnet = z.object({
  subnetId: z.string().min(1),
  zone: z.string().min(1),
  cidr: z.cidrv4(),
});
export type NodeSubnet = z.infer<typeof NodeSubnet>;

/** The network's own address, the router's, the resolver's and one kept for later are the first four; the last is the broadcast's. */
const reservedFirst = 4;
const reservedLast = 1;
const addressBits = 32;

/** The addresses of a subnet that machines may have: the first, and how many there are. */
export function hostRange(cidr: string): { readonly first: number; readonly count: number } {
  const [network, prefixLength] = cidr.split('/');
  const size = 2 ** (addressBits - Number(prefixLength));
  const start = Math.floor(numberOf(network!) / size) * size;
  return { first: start + reservedFirst, count: Math.max(0, size - reservedFirst - reservedLast) };
}

/** The subnet among whose hosts an IPv4 address is; undefined if there is none. */
export function subnetOf(address: string, subnets: readonly NodeSubnet[]): NodeSubnet | undefined {
  const number = numberOf(address);
  return subnets.find(({ cidr }) => {
    const { first, count } = hostRange(cidr);
    return number >= first && number < first + count;
  });
}

/** `10.0.1.4` for its number, as the inverse of what it is read by. */
export function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}
