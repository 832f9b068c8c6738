/** A machine's host with an observer between it and its agent: what invariants and faults must know at once. */
import type { Files, Host, Http, Network } from '@skep/p2p-core/host';
import { type Shown, shownIn } from './ring-datagrams.ts';

/** A redeployment that an agent asks for, at the moment it asks: the act that only a leader may do. */
export interface Ask {
  readonly slot: string;
  readonly generation: number;
  readonly term: number;
}

export interface HostWatcher {
  /** A small file was written, and its writer is about to be told. */
  onWritten(path: string): void;
  onAsk(ask: Ask): void;
  /** It tells another who leads. */
  onShown(shown: Shown): void;
}

/** `ringPort`: that its ring's datagrams are sent from; missing if it is in none. */
export function watchedHost(host: Host, watcher: HostWatcher, ringPort?: number): Host {
  const files: Files = {
    read: (path, maxBytes) => host.files.read(path, maxBytes),
    writeAtomic: async (path, bytes) => {
      await host.files.writeAtomic(path, bytes);
      watcher.onWritten(path);
    },
    append: (path, bytes) => host.files.append(path, bytes),
    createExclusive: (path, bytes) => host.files.createExclusive(path, bytes),
    list: (path) => host.files.list(path),
    stat: (path) => host.files.stat(path),
    makeDirectory: (path) => host.files.makeDirectory(path),
    remove: (path) => host.files.remove(path),
    freeBytes: (directory) => host.files.freeBytes(directory),
  };
  const http: Http = {
    fetch: (url, init) => {
      if (init?.method === 'POST' && url.endsWith('/redeployments'))
        watcher.onAsk(JSON.parse(String(init.body)));
      return host.http.fetch(url, init);
    },
    serve: (local, handler, options) => host.http.serve(local, handler, options),
  };
  const net: Network = {
    connectTcp: (remote, handler, options) => host.net.connectTcp(remote, handler, options),
    listenTcp: (local, accept) => host.net.listenTcp(local, accept),
    resolve: (name) => host.net.resolve(name),
    bindUdp: async (local, onMessage) => {
      const socket = await host.net.bindUdp(local, onMessage);
      if (local.port !== ringPort) return socket;
      return {
        local: socket.local,
        send: (datagram, to) => {
          const shown = shownIn(datagram);
          if (shown !== undefined) watcher.onShown(shown);
          socket.send(datagram, to);
        },
        close: () => socket.close(),
      };
    },
  };
  return { ...partsOf(host), net, files, http };
}

/** The parts of a host by themselves: a spread of a class instance would miss its getters. */
export function partsOf({ clock, random, net, http, files, payload, compute }: Host): Host {
  return { clock, random, net, http, files, payload, compute };
}

/** In the life of the process: never resolves once it is dead. */
export function sleepOn(host: Pick<Host, 'clock'>, ms: number): Promise<void> {
  return new Promise((resolve) => host.clock.setTimer(ms, resolve));
}
