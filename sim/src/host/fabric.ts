/**
 * The simulated network between machines: how long a packet takes on a path, whether it is lost, cut off
 * or doubled, and how links of a given rate serialise what goes over them. Knows nothing of sockets.
 */
import type { EventQueue } from './event-queue.ts';
import { RandomStream } from './random-stream.ts';

/** One-way latency: fixed, drawn once per pair of machines from a range, or told by the scenario. */
export type Latency =
  | number
  | { readonly minMs: number; readonly maxMs: number }
  | ((from: string, to: string) => number);

export interface FabricOptions {
  /** Default: 10 to 50 ms, the same both ways. */
  readonly latencyMs?: Latency;
  /** Added to each packet, uniform in [0, jitterMs). Reorders datagrams; streams stay ordered. */
  readonly jitterMs?: number;
  /** Share of datagrams lost, 0 to 1. Streams are reliable. */
  readonly udpLossRate?: number;
  /** Share of datagrams that arrive twice. */
  readonly udpDuplicateRate?: number;
}

/** What the fabric knows of a machine. Rates may change at any time and count for what is sent after. */
export interface FabricNode {
  readonly address: string;
  upBytesPerSecond: number;
  downBytesPerSecond: number;
  /** When the link will have sent, or taken in, all it was given. */
  upFreeAtMs: number;
  downFreeAtMs: number;
  readonly random: RandomStream;
  readonly latencyTo: Map<string, number>;
}

/** Packets from any machine of `from` to any of `to` vanish, until healed. */
export interface Cut {
  readonly from: ReadonlySet<string>;
  readonly to: ReadonlySet<string>;
}

const LOOPBACK_LATENCY_MS = 0.05;
/** A link drops datagrams rather than let them wait longer than this for their turn. */
const MAX_QUEUE_DELAY_MS = 1_000;
const DEFAULT_LATENCY = { minMs: 10, maxMs: 50 };

export class Fabric {
  readonly #queue: EventQueue;
  readonly #now: () => number;
  readonly #seed: number | string;
  readonly #options: FabricOptions;
  readonly #cuts = new Set<Cut>();

  constructor(
    components: { queue: EventQueue; now: () => number; seed: number | string },
    options: FabricOptions,
  ) {
    this.#queue = components.queue;
    this.#now = components.now;
    this.#seed = components.seed;
    this.#options = options;
  }

  /** Whether one datagram may arrive more than once. */
  get mayDuplicate(): boolean {
    return (this.#options.udpDuplicateRate ?? 0) > 0;
  }

  cut(cut: Cut): () => void {
    this.#cuts.add(cut);
    return () => this.#cuts.delete(cut);
  }

  healAll(): void {
    this.#cuts.clear();
  }

  isCut(from: FabricNode, to: FabricNode): boolean {
    // No cut parts a machine from itself.
    if (this.#cuts.size === 0 || from === to) return false;
    for (const cut of this.#cuts) if (cut.from.has(from.address) && cut.to.has(to.address)) return true;
    return false;
  }

  /** One-way latency without jitter. A range draws from the pair's own stream, so order of use is nothing. */
  latencyMs(from: FabricNode, to: FabricNode): number {
    if (from === to) return LOOPBACK_LATENCY_MS;
    let latency = from.latencyTo.get(to.address);
    if (latency === undefined) {
      latency = this.#drawLatency(from.address, to.address);
      from.latencyTo.set(to.address, latency);
    }
    return latency;
  }

  /** A datagram: may be lost, doubled, overtaken. `arrive` is called once per copy that gets there. */
  sendDatagram(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    const { udpLossRate = 0, udpDuplicateRate = 0 } = this.#options;
    if (from === to) {
      this.#sendCopy(from, to, lengthBytes, arrive);
      return;
    }
    if (this.isCut(from, to) || from.random.chance(udpLossRate)) return;
    if (from.upFreeAtMs - this.#now() > MAX_QUEUE_DELAY_MS) return;
    this.#sendCopy(from, to, lengthBytes, arrive);
    if (from.random.chance(udpDuplicateRate)) this.#sendCopy(from, to, lengthBytes, arrive);
  }

  /**
   * A segment of a stream: arrives no earlier than `notBeforeMs`, which keeps a stream's order. Lost only
   * to a cut: then `lost` is called. Returns the time of arrival at the far link, the next segment's
   * `notBeforeMs`.
   */
  sendSegment(
    from: FabricNode,
    to: FabricNode,
    lengthBytes: number,
    notBeforeMs: number,
    arrive: () => void,
    lost: () => void,
  ): number {
    const departureMs = this.#departure(from, to, lengthBytes);
    if (this.isCut(from, to)) {
      lost();
      return notBeforeMs;
    }
    const arrivalMs = Math.max(notBeforeMs, this.#arrival(from, to, departureMs));
    this.#queue.add(arrivalMs, () => {
      if (this.isCut(from, to)) lost();
      else this.#passDownlink(from, to, lengthBytes, arrive);
    });
    return arrivalMs;
  }

  #sendCopy(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    const arrivalMs = this.#arrival(from, to, this.#departure(from, to, lengthBytes));
    this.#queue.add(arrivalMs, () => {
      if (this.isCut(from, to) || to.downFreeAtMs - arrivalMs > MAX_QUEUE_DELAY_MS) return;
      this.#passDownlink(from, to, lengthBytes, arrive);
    });
  }

  #departure(from: FabricNode, to: FabricNode, lengthBytes: number): number {
    const now = this.#now();
    if (from === to || from.upBytesPerSecond === Number.POSITIVE_INFINITY) return now;
    from.upFreeAtMs = Math.max(now, from.upFreeAtMs) + (lengthBytes * 1_000) / from.upBytesPerSecond;
    return from.upFreeAtMs;
  }

  #arrival(from: FabricNode, to: FabricNode, departureMs: number): number {
    const { jitterMs = 0 } = this.#options;
    const jitter = jitterMs > 0 && from !== to ? from.random.between(0, jitterMs) : 0;
    return departureMs + this.latencyMs(from, to) + jitter;
  }

  #passDownlink(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    if (from === to || to.downBytesPerSecond === Number.POSITIVE_INFINITY) {
      arrive();
      return;
    }
    to.downFreeAtMs = Math.max(this.#now(), to.downFreeAtMs) + (lengthBytes * 1_000) / to.downBytesPerSecond;
    this.#queue.add(to.downFreeAtMs, arrive);
  }

  #drawLatency(from: string, to: string): number {
    const latency = this.#options.latencyMs ?? DEFAULT_LATENCY;
    if (typeof latency === 'number') return latency;
    if (typeof latency === 'function') return latency(from, to);
    const pair = from < to ? `${from}-${to}` : `${to}-${from}`;
    return new RandomStream(this.#seed, `latency/${pair}`).between(latency.minMs, latency.maxMs);
  }
}
