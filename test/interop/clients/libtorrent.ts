/** libtorrent through its Python binding. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, ended, isRunnable, spawnClient } from './client.ts';

const PYTHON = '/usr/bin/python3';

export const libtorrent: Client = {
  name: 'libtorrent',
  makesEmptyFiles: true,
  takesLoopback: true,
  isInstalled: () => isRunnable(PYTHON, '-c', 'import libtorrent'),
  start: async (job) => {
    const child = spawnClient(
      job,
      PYTHON,
      [join(import.meta.dirname, 'libtorrent_client.py'), JSON.stringify(job)],
      ['ignore', 'pipe', 'inherit'],
    );
    const complete = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => line === 'complete' && resolve());
      child.once('exit', (code) => reject(new Error(`libtorrent ended with ${code}`)));
    });
    complete.catch(() => {});
    return { complete, stop: () => ended(child) };
  },
};
