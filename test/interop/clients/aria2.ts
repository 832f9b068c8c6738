/** aria2, asked by its RPC how far it is: it tells of the end of a download only when the seeding is over too. */
import { type Client, ended, freePort, isRunnable, pause, spawnClient } from './client.ts';

export const aria2: Client = {
  name: 'aria2',
  makesEmptyFiles: true,
  takesLoopback: true,
  isInstalled: () => isRunnable('aria2c', '--version'),
  start: async (job) => {
    const { torrent, directory, stateDirectory, host, port, dhtNode } = job;
    const rpcPort = await freePort('127.0.0.1');
    const dht = dhtNode
      ? [
          '--enable-dht=true',
          `--dht-listen-port=${port}`,
          `--dht-entry-point=${dhtNode.host}:${dhtNode.port}`,
          `--dht-file-path=${stateDirectory}/dht.dat`,
        ]
      : ['--enable-dht=false'];
    const child = spawnClient(
      job,
      'aria2c',
      [
        '--no-conf',
        '--quiet',
        '--enable-rpc',
        '--rpc-listen-all',
        `--rpc-listen-port=${rpcPort}`,
        '--enable-dht6=false',
        '--bt-enable-lpd=false',
        `--interface=${host}`,
        `--listen-port=${port}`,
        '--seed-ratio=0.0',
        '--check-integrity=true',
        '--allow-overwrite=true',
        '--follow-torrent=mem',
        '--bt-tracker-connect-timeout=5',
        `--dir=${directory}`,
        ...dht,
        torrent,
      ],
      ['ignore', 'ignore', 'inherit'],
    );
    let hasEnded = false;
    child.once('exit', () => {
      hasEnded = true;
    });
    const complete = (async () => {
      while (!hasEnded) {
        const downloads = await active(`http://${host}:${rpcPort}/jsonrpc`);
        if (downloads.some(({ seeder, bittorrent }) => seeder === 'true' && bittorrent?.info)) return;
        await pause(100);
      }
      throw new Error(`aria2 ended with ${child.exitCode ?? child.signalCode}`);
    })();
    complete.catch(() => {});
    return { complete, stop: () => ended(child) };
  },
};

interface Download {
  readonly seeder?: string;
  /** `info` is there once the metadata is. */
  readonly bittorrent?: { readonly info?: object };
}

/** What it is at; nothing while it does not answer yet. */
async function active(url: string): Promise<readonly Download[]> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: '1', method: 'aria2.tellActive', params: [] }),
    });
    return ((await response.json()) as { result?: readonly Download[] }).result ?? [];
  } catch {
    return [];
  }
}
