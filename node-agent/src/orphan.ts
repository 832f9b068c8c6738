/**
 * What an orphan leaves of an ephemeral cluster: nothing. Whoever would have cleaned up was killed, so each
 * orphan removes its own data, and the last one the whole.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentConfig } from '@skep/contract';
import { isAlive, type ProcessIdentity } from '@skep/p2p-core/process-identity';

/** Files by which processes that use the cluster's directory are known, pid and start time in each. */
const identityFiles = new Set(['machine.json', 'owner.json']);

/** Does nothing unless the configuration is that of an ephemeral cluster's machine. */
export function removeRemains(config: Pick<AgentConfig, 'ephemeralDirectory' | 'ephemeralRoot'>): void {
  const { ephemeralDirectory: own, ephemeralRoot: root } = config;
  if (own !== undefined) rmSync(own, { recursive: true, force: true });
  if (root === undefined) return;
  const others = identitiesBelow(root).filter((identity) => identity.pid !== process.pid);
  if (!others.some(isAlive)) rmSync(root, { recursive: true, force: true });
}

function identitiesBelow(root: string): ProcessIdentity[] {
  return filesBelow(root).flatMap((path) => {
    try {
      const { pid, startTime } = JSON.parse(readFileSync(path, 'utf8'));
      return typeof pid === 'number' && typeof startTime === 'string' ? [{ pid, startTime }] : [];
    } catch {
      return [];
    }
  });
}

/** The identity files; a directory that another orphan is removing just now has none. */
function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory() && entry.name !== 'content') return filesBelow(path);
      return identityFiles.has(entry.name) ? [path] : [];
    });
  } catch {
    return [];
  }
}
