/** Transmission's daemon, told what to do by its RPC. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, ended, freePort, isRunnable, pause, spawnClient } from './client.ts';

export const transmission: Client = {
  name: 'Transmission',
  makesEmptyFiles: false,
  takesLoopback: false,
  isInstalled: () => isRunnable('transmission-daemon', '--version'),
  start: async (job) => {
    const { torrent, directory, stateDirectory, host, port, dhtNode } = job;
    const rpcPort = await freePort('127.0.0.1');
    mkdirSync(stateDirectory, { recursive: true });
    const settings = {
      'bind-address-ipv4': host,
      'dht-enabled': dhtNode !== undefined,
      'download-dir': directory,
      'lpd-enabled': false,
      'peer-port': port,
      'pex-enabled': false,
      'port-forwarding-enabled': false,
      'rpc-bind-address': host,
      'rpc-port': rpcPort,
      'rpc-whitelist-enabled': false,
      'rpc-host-whitelist-enabled': false,
      'utp-enabled': false,
      'rename-partial-files': false,
    };
    writeFileSync(join(stateDirectory, 'settings.json'), JSON.stringify(settings));
    if (dhtNode !== undefined) {
      writeFileSync(join(stateDirectory, 'dht.bootstrap'), `${dhtNode.host} ${dhtNode.port}\n`);
    }
    const child = spawnClient(
      job,
      'transmission-daemon',
      ['-f', '-g', stateDirectory, '--log-error'],
      'ignore',
    );
    let hasEnded = false;
    child.once('exit', () => {
      hasEnded = true;
    });
    const rpc = makeRpc(`http://${host}:${rpcPort}/transmission/rpc`, () => hasEnded);
    const source = torrent.startsWith('magnet:')
      ? { filename: torrent }
      : { metainfo: readFileSync(torrent).toString('base64') };
    await rpc('torrent-add', { ...source, 'download-dir': directory });
    const complete = (async () => {
      for (;;) {
        const { torrents } = await rpc('torrent-get', {
          fields: ['percentDone', 'metadataPercentComplete', 'status'],
        });
        const SEED = 6;
        if (torrents[0]?.percentDone === 1 && torrents[0]?.status === SEED) return;
        await pause(100);
      }
    })();
    complete.catch(() => {});
    return { complete, stop: () => ended(child) };
  },
};

type Answer = { torrents: { percentDone: number; status: number }[] };

function makeRpc(url: string, hasEnded: () => boolean) {
  let session = '';
  return async (method: string, args: object): Promise<Answer> => {
    while (!hasEnded()) {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'X-Transmission-Session-Id': session },
          body: JSON.stringify({ method, arguments: args }),
        });
        const body = await response.text();
        session = response.headers.get('X-Transmission-Session-Id') ?? session;
        if (response.status === 200) return (JSON.parse(body) as { arguments: Answer }).arguments;
      } catch {
        await pause(50);
      }
    }
    throw new Error('Transmission ended');
  };
}
