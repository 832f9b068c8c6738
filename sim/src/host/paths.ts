/**
 * The ways between simulated machines: how long a packet takes on one, whether it is lost, doubled, overtaken
 * or cut off. Knows nothing of links and their rates, nor of sockets. Machines are told apart by ordinal, so
 * that what every packet asks costs a few operations and no memory, however many pairs there are.
 */
import { RandomStream } from './random-stream.ts';

/**
 * One-way latency: fixed, drawn once per pair of machines from a range (the same both ways), told by the
 * scenario, or by the regions that the machines stand in. Functions always give the same for the same.
 */
export type Latency =
  | number
  | { readonly minMs: number; readonly maxMs: number }
  | { readonly byRegion: (from: string, to: string) => number }
  | ((from: string, to: string) => number);

export interface PathOptions {
  /** Default: 10 to 50 ms, the same both ways. */
  readonly latencyMs?: Latency;
  /** Added to each packet, uniform in [0, jitterMs). Reorders datagrams; streams stay ordered. */
  readonly jitterMs?: number;
  /** Share of packets lost, 0 to 1: datagrams vanish, streams pay with the time of a retransmission. */
  readonly lossRate?: number;
  /** Share of datagrams lost beside that. */
  readonly udpLossRate?: number;
  /** Share of datagrams that arrive twice. */
  readonly udpDuplicateRate?: number;
  /** Share of datagrams that are held up so that later ones overtake them. */
  readonly udpReorderRate?: number;
}

/** What makes the way from some machines to some others worse. Absent means untouched. */
export interface PathDegradation {
  /** Added to the latency, one way. */
  readonly delayMs?: number;
  /** Each packet is late by a further time, uniform in [0, jitterMs). */
  readonly jitterMs?: number;
  /** Share of packets lost, 0 to 1: datagrams vanish, streams pay with the time of a retransmission. */
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  readonly reorderRate?: number;
}

/** What a path needs of the machine at either end. */
export interface PathEnd {
  readonly ordinal: number;
  readonly address: string;
  /** From `Paths.regionOf`. */
  readonly region: number;
  readonly random: RandomStream;
}

const LOOPBACK_LATENCY_MS = 0.05;
const DEFAULT_LATENCY = { minMs: 10, maxMs: 50 };
/** A datagram that is to be overtaken comes later by so much at least, and at most by twice as much. */
const OVERTAKEN_BY_MS = 10;

/** Where it applies, and what it does there. */
interface Rule<T> {
  readonly from: Group;
  readonly to: Group;
  readonly what: T;
}

export class Paths {
  readonly #options: PathOptions;
  readonly #latency: Latency;
  /** Decides the latency of every pair. */
  readonly #pairSeed: number;
  readonly #regions: string[] = [];
  /** Latencies between regions that were asked for, by pair. */
  readonly #regionLatenciesMs: (number | undefined)[][] = [];
  readonly #cuts = new Set<Rule<'cut'>>();
  readonly #degradations = new Set<Rule<PathDegradation>>();

  constructor(components: { seed: number | string }, options: PathOptions) {
    this.#options = options;
    this.#latency = options.latencyMs ?? DEFAULT_LATENCY;
    this.#pairSeed = new RandomStream(components.seed, 'latency').word();
  }

  /** The number of a region, for `PathEnd.region`. */
  regionOf(name: string): number {
    const known = this.#regions.indexOf(name);
    return known >= 0 ? known : this.#regions.push(name) - 1;
  }

  // -------------------------------------------------------------- faults

