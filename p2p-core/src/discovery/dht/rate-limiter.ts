/**
 * How many queries a second one source may have answered, in a table of fixed size.
 *
 * Each source hashes, under a seed nobody else knows, to a cell that holds one number, the theoretical arrival time of
 * the generic cell rate algorithm (ITU-T I.371): a token bucket without a count. Sources that share a cell
 * share its rate; an attacker can't choose whom to share with.
 *
 * A source is an address and port, and, with a larger share, the address alone: many nodes live behind one address, but
 * one that is spoofed with changing ports must not be flooded with answers.
 */
import type { Address, Random } from '../../host/host.ts';
import { ipOf } from './endpoint.ts';

const CELLS = 256;

export interface RateLimits {
  /** Answered from one address and port. */
  readonly queriesPerSecond: number;
  /** How many times its rate an address with all its ports may ask. */
  readonly hostFactor: number;
  /** How many seconds' worth may come at once. */
  readonly burstSeconds: number;
}

export class RateLimiter {
  readonly #random: Random;
  readonly #limits: RateLimits;
  /** Made with the first query: most of many idle nodes never need it. */
  #arrivalsMs: Float64Array | undefined;
  #seed = 0;

  constructor({ random }: { random: Random }, limits: RateLimits) {
    this.#random = random;
    this.#limits = limits;
  }

  /** Whether a query from this source, which has an IPv4 address, may be answered now; counts it if so. */
  allow(source: Address, nowMs: number): boolean {
    if (this.#arrivalsMs === undefined) {
      this.#arrivalsMs = new Float64Array(CELLS);
      this.#seed = (this.#random.float() * 0x1_0000_0000) | 0;
    }
    const { queriesPerSecond, hostFactor, burstSeconds } = this.#limits;
    const hostHash = mix(ipOf(source.host) ^ this.#seed);
    const toleranceMs = burstSeconds * 1000;
    return (
      this.#take(mix(hostHash ^ source.port), 1000 / queriesPerSecond, toleranceMs, nowMs) &&
      this.#take(mix(~hostHash), 1000 / (queriesPerSecond * hostFactor), toleranceMs, nowMs)
    );
  }

  #take(hash: number, intervalMs: number, toleranceMs: number, nowMs: number): boolean {
    const cell = hash & (CELLS - 1);
    const arrivalMs = Math.max(this.#arrivalsMs![cell]!, nowMs);
    if (arrivalMs - nowMs + intervalMs > toleranceMs) return false;
    this.#arrivalsMs![cell] = arrivalMs + intervalMs;
    return true;
  }
}

/** The finisher of MurmurHash3: every input bit reaches every output bit. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
