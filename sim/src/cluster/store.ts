/**
 * Store and journal of simulated control APIs: rows that outlive every process, behind answers that take
 * time and now and then are lost. A process can thus die between asking, the commit, and hearing of it.
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

  constructor(seed: number | string, options: DurableRowsOptions = {}) {
    this.#options = options;
    this.#random = new RandomStream(seed, 'store');
  }

  /** Called in the order of the commits, each before the next one is made. */
  onCommit(listener: (commit: Committed) => void): void {
    this.#listeners.add(listener);
  }

  /** For one process: calls of a dead one have no effect and no answer. */
  forProcess(host: Host): Store & Journal {
    const { rows } = this;
    const { failureRate = 0 } = this.#options;
    return {
      get: (key) => rows.get(key),
      list: (prefix): Promise<readonly Row[]> => rows.list(prefix),
      commit: async (writes, events = []) => {
        const fails = this.#random.chance(failureRate);
        const backMs = this.#latencyMs();
        await sleep(host, this.#latencyMs());
        if (fails && backMs * 2 < this.#longestMs) throw lost();
        const made = await rows.commit(writes, events);
        if (made) for (const listener of this.#listeners) listener({ writes, events });
        await sleep(host, backMs);
        if (fails) throw lost();
        return made;
      },
      head: (uid) => rows.head(uid),
      read: (uid, after, limit) => rows.read(uid, after, limit),
      subscribe: (uid, onAppended) =>
        rows.subscribe(uid, () => void host.clock.setTimer(0, () => onAppended())),
      forget: (uid) => rows.forget(uid),
    };
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
