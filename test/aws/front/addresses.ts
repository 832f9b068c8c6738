/**
 * Private addresses of a subnet: given ones are checked, others chosen. MiniStack gives out any.
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
 */
import { Ec2Refusal } from './query-protocol.ts';
import type { Subnet } from './records.ts';

/** Of each subnet AWS keeps the first four addresses and the last. */
const reservedFirst = 4;
const reservedLast = 1;
const addressBits = 32;

/** Throws if the address lies elsewhere, is AWS's own, or is taken; or if there is none left. */
export function takeAddress({ cidr, subnetId }: Subnet, taken: ReadonlySet<string>, wanted?: string): string {
  const [network, prefixLength] = cidr.split('/');
  const size = 2 ** (addressBits - Number(prefixLength));
  const first = numberOf(network!) + reservedFirst;
  const last = numberOf(network!) + size - 1 - reservedLast;
  if (wanted !== undefined) {
    const number = numberOf(wanted);
    if (number < first || number > last) {
      throw new Ec2Refusal(
        'InvalidParameterValue',
        `Address ${wanted} does not fall within the subnet's address range`,
      );
    }
    if (taken.has(wanted)) throw new Ec2Refusal('InvalidIPAddress.InUse', `Address ${wanted} is in use.`);
    return wanted;
  }
  for (let number = first; number <= last; number++) {
    const address = addressOf(number);
    if (!taken.has(address)) return address;
  }
  throw new Ec2Refusal(
    'InsufficientFreeAddressesInSubnet',
    `There are not enough free addresses in ${subnetId}.`,
  );
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}
