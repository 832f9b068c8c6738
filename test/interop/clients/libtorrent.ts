/** libtorrent through its Python binding. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, ended, isRunnable } from './client.ts';

const PYTHON = '/usr/bin/python3';

export const libtorrent: Client = {
  name: 'libtorrent',
  makesEmptyFiles: true,
  isInstalled: () => isRunnable(PYTHON, '-c', 'import libtorrent'),
  start: async (job) => {
    const child = spawn(PYTHON, [join(import.meta.dirname, 'libtorrent_client.py'), JSON.stringify(job)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const complete = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => line === 'complete' && resolve());
      child.once('exit', (code) => reject(new Error(`libtorrent ended with ${code}`)));
    });
    complete.catch(() => {});
    return { complete, stop: () => ended(child) };
  },
};
