/** Gathers what is asked for within a few milliseconds into one call, so that all of a cluster's machines go at once. */
import type { Clock } from '@skep/p2p-core/host';

export interface GatheringOptions {
  readonly mostAtOnce: number;
  readonly gatherMs: number;
}

interface Asked<Item, Result> {
  readonly item: Item;
  readonly result: Promise<Result>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** What has the same key is asked for once, and all who ask are given its result. */
export class Gathering<Item, Result> {
  readonly #clock: Clock;
  readonly #options: GatheringOptions;
  readonly #keyOf: (item: Item) => string;
  readonly #carryOut: (items: readonly Item[]) => Promise<readonly Result[]>;
  #waiting = new Map<string, Asked<Item, Result>>();

  /** `carryOut` resolves with a result for each item, in their order; where it rejects, all of its items are. */
  constructor(
    components: {
      clock: Clock;
      keyOf: (item: Item) => string;
      carryOut: (items: readonly Item[]) => Promise<readonly Result[]>;
    },
    options: GatheringOptions,
  ) {
    this.#clock = components.clock;
    this.#keyOf = components.keyOf;
    this.#carryOut = components.carryOut;
    this.#options = options;
  }

  ask(item: Item): Promise<Result> {
    const key = this.#keyOf(item);
    const known = this.#waiting.get(key);
    if (known !== undefined) return known.result;
    const { promise: result, resolve, reject } = Promise.withResolvers<Result>();
    if (this.#waiting.size === 0) this.#clock.setTimer(this.#options.gatherMs, () => this.#go());
    this.#waiting.set(key, { item, result, resolve, reject });
    return result;
  }

  #go(): void {
    const all = [...this.#waiting.values()];
    this.#waiting = new Map();
    const { mostAtOnce } = this.#options;
    for (let start = 0; start < all.length; start += mostAtOnce) {
      void this.#carry(all.slice(start, start + mostAtOnce));
    }
  }

  async #carry(some: readonly Asked<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#carryOut(some.map(({ item }) => item));
      for (const [index, { resolve }] of some.entries()) resolve(results[index]!);
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  }
}
