/**
 * Addresses as text and as the compact bytes that BitTorrent puts on the wire.
 *
 * The text of an address is used as a map key all over Skep, so one address has exactly one spelling:
 * IPv6 is written as RFC 5952 says (lower case, longest run of zeros shortened).
 */
import type { Address } from './host.ts';

/** Bytes of an IP literal: 4 or 16, or undefined if it is not one. Scopes (`%eth0`) and brackets are refused. */
export function parseIp(host: string): Uint8Array | undefined {
  return host.includes(':') ? parseIpv6(host) : parseIpv4(host);
}

/** 4 for an IPv4 literal, 6 for an IPv6 literal, undefined for a name or nonsense. */
export function addressFamily(host: string): 4 | 6 | undefined {
  const bytes = parseIp(host);
  return bytes === undefined ? undefined : bytes.length === 4 ? 4 : 6;
}

/** The one spelling of 4 or 16 address bytes. Throws RangeError on any other length. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at]! << 8) | bytes[at + 1]!);
  const { start, length } = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * Reads what `formatAddress` writes. The host must be an IP literal and the port 0 to 65535; anything else
 * gives undefined. IPv6 is brought to its one spelling.
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const bytes = match[1] === undefined ? parseIpv4(match[2]!) : parseIpv6(match[1]);
  const port = Number(match[3]);
  if (bytes === undefined || port > 65535) return undefined;
  return { host: formatIp(bytes), port };
}

/**
 * An address as 6 bytes (IPv4, BEP 23) or 18 bytes (IPv6, BEP 7 and 32), port in network order.
 * Throws RangeError if the host is no IP literal or the port no port.
 */
export function encodeCompactAddress(address: Address): Uint8Array {
  const ip = parseIp(address.host);
  if (ip === undefined) throw new RangeError(`${address.host} is not an IP literal; resolve names first`);
  if (!Number.isInteger(address.port) || address.port < 0 || address.port > 65535)
    throw new RangeError(`${address.port} is not a port`);
  const bytes = new Uint8Array(ip.length + 2);
  bytes.set(ip);
  bytes[ip.length] = address.port >> 8;
  bytes[ip.length + 1] = address.port & 0xff;
  return bytes;
}

/**
 * Addresses laid end to end, 6 bytes each for family 4 and 18 for family 6 (BEP 23, 7, 32). Bytes come from
 * strangers: an incomplete last address and addresses with port 0, which nobody can be reached at, are left out.
 */
export function decodeCompactAddresses(bytes: Uint8Array, family: 4 | 6): Address[] {
  const ipLength = family === 4 ? 4 : 16;
  const addresses: Address[] = [];
  for (let at = 0; at + ipLength + 2 <= bytes.length; at += ipLength + 2) {
    const port = (bytes[at + ipLength]! << 8) | bytes[at + ipLength + 1]!;
    if (port !== 0) addresses.push({ host: formatIp(bytes.subarray(at, at + ipLength)), port });
  }
  return addresses;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    // A leading zero is octal to some readers and decimal to others, so it is refused.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[index] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** Bytes of colon-separated groups; an IPv4 tail is allowed at the very end of an address only. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (group.includes('.')) {
      const ipv4 = atEnd && index === groups.length - 1 ? parseIpv4(group) : undefined;
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (end < groups.length && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
    if (end > start) start = end;
  }
  return best;
}
