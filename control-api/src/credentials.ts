/**
 * Secrets and tokens. What a launch is given is derived from the master secret, never drawn, so that a launch
 * tried twice is the same launch. Tokens are compared by their hashes, in constant time.
 */
import { toHex } from '@skep/p2p-core/bytes';
import type { Compute } from '@skep/p2p-core/host';
import type { MachineRef } from './ports/launcher.ts';

const encoder = new TextEncoder();

/** What the machine proves itself with once: 64 hex digits, good for exactly this attempt. */
export function joinSecret(compute: Compute, masterSecret: Uint8Array, machine: MachineRef): string {
  const { clusterUid, slot, generation, attempt } = machine;
  return derive(compute, masterSecret, ['join', clusterUid, slot, generation, attempt]);
}

/** Authenticates the datagrams of a cluster's ring: the same for all its members, so of the cluster alone. */
export function ringKey(compute: Compute, masterSecret: Uint8Array, clusterUid: string): string {
  return derive(compute, masterSecret, ['ring', clusterUid]);
}

/** SHA-256 in hexadecimal. */
export function hashText(compute: Pick<Compute, 'hash'>, text: string): string {
  return toHex(compute.hash('sha256', encoder.encode(text)));
}

/** Compares hashes or derived secrets in a time that depends on their length only. */
export function equalSecrets(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index++) {
    difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
  }
  return difference === 0;
}

function derive(compute: Compute, masterSecret: Uint8Array, name: readonly (string | number)[]): string {
  return toHex(compute.hmacSha256(masterSecret, encoder.encode(JSON.stringify(name))));
}
