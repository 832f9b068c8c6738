/**
 * A little world for tests of the DHT: virtual time, seeded chance, and UDP with latency, loss and deaths. Just the
 * parts of Host that the DHT uses; the full simulator lives in sim/, which this package may not import.
 */
import { createHash } from 'node:crypto';
import { formatAddress } from '../../../host/address.ts';
import { type Address, type Host, HostError, type Random, type UdpSocket } from '../../../host/host.ts';

/** mulberry32: small, fast, and good enough to decide who loses a datagram. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return { float, bytes: (length) => Uint8Array.from({ length }, () => float() * 256) };
}

export const compute: Host['compute'] = {
  hash: (algorithm, bytes) => new Uint8Array(createHash(algorithm).update(bytes).digest()),
  hmacSha256: () => {
    throw new Error('the DHT has no use for HMAC');
  },
  parallelism: 1,
};

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export interface WorldOptions {
  readonly seed?: number;
  readonly latencyMs?: number;
  /** Up to so much more, at random, for each datagram. */
  readonly jitterMs?: number;
  /** 0 to 1. */
  readonly loss?: number;
}

export class World {
  nowMs = 0;
  loss: number;
  datagrams = 0;
  readonly random: Random;
  readonly #options: WorldOptions;
  /** A binary heap, earliest first. */
  readonly #events: Event[] = [];
  #order = 0;
  readonly #sockets = new Map<string, (message: Uint8Array, from: Address) => void>();

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.loss = options.loss ?? 0;
    this.random = seededRandom(options.seed ?? 1);
  }

  /** A machine in this world; only what the DHT needs of a Host is there. */
  host(seed: number): Host {
    const clock: Host['clock'] = {
      now: () => this.nowMs,
      wallTime: () => this.nowMs,
      setTimer: (delayMs, callback) => {
        const event = this.#schedule(this.nowMs + delayMs, callback);
        return {
          cancel: () => {
            event.run = undefined;
          },
        };
      },
    };
    const net = { bindUdp: async (local: Address, onMessage: never) => this.#bind(local, onMessage) };
    return { clock, random: seededRandom(seed), net, compute } as unknown as Host;
  }

  /** Injects a datagram from anywhere. */
  send(message: Uint8Array, from: Address, to: Address): void {
    this.datagrams++;
    if (this.random.float() < this.loss) return;
    const { latencyMs = 1, jitterMs = 0 } = this.#options;
    const copy = message.slice();
    this.#schedule(this.nowMs + latencyMs + this.random.float() * jitterMs, () =>
      this.#sockets.get(formatAddress(to))?.(copy, from),
    );
  }

  /** What is sent to this address vanishes from now on. */
  kill(address: Address): void {
    this.#sockets.delete(formatAddress(address));
  }

  /** Lets `ms` pass, or less if `until` holds before. Returns whether it came to hold. */
  run(ms: number, until: () => boolean = () => false): boolean {
    const endMs = this.nowMs + ms;
    if (until()) return true;
    while (this.#events.length > 0 && this.#events[0]!.atMs <= endMs) {
      const event = this.#pop();
      if (event.run === undefined) continue;
      this.nowMs = event.atMs;
      event.run();
      if (until()) return true;
    }
    this.nowMs = endMs;
    return false;
  }

  #bind(local: Address, onMessage: (message: Uint8Array, from: Address) => void): UdpSocket {
    const key = formatAddress(local);
    if (this.#sockets.has(key)) throw new HostError('address-in-use', `${key} is taken`);
    this.#sockets.set(key, onMessage);
    return {
      local,
      send: (message, to) => this.send(message, local, to),
      close: () => this.kill(local),
    };
  }

  #schedule(atMs: number, run: () => void): Event {
    const event: Event = { atMs, order: this.#order++, run };
    const heap = this.#events;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
    return event;
  }

  #pop(): Event {
    const heap = this.#events;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
