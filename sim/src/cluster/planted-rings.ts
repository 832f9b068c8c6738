/** Planted faults below the agents' sockets: what the ring's datagrams say is bent on their way. */

import type { LaunchRequest } from '@skep/control-api';
import { fromHex } from '@skep/p2p-core/bytes';
import type { Host, Network } from '@skep/p2p-core/host';
import type { FleetMachine } from './fleet.ts';
import { Forger, shownIn } from './ring-datagrams.ts';
import { partsOf } from './watched-host.ts';

/** What becomes of a datagram of one machine; the same one if nothing is bent. */
interface Bending {
  readonly sent?: (datagram: Uint8Array) => Uint8Array;
  readonly received?: (datagram: Uint8Array) => Uint8Array;
}

/** Bends the ring's datagrams of every machine. It learns the rings' keys as machines do, from their configuration. */
export class RingBending {
  readonly #bend: (forger: Forger) => Bending;
  /** By cluster. */
  readonly #ringKeys = new Map<string, Uint8Array>();

  /** `bend`: of one machine's life. */
  constructor(bend: (forger: Forger) => Bending) {
    this.#bend = bend;
  }

  launched({ config }: LaunchRequest): void {
    if (config.ringKey !== undefined) this.#ringKeys.set(config.clusterUid, fromHex(config.ringKey)!);
  }

  host(host: Host, { ref }: FleetMachine): Host {
    const ringKey = this.#ringKeys.get(ref.clusterUid);
    if (ringKey === undefined) return host;
    const forger = new Forger(host.compute, ringKey, ref.clusterUid);
    const { sent = (datagram) => datagram, received = (datagram) => datagram } = this.#bend(forger);
    const net: Network = {
      connectTcp: (remote, handler, options) => host.net.connectTcp(remote, handler, options),
      listenTcp: (local, accept) => host.net.listenTcp(local, accept),
      resolve: (name) => host.net.resolve(name),
      bindUdp: async (local, onMessage) => {
        const socket = await host.net.bindUdp(local, (datagram, from) => onMessage(received(datagram), from));
        return {
          local: socket.local,
          send: (datagram, to) => socket.send(sent(datagram), to),
          close: () => socket.close(),
        };
      },
    };
    return { ...partsOf(host), net };
  }
}

/** Whoever passes on who leads says that its lease has as much left as when it was told. */
export function keepingLeases(forger: Forger): Bending {
  const told = new Map<string, { grant: number; leaseMs: number }>();
  return {
    received: (datagram) => {
      const shown = shownIn(datagram);
      if (shown === undefined) return datagram;
      const lease = `${shown.holder} in ${shown.term}`;
      const known = told.get(lease);
      if (known === undefined || shown.grant > known.grant) told.set(lease, shown);
      return datagram;
    },
    sent: (datagram) => {
      const shown = shownIn(datagram);
      if (shown === undefined || shown.from === shown.holder) return datagram;
      const known = told.get(`${shown.holder} in ${shown.term}`);
      return known === undefined ? datagram : forger.withLease(datagram, known.leaseMs);
    },
  };
}

/** A stranger's suspicion is proof enough. */
export function believingStrangers(forger: Forger): Bending {
  return { received: (datagram) => forger.withDeaths(datagram) };
}
