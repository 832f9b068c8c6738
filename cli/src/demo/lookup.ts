/** A DHT client of the demonstration's own, to see with whether the DHT works through one node alone. */
import { createDht } from '@skep/p2p-core/discovery/dht';
import { type Address, formatAddress, type Host } from '@skep/p2p-core/host';
import { aborted } from '../timing.ts';

export interface LookupOptions {
  /** The only node that is known at the start. */
  readonly through: Address;
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** Peers that are known to have the torrent: to find one of these is what counts. */
  readonly expected: readonly Address[];
  readonly signal: AbortSignal;
}

const again = { wantedPeers: 1, firstDelayMs: 50, maxDelayMs: 500 };

/** Resolves with the first of the expected peers that the DHT names; rejects when the signal is aborted. */
export async function lookUpThrough(host: Host, options: LookupOptions): Promise<Address> {
  const { through, infoHash, expected, signal } = options;
  const wanted = new Set(expected.map(formatAddress));
  // Nodes that are processes have loopback addresses of this machine's; others are reached from wherever it is.
  const local = { host: through.host.startsWith('127.') ? through.host : '0.0.0.0', port: 0 };
  const dht = await createDht({ host }, { local, bootstrap: [through], readOnly: true });
  try {
    return await new Promise<Address>((resolve, reject) => {
      const onPeers = (peers: readonly Address[]) => {
        const good = peers.find((peer) => wanted.has(formatAddress(peer)));
        if (good !== undefined) resolve(good);
      };
      dht.findPeers(infoHash, onPeers, undefined, again);
      void aborted(signal).then(() => reject(signal.reason));
    });
  } finally {
    dht.close();
  }
}
