/** opentracker, a real tracker (BEP 3, 23), for one torrent. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ended, freePort, isRunnable, listening } from './client.ts';

export const opentracker = {
  // It knows no option that prints and ends well: its usage comes with an error status.
  isInstalled: () => isRunnable('sh', '-c', 'command -v opentracker'),

  /** Starts it at `host`, which peers see each other at; `stateDirectory` is its own. */
  async start(host: string, infoHashHex: string, stateDirectory: string) {
    mkdirSync(stateDirectory, { recursive: true });
    // Debian's build serves listed torrents only, and reads the list as nobody from inside its directory.
    chmodSync(stateDirectory, 0o755);
    writeFileSync(join(stateDirectory, 'whitelist'), `${infoHashHex}\n`);
    const port = await freePort(host);
    const child = spawn(
      'opentracker',
      ['-i', host, '-p', String(port), '-P', String(port), '-d', stateDirectory, '-w', 'whitelist'],
      { cwd: stateDirectory, stdio: 'ignore' },
    );
    await listening(host, port);
    return { url: `http://${host}:${port}/announce`, stop: () => ended(child) };
  },
};
