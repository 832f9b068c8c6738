/** The conditions in force on one machine, in the form that its sockets, disk and clock ask for them. */
import { formatIp, parseIp } from '../address.ts';
import type { Conditions, PathConditions } from '../conditions.ts';
import type { Clock, Random } from '../host.ts';
import { DiskShape } from './disk.ts';
import { Link } from './link.ts';

/** Linux's least retransmission timeout and its longest, and how often it retries (tcp_retries2). */
export const LEAST_RETRY_MS = 200;
export const LONGEST_RETRY_MS = 120_000;
const TCP_RETRIES = 15;

/** What becomes of traffic with one remote. */
export interface Path {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly reorderRate: number;
  readonly isCutIn: boolean;
  readonly isCutOut: boolean;
  /** Nothing is done to what this end sends, links apart. */
  readonly isPlain: boolean;
}

const PLAIN: Path = pathFrom({ with: 'any' });

export class Shape {
  readonly clock: Clock;
  readonly random: Random;
  readonly up: Link;
  readonly down: Link;
  readonly disk: DiskShape;
  skewMs = 0;
  /** The path of those that none names. */
  #anyPath = PLAIN;
  #paths = new Map<string, Path>();
  readonly #listeners = new Set<() => void>();

  constructor(components: { clock: Clock; random: Random }) {
    this.clock = components.clock;
    this.random = components.random;
    this.up = new Link(components.clock);
    this.down = new Link(components.clock);
    this.disk = new DiskShape(components);
  }

  /** Throws RangeError, changing nothing, at a number that cannot be. */
  set(conditions: Conditions): void {
    check(conditions);
    const { link, paths = [], clock, disk } = conditions;
    this.skewMs = clock?.skewMs ?? 0;
    this.disk.set(disk ?? {});
    this.#paths = new Map();
    this.#anyPath = PLAIN;
    for (const path of paths) {
      if (path.with === 'any') {
        this.#anyPath = pathFrom(path);
        break;
      }
      const state = pathFrom(path);
      for (const host of path.with) {
        const plain = plainHost(host);
        if (!this.#paths.has(plain)) this.#paths.set(plain, state);
      }
    }
    this.up.setRate(link?.upBytesPerSecond ?? Number.POSITIVE_INFINITY);
    this.down.setRate(link?.downBytesPerSecond ?? Number.POSITIVE_INFINITY);
    for (const listener of [...this.#listeners]) listener();
  }

  /** `host` is an IP literal, or a name, which no list of literals fits. */
  pathOf(host: string): Path {
    return this.#paths.size === 0 ? this.#anyPath : (this.#paths.get(plainHost(host)) ?? this.#anyPath);
  }

  /** Whether traffic with one remote may fare otherwise than with another. */
  get hasNamedPaths(): boolean {
    return this.#paths.size > 0;
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** One way over `path`, with a fresh draw of its jitter. */
  drawDelayMs(path: Path): number {
    return path.delayMs + (path.jitterMs > 0 ? path.jitterMs * this.random.float() : 0);
  }

  /** How long what is lost keeps being sent again, at first after `retryMs` and then ever later (RFC 6298, 5.5). */
  drawRetriesMs({ lossRate }: Path, retryMs: number): number {
    let lateMs = 0;
    for (let retry = 0; retry < TCP_RETRIES && this.draw(lossRate); retry++)
      lateMs += Math.min(LONGEST_RETRY_MS, retryMs * 2 ** retry);
    return lateMs;
  }

  /**
   * Calls what belongs to someone else from inside our own work, which must go on: what it throws is thrown on
   * in a turn of its own, where the Host beneath reports it. Gives whether it threw.
   */
  callGuarded(callback: () => void): boolean {
    try {
      callback();
      return false;
    } catch (error) {
      this.clock.setTimer(0, () => {
        throw error;
      });
      return true;
    }
  }

  /** Draws only where there is a chance, so that what is not asked for leaves the random numbers as they are. */
  draw(rate: number): boolean {
    return rate > 0 && this.random.float() < rate;
  }
}

function pathFrom(path: PathConditions): Path {
  const { delayMs = 0, jitterMs = 0, lossRate = 0, duplicateRate = 0, reorderRate = 0, cut } = path;
  const isCutOut = cut === 'both' || cut === 'out' || lossRate === 1;
  const isPlain = !isCutOut && delayMs + jitterMs + lossRate + duplicateRate + reorderRate === 0;
  const isCutIn = cut === 'both' || cut === 'in';
  return { delayMs, jitterMs, lossRate, duplicateRate, reorderRate, isCutIn, isCutOut, isPlain };
}

function plainHost(host: string): string {
  const bytes = parseIp(host);
  return bytes === undefined ? host : formatIp(bytes);
}

function check({ link = {}, paths = [], clock = {}, disk = {} }: Conditions): void {
  for (const [name, rate] of Object.entries({ ...link, diskBytesPerSecond: disk.bytesPerSecond }))
    if (rate !== undefined && !(rate > 0)) throw new RangeError(`${name} is above 0, not ${rate}`);
  for (const group of [...paths, clock, disk])
    for (const [name, value] of Object.entries(group)) {
      if (typeof value !== 'number') continue;
      const isRate = name.endsWith('Rate');
      const fits = name === 'skewMs' ? Number.isFinite(value) : value >= 0 && (!isRate || value <= 1);
      if (!fits || value === Number.POSITIVE_INFINITY)
        throw new RangeError(`${name} cannot be ${value}; a Rate is 0 to 1, a time at least 0`);
    }
}