  /** Packets from any machine of one group to any of the other vanish, until what this returns is called. */
  cut({ from, to }: { from: Iterable<string>; to: Iterable<string> }): () => void {
    return addTo(this.#cuts, { from: new Group(from), to: new Group(to), what: 'cut' });
  }

  /** Makes the way from one group of machines to another worse, until what this returns is called. */
  degrade(from: Iterable<string>, to: Iterable<string>, degradation: PathDegradation): () => void {
    return addTo(this.#degradations, { from: new Group(from), to: new Group(to), what: degradation });
  }

  /** Ends all cuts and degradations. */
  healAll(): void {
    this.#cuts.clear();
    this.#degradations.clear();
  }

  isCut(from: PathEnd, to: PathEnd): boolean {
    // No cut parts a machine from itself.
    if (this.#cuts.size === 0 || from === to) return false;
    for (const cut of this.#cuts) if (applies(cut, from, to)) return true;
    return false;
  }

  // -------------------------------------------------------------- what becomes of a packet

  /** One way, without jitter. */
  latencyMs(from: PathEnd, to: PathEnd): number {
    if (from === to) return LOOPBACK_LATENCY_MS;
    return this.#baseLatencyMs(from, to) + this.#degradedBy(from, to, 'delayMs');
  }

  /** What one packet takes beyond the latency: a fresh draw. */
  jitterMs(from: PathEnd, to: PathEnd): number {
    if (from === to) return 0;
    const jitterMs = (this.#options.jitterMs ?? 0) + this.#degradedBy(from, to, 'jitterMs');
    return jitterMs > 0 ? from.random.between(0, jitterMs) : 0;
  }

  /** The share of packets that the path loses beyond cuts, datagrams' own losses not counted: what streams suffer. */
  lossRate(from: PathEnd, to: PathEnd): number {
    return from === to ? 0 : this.#combinedRate(this.#options.lossRate ?? 0, from, to, 'lossRate');
  }

  /** Whether a datagram sent now is lost on the way: a fresh draw. */
  losesDatagram(from: PathEnd, to: PathEnd): boolean {
    if (from === to) return false;
    if (this.isCut(from, to)) return true;
    const { lossRate = 0, udpLossRate = 0 } = this.#options;
    const baseRate = 1 - (1 - lossRate) * (1 - udpLossRate);
    return from.random.chance(this.#combinedRate(baseRate, from, to, 'lossRate'));
  }

  /** Whether a datagram sent now arrives twice: a fresh draw. */
  doublesDatagram(from: PathEnd, to: PathEnd): boolean {
    if (from === to) return false;
    const { udpDuplicateRate = 0 } = this.#options;
    return from.random.chance(this.#combinedRate(udpDuplicateRate, from, to, 'duplicateRate'));
  }

  /** How long a datagram is under way: latency, jitter, and now and then so much more that others overtake it. */
  datagramDelayMs(from: PathEnd, to: PathEnd): number {
    const delayMs = this.latencyMs(from, to) + this.jitterMs(from, to);
    if (from === to) return delayMs;
    const rate = this.#combinedRate(this.#options.udpReorderRate ?? 0, from, to, 'reorderRate');
    return from.random.chance(rate)
      ? delayMs + from.random.between(OVERTAKEN_BY_MS, 2 * OVERTAKEN_BY_MS)
      : delayMs;
  }

  // -------------------------------------------------------------- latency of a pair

  #baseLatencyMs(from: PathEnd, to: PathEnd): number {
    const latency = this.#latency;
    if (typeof latency === 'number') return latency;
    if (typeof latency === 'function') return latency(from.address, to.address);
    if ('byRegion' in latency) return this.#betweenRegions(from.region, to.region, latency.byRegion);
    const share = fractionOfPair(this.#pairSeed, from.ordinal, to.ordinal);
    return latency.minMs + (latency.maxMs - latency.minMs) * share;
  }

  #betweenRegions(from: number, to: number, latencyMs: (from: string, to: string) => number): number {
    this.#regionLatenciesMs[from] ??= [];
    const known = this.#regionLatenciesMs[from];
    known[to] ??= latencyMs(this.#regions[from]!, this.#regions[to]!);
    return known[to];
  }

  // -------------------------------------------------------------- degradations

  #degradedBy(from: PathEnd, to: PathEnd, field: 'delayMs' | 'jitterMs'): number {
    let sum = 0;
    if (this.#degradations.size === 0) return sum;
    for (const rule of this.#degradations) if (applies(rule, from, to)) sum += rule.what[field] ?? 0;
    return sum;
  }

  /** The chance that at least one of independent causes strikes. */
  #combinedRate(
    own: number,
    from: PathEnd,
    to: PathEnd,
    field: 'lossRate' | 'duplicateRate' | 'reorderRate',
  ): number {
    if (this.#degradations.size === 0) return own;
    let spared = 1 - own;
    for (const rule of this.#degradations) if (applies(rule, from, to)) spared *= 1 - (rule.what[field] ?? 0);
    return 1 - spared;
  }
}

/** Machines told by address, which may not exist yet, and asked for by ordinal. */
class Group {
  readonly #addresses: ReadonlySet<string>;
  /** By ordinal; undefined where it was never asked for. */
  readonly #isMember: (boolean | undefined)[] = [];

  constructor(addresses: Iterable<string>) {
    this.#addresses = new Set(addresses);
  }

  has({ ordinal, address }: PathEnd): boolean {
    this.#isMember[ordinal] ??= this.#addresses.has(address);
    return this.#isMember[ordinal];
  }
}

function applies(rule: Rule<unknown>, from: PathEnd, to: PathEnd): boolean {
  return rule.from.has(from) && rule.to.has(to);
}

function addTo<T>(rules: Set<Rule<T>>, rule: Rule<T>): () => void {
  rules.add(rule);
  return () => {
    rules.delete(rule);
  };
}

/** Uniform in [0, 1), the same for the same pair in either order: rounds of MurmurHash3's finisher. */
function fractionOfPair(seed: number, one: number, other: number): number {
  const low = Math.min(one, other);
  const high = Math.max(one, other);
  return (mix(mix(seed ^ Math.imul(low + 1, 0x9e3779b1)) ^ Math.imul(high + 1, 0x85ebca77)) >>> 0) / 2 ** 32;
}

function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
