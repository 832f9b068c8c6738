/**
 * Where a control API keeps its state, and by what it is known: a directory of this computer, or a deployment's table
 * and secrets.
 */

import type { ServerIdentity } from '@skep/p2p-core/host';
import type { NodeHost } from '@skep/p2p-core/host/node';
import type { Journal } from '../ports/journal.ts';
import type { Store } from '../ports/store.ts';
import { openDirectory } from './directory-home.ts';
import type { Environment } from './environment.ts';

export interface Home {
  readonly store: Store & Journal;
  readonly adminToken: string;
  readonly viewerToken: string;
  readonly masterSecret: Uint8Array;
  /** Where machines are served over TLS: the identity that they trust, and the name that it is for. */
  readonly tls?: { readonly identity: ServerIdentity; readonly name: string };
  /** Whether functions of a deployment share the store: they leave orders in it, and look for a heartbeat. */
  readonly isShared: boolean;
  /** Where whoever started this process finds the tokens. */
  readonly tokenFiles: { readonly adminTokenFile?: string; readonly viewerTokenFile?: string };
  /** The port to listen at if `asked`, which is 0 for any, was asked for: machines keep the address that they know. */
  portFor(asked: number): Promise<number>;
  /** The control API listens at this port now. */
  onListening(port: number): void;
  close(): Promise<void>;
}

/** As SKEP_STORE says. Rejects with a sentence if that makes no sense, or cannot be had. */
export async function openHome(
  host: NodeHost,
  env: Environment,
  onTrouble: (message: string) => void,
): Promise<Home> {
  const kind = env.SKEP_STORE ?? 'sqlite';
  if (kind === 'sqlite') return openDirectory(host, env);
  if (kind === 'dynamodb') {
    // The SDK takes a while to load, and few need it.
    const { openDeployment } = await import('./deployment-home.ts');
    return openDeployment(host, env, onTrouble);
  }
  throw new Error(`SKEP_STORE is ${kind}: give sqlite or dynamodb`);
}
