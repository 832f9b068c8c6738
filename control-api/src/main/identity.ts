/**
 * What a deployment is known by and keeps secret, all of it derived from one seed: so that a control API on a new
 * machine is the same one, and there is nothing to write down but the seed. Each derivation has a label of its own
 * (HKDF, RFC 5869), so none tells anything of the others.
 */
import { hkdfSync } from 'node:crypto';
import type { ServerIdentity } from '@skep/p2p-core/host';
import { seedBytes, serverIdentity } from './certificate.ts';

export interface Identity {
  readonly masterSecret: Uint8Array;
  readonly viewerToken: string;
  readonly server: ServerIdentity;
}

const secretBytes = 32;

/** `name` is that by which agents ask for the control API. */
export function identityOf(seed: string, name: string): Identity {
  const derive = (label: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', seed, 'skep', label, length));
  return {
    masterSecret: derive('master secret', secretBytes),
    viewerToken: Buffer.from(derive('viewer token', secretBytes)).toString('hex'),
    server: serverIdentity(derive('server key', seedBytes), name),
  };
}
