/** Arithmetic on IPv4 addresses and ranges, which are valid texts: whoever takes them in has seen to that. */

/** `10.0.1.4` as a number, in the order of addresses. */
export function ipv4Number(address: string): number {
  return address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);
}

/** The inverse. */
export function ipv4Text(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

/** The first and last address of a range, as in 10.0.0.0/8; of one without a length it is the only one. */
export function ipv4Range(cidr: string): { readonly first: number; readonly last: number } {
  const [address = '', prefixLength = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(prefixLength));
  const first = Math.floor(ipv4Number(address) / size) * size;
  return { first, last: first + size - 1 };
}
