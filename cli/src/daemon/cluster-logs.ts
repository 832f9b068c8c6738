/** What tells how it went with a cluster, saved to files: its nodes, its events, the end of each node's log. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiClient } from '@skep/contract';

/** What cannot be had is told in its file instead. */
export async function saveTo(
  directory: string,
  name: string,
  read: () => Promise<string | Uint8Array>,
): Promise<void> {
  const text = await read().catch(
    (error) => `not to be had: ${error instanceof Error ? error.message : error}\n`,
  );
  writeFileSync(join(directory, name), text, { mode: 0o600 });
}

/** Never rejects for what the control API says. */
export async function saveClusterLogs(api: ApiClient, cluster: string, directory: string): Promise<void> {
  const nodes = await api.listNodes({ params: { cluster } }).catch(() => []);
  await saveTo(directory, 'nodes.json', async () => JSON.stringify(nodes, undefined, 2));
  await saveTo(directory, 'events.json', async () => {
    const events = await api.listEvents({ params: { cluster }, query: { limit: 1_000 } });
    return events.map((event) => JSON.stringify(event)).join('\n');
  });
  for (const { slot } of nodes) {
    await saveTo(directory, `${slot}.log`, async () => {
      const log = await api.nodeLogs({ params: { cluster, slot }, query: { tailBytes: 1_000_000 } });
      return log.text();
    });
  }
}
