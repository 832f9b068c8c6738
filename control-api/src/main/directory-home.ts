/** A control API at home in a directory: SQLite, and secrets that are made once, in files for their owner only. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { identifyProcess } from '@skep/p2p-core/process-identity';
import { SqliteStore } from '../stores/sqlite.ts';
import { type Environment, stateDirectoryIn } from './environment.ts';
import type { Home } from './home.ts';

const secretBytes = 32;

/** Throws StoreError if another control API has the directory. */
export function openDirectory(host: Host, env: Environment): Home {
  const directory = stateDirectoryIn(env);
  const store = new SqliteStore(join(directory, 'control-api.sqlite'));
  // Only now, as the only one that has the store, is this process the owner.
  writeFileSync(join(directory, 'owner.json'), JSON.stringify(identifyProcess(process.pid)));
  const adminTokenFile = env.SKEP_ADMIN_TOKEN_FILE ?? join(directory, 'admin-token');
  const viewerTokenFile = env.SKEP_VIEWER_TOKEN_FILE ?? join(directory, 'viewer-token');
  const portFile = join(directory, 'port');
  return {
    store,
    adminToken: secretFile(host, adminTokenFile),
    viewerToken: secretFile(host, viewerTokenFile),
    masterSecret: Buffer.from(secretFile(host, join(directory, 'master-secret')), 'hex'),
    isShared: false,
    tokenFiles: { adminTokenFile, viewerTokenFile },
    async portFor(asked) {
      // Without machines nobody knows the port, and another may have it by now.
      const isKept = existsSync(portFile) && (await store.list('name/')).length > 0;
      return asked === 0 && isKept ? Number(readFileSync(portFile, 'utf8')) : asked;
    },
    onListening: (port) => writeWhole(portFile, String(port)),
    close: async () => store.close(),
  };
}

/** For its owner only; a kill at any moment leaves the old file or the new one. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** A secret that is made once, readable by its owner only. */
function secretFile(host: Host, path: string): string {
  if (!existsSync(path)) writeWhole(path, toHex(host.random.bytes(secretBytes)));
  return readFileSync(path, 'utf8').trim();
}
