/**
 * IPv4 addresses to and from 6 compact bytes in place, without allocation. The general codec is
 * host/address.ts; this one exists because the DHT does it for every datagram.
 */
import type { Address } from '../../host/host.ts';
import { readWord, writeWord } from './node-id.ts';

/** Bytes of a compact IPv4 address with its port (BEP 5, "Contact Encoding"). */
export const ENDPOINT_LENGTH = 6;

/** In place of an IPv4 address where there is none: what broadcasts have, and no node. */
export const NOT_IPV4 = -1;

let lastHost = '';
let lastIp = NOT_IPV4;

/**
 * The IPv4 address of a canonical literal as a signed 32-bit number; NOT_IPV4 if it is none. All that looks at one
 * datagram asks for the same, so the last is remembered.
 */
export function ipOf(host: string): number {
  if (host !== lastHost) {
    lastIp = parseIp(host);
    lastHost = host;
  }
  return lastIp;
}

function parseIp(host: string): number {
  let ip = 0;
  let octet = 0;
  let digits = 0;
  let octets = 0;
  for (let index = 0; index <= host.length; index++) {
    const code = index === host.length ? 0x2e : host.charCodeAt(index);
    if (code === 0x2e) {
      if (digits === 0 || octet > 255 || octets === 4) return NOT_IPV4;
      ip = (ip << 8) | octet;
      octets++;
      octet = 0;
      digits = 0;
    } else {
      // A second digit after a leading zero would be a second spelling of the same address.
      if (code < 0x30 || code > 0x39 || digits === 3 || (digits > 0 && octet === 0)) return NOT_IPV4;
      octet = octet * 10 + code - 0x30;
      digits++;
    }
  }
  return octets === 4 ? ip : NOT_IPV4;
}

/**
 * Writes 4 address bytes and the port, both in network order, at `at`. False, with nothing written, if the host is
 * not a canonical IPv4 literal or the port is not 1 to 65535.
 */
export function packEndpoint({ host, port }: Address, target: Uint8Array, at: number): boolean {
  const ip = ipOf(host);
  if (ip === NOT_IPV4 || !(port >= 1 && port <= 65535)) return false;
  writeWord(ip, target, at);
  target[at + 4] = port >> 8;
  target[at + 5] = port & 0xff;
  return true;
}

/** The address in the 6 bytes at `at`. */
export function unpackEndpoint(bytes: Uint8Array, at: number): Address {
  return { host: hostOf(ipAt(bytes, at)), port: portAt(bytes, at) };
}

/** The 4 address bytes at `at` as a signed 32-bit number. */
export function ipAt(bytes: Uint8Array, at: number): number {
  return readWord(bytes, at);
}

/** The port of the endpoint at `at`. */
export function portAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 4]! << 8) | bytes[at + 5]!;
}

/** Texts made before: the same nodes are named and asked again and again, and whoever looks a text up hashes it once. */
const HOSTS = 16_384;
const hostIps = new Int32Array(HOSTS);
const hostTexts: string[] = new Array(HOSTS).fill('0.0.0.0');

/** The text of an address from `ipAt`. */
export function hostOf(ip: number): string {
  const cell = Math.imul(ip, 0x9e3779b1) >>> 18;
  if (hostIps[cell] !== ip) {
    hostIps[cell] = ip;
    hostTexts[cell] = `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
  }
  return hostTexts[cell]!;
}

/**
 * Whether a datagram to the endpoint at `at` can reach one host: port not 0, neither this-network, multicast nor
 * reserved. What strangers name as nodes is held to this before anything is sent there.
 */
export function isSendable(bytes: Uint8Array, at: number): boolean {
  const firstOctet = bytes[at]!;
  return firstOctet !== 0 && firstOctet < 224 && (bytes[at + 4] !== 0 || bytes[at + 5] !== 0);
}
