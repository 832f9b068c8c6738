/**
 * Store and journal of simulated control APIs: rows that outlive every process, behind answers that take
 * time and now and then are lost, and for whole periods do not come. A process can thus die between asking,
 * the commit, and hearing of it.
 */
import {
  type Journal,
  MemoryStore,
  type NewEvent,
  type Row,
  type Store,
  StoreError,
  type Write,
} from '@skep/control-api';
import type { Host } from '@skep/p2p-core/host';
import { RandomStream } from '../host/index.ts';

export interface DurableRowsOptions {
  /** Of each way of a commit. @default 0.2 to 4 */
  readonly latencyMs?: readonly [number, number];
  /** Share of commits whose answer is an error, half of which were made all the same. @default 0 */
  readonly failureRate?: number;
}

/** In an outage, whether calls fail at once or hang until it is over. */
export type StoreOutage = 'fail' | 'hang';

/** A commit that was made, as the rows it put and the events it brought. */
export interface Committed {
  readonly writes: readonly Write[];
  readonly events: readonly NewEvent[];
}

export class DurableRows {
  readonly rows = new MemoryStore();
  readonly #options: DurableRowsOptions;
  readonly #random: RandomStream;
  readonly #listeners = new Set<(commit: Committed) => void>();
  readonly #outages: { readonly way: StoreOutage; readonly untilMs: number }[] = [];

  constructor(seed: number | string, options: DurableRowsOptions = {}) {
    this.#options = options;
    this.#random = new RandomStream(seed, 'store');
  }

  /** Called in the order of the commits, each before the next one is made. */
  onCommit(listener: (commit: Committed) => void): void {
    this.#listeners.add(listener);
  }

  /** From now on, for a time, whatever is asked fails, or waits until it is over. */
  goOut(way: StoreOutage, nowMs: number, forMs: number): void {
    this.#outages.push({ way, untilMs: nowMs + forMs });
  }

  /** For one process: calls of a dead one have no effect and no answer. */
  forProcess(host: Host): Store & Journal {
    const { rows } = this;
    const { failureRate = 0 } = this.#options;
    const through = async <T>(ask: () => Promise<T>): Promise<T> => {
      await this.#untilReached(host);
      return ask();
    };
    return {
      get: (key) => through(() => rows.get(key)),
      list: (prefix): Promise<readonly Row[]> => through(() => rows.list(prefix)),
      commit: async (writes, events = []) => {
        const fails = this.#random.chance(failureRate);
        const backMs = this.#latencyMs();
        await sleep(host, this.#latencyMs());
        if (fails && backMs * 2 < this.#longestMs) throw lost();
        await this.#untilReached(host);
        const made = await rows.commit(writes, events);
        if (made) for (const listener of this.#listeners) listener({ writes, events });
        await sleep(host, backMs);
        if (fails) throw lost();
        return made;
      },
      head: (uid) => through(() => rows.head(uid)),
      read: (uid, after, limit) => through(() => rows.read(uid, after, limit)),
      subscribe: (uid, onAppended) =>
        rows.subscribe(uid, () => void host.clock.setTimer(0, () => onAppended())),
      forget: (uid) => through(() => rows.forget(uid)),
    };
  }

  /** Rejects StoreError in an outage that fails; resolves after one that holds callers. */
  async #untilReached(host: Host): Promise<void> {
    for (;;) {
      const outage = this.#outages.find(({ untilMs }) => untilMs > host.clock.now());
      if (outage === undefined) return;
      if (outage.way === 'fail') throw new StoreError('the store cannot be reached');
      await sleep(host, outage.untilMs - host.clock.now());
    }
  }

  get #longestMs(): number {
    return (this.#options.latencyMs ?? [0.2, 4])[1];
  }

  #latencyMs(): number {
    const [least, most] = this.#options.latencyMs ?? [0.2, 4];
    return this.#random.between(least, most);
  }
}

function sleep(host: Host, ms: number): Promise<void> {
  return new Promise((resolve) => host.clock.setTimer(ms, resolve));
}

function lost(): StoreError {
  return new StoreError('the store did not answer; what became of the commit is not known');
}
