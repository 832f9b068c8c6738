/**
 * The ways between simulated machines: how long a packet takes on one, whether it is lost, doubled or cut
 * off. Knows nothing of links and their rates, nor of sockets.
 */
import { RandomStream } from './random-stream.ts';

/** One-way latency: fixed, drawn once per pair of machines from a range, or told by the scenario. */
export type Latency =
  | number
  | { readonly minMs: number; readonly maxMs: number }
  | ((from: string, to: string) => number);

export interface PathOptions {
  /** Default: 10 to 50 ms, the same both ways. */
  readonly latencyMs?: Latency;
  /** Added to each packet, uniform in [0, jitterMs). Reorders datagrams; streams stay ordered. */
  readonly jitterMs?: number;
  /** Share of datagrams lost, 0 to 1. Streams are reliable. */
  readonly udpLossRate?: number;
  /** Share of datagrams that arrive twice. */
  readonly udpDuplicateRate?: number;
}

/** What a path needs of the machine at either end. */
export interface PathEnd {
  readonly address: string;
  readonly random: RandomStream;
  readonly latencyTo: Map<string, number>;
}

/** Packets from any machine of `from` to any of `to` vanish, until healed. */
export interface Cut {
  readonly from: ReadonlySet<string>;
  readonly to: ReadonlySet<string>;
}

const LOOPBACK_LATENCY_MS = 0.05;
const DEFAULT_LATENCY = { minMs: 10, maxMs: 50 };

export class Paths {
  readonly #seed: number | string;
  readonly #options: PathOptions;
  readonly #cuts = new Set<Cut>();

  constructor(components: { seed: number | string }, options: PathOptions) {
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

  isCut(from: PathEnd, to: PathEnd): boolean {
    // No cut parts a machine from itself.
    if (this.#cuts.size === 0 || from === to) return false;
    for (const cut of this.#cuts) if (cut.from.has(from.address) && cut.to.has(to.address)) return true;
    return false;
  }

  /** One-way latency without jitter. A range draws from the pair's own stream, so order of use is nothing. */
  latencyMs(from: PathEnd, to: PathEnd): number {
    if (from === to) return LOOPBACK_LATENCY_MS;
    let latency = from.latencyTo.get(to.address);
    if (latency === undefined) {
      latency = this.#drawLatency(from.address, to.address);
      from.latencyTo.set(to.address, latency);
    }
    return latency;
  }

  /** What one packet takes beyond the latency: a fresh draw. */
  jitterMs(from: PathEnd, to: PathEnd): number {
    const { jitterMs = 0 } = this.#options;
    return jitterMs > 0 && from !== to ? from.random.between(0, jitterMs) : 0;
  }

  /** Whether a datagram sent now is lost on the way: a fresh draw. */
  losesDatagram(from: PathEnd, to: PathEnd): boolean {
    return from !== to && (this.isCut(from, to) || from.random.chance(this.#options.udpLossRate ?? 0));
  }

  /** Whether a datagram sent now arrives twice: a fresh draw. */
  doublesDatagram(from: PathEnd, to: PathEnd): boolean {
    return from !== to && from.random.chance(this.#options.udpDuplicateRate ?? 0);
  }

  #drawLatency(from: string, to: string): number {
    const latency = this.#options.latencyMs ?? DEFAULT_LATENCY;
    if (typeof latency === 'number') return latency;
    if (typeof latency === 'function') return latency(from, to);
    const pair = from < to ? `${from}-${to}` : `${to}-${from}`;
    return new RandomStream(this.#seed, `latency/${pair}`).between(latency.minMs, latency.maxMs);
  }
}
