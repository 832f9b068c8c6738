/** What the ring's own datagrams cost each node: counted at the socket, by port, so that the DHT's do not count. */
import type { Host, UdpSocket } from '@skep/p2p-core/host';

/** IPv4 and UDP, without options: what a datagram costs beyond its payload. */
const HEADER_BYTES = 28;
const BUCKET_MS = 100;
const BUCKETS_PER_SECOND = 1_000 / BUCKET_MS;

/** Of all nodes in a stretch of time, by what each sent. */
export interface TrafficFigures {
  /** Of the average node. */
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
  /** Of the node that sent most. */
  readonly mostBytesPerSecond: number;
  readonly mostPacketsPerSecond: number;
  /** In the busiest second of any node. */
  readonly peakBytesPerSecond: number;
}

class Counts {
  readonly bytes: number[] = [];
  readonly packets: number[] = [];

  add(bucket: number, bytes: number): void {
    this.bytes[bucket] = (this.bytes[bucket] ?? 0) + bytes;
    this.packets[bucket] = (this.packets[bucket] ?? 0) + 1;
  }
}

export class Traffic {
  readonly #ringPort: number;
  readonly #now: () => number;
  /** By the sender's slot. */
  readonly #sent = new Map<string, Counts>();

  /** `now`: virtual ms. */
  constructor(ringPort: number, now: () => number) {
    this.#ringPort = ringPort;
    this.#now = now;
  }

  /** The same Host, with what its socket on the ring's port sends counted for `slot`. */
  watched(host: Host, slot: string): Host {
    const { clock, random, net, http, files, payload, compute } = host;
    const bindUdp: typeof net.bindUdp = async (local, onMessage) => {
      const socket = await net.bindUdp(local, onMessage);
      return local.port === this.#ringPort ? this.#counting(socket, slot) : socket;
    };
    const watchedNet = {
      connectTcp: net.connectTcp.bind(net),
      listenTcp: net.listenTcp.bind(net),
      resolve: net.resolve.bind(net),
      bindUdp,
    };
    return { clock, random, net: watchedNet, http, files, payload, compute };
  }

  /** Of the stretch between two virtual times. */
  between(fromMs: number, toMs: number): TrafficFigures {
    const first = Math.floor(fromMs / BUCKET_MS);
    const last = Math.max(first, Math.floor(toMs / BUCKET_MS) - 1);
    const seconds = (last - first + 1) / BUCKETS_PER_SECOND;
    const nodes = [...this.#sent.values()];
    const bytes = nodes.map((counts) => sum(counts.bytes, first, last) / seconds);
    const packets = nodes.map((counts) => sum(counts.packets, first, last) / seconds);
    return {
      bytesPerSecond: mean(bytes),
      packetsPerSecond: mean(packets),
      mostBytesPerSecond: Math.max(0, ...bytes),
      mostPacketsPerSecond: Math.max(0, ...packets),
      peakBytesPerSecond: Math.max(0, ...nodes.map((counts) => busiestSecond(counts.bytes, first, last))),
    };
  }

  #counting(socket: UdpSocket, slot: string): UdpSocket {
    const known = this.#sent.get(slot);
    const counts = known ?? new Counts();
    if (known === undefined) this.#sent.set(slot, counts);
    return {
      local: socket.local,
      send: (message, to) => {
        counts.add(Math.floor(this.#now() / BUCKET_MS), message.length + HEADER_BYTES);
        socket.send(message, to);
      },
      close: () => socket.close(),
    };
  }
}

function sum(buckets: readonly number[], first: number, last: number): number {
  let total = 0;
  for (let bucket = first; bucket <= last; bucket++) total += buckets[bucket] ?? 0;
  return total;
}

function busiestSecond(buckets: readonly number[], first: number, last: number): number {
  let most = 0;
  for (let bucket = first; bucket <= last; bucket++)
    most = Math.max(most, sum(buckets, bucket, Math.min(last, bucket + BUCKETS_PER_SECOND - 1)));
  return most;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((total, value) => total + value, 0) / values.length;
}
