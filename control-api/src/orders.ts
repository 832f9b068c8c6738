/**
 * Carries out the orders that functions outside the network leave in the store. Each is done by the API's own handlers,
 * as if it had been asked for over HTTP, and in a way that may be repeated: an order that a control API died over is
 * taken up again by the next one, or by another that runs beside it.
 */
import { type ApiClient, ApiError, ClusterSpec, Order, type SelfTestResult, tableKeys } from '@skep/contract';
import { type Clock, sleep, type Timer } from '@skep/p2p-core/host';
import { commitLimits, type Json, type Row, type Store } from './ports/store.ts';

export interface OrdersComponents {
  readonly clock: Clock;
  readonly store: Store;
  /** Of this control API, as an admin. */
  readonly client: ApiClient;
}

export interface OrdersOptions {
  readonly onTrouble: (message: string) => void;
}

const pollMs = 2_000;
const testsPollMs = 500;
/** Longer than whoever asks waits for an answer. */
const patienceMs = 1_800_000;
/** Of the results in an order's row; the rest is for what else it says. */
const mostResultCharacters = commitLimits.valueBytes / 4;

type Outcome = Pick<Order, 'state' | 'clusterUid' | 'results' | 'message'>;

export class Orders {
  readonly #components: OrdersComponents;
  readonly #options: OrdersOptions;
  /** Keys of those under way. */
  readonly #working = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;

  constructor(components: OrdersComponents, options: OrdersOptions) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    void this.#poll();
  }

  /** Begins nothing more. What is under way is left to whoever comes next. */
  stop(): void {
    this.#stopping.abort();
    this.#timer?.cancel();
  }

  async #poll(): Promise<void> {
    const { clock, store } = this.#components;
    try {
      for (const row of await store.list(tableKeys.orders)) this.#take(row);
    } catch (error) {
      this.#options.onTrouble(`orders cannot be read: ${String(error)}`);
    }
    if (!this.#stopping.signal.aborted) this.#timer = clock.setTimer(pollMs, () => void this.#poll());
  }

  #take(row: Row): void {
    const { key } = row;
    if (this.#working.has(key) || this.#stopping.signal.aborted) return;
    const done = this.#carryOut(row)
      .catch((error) => {
        if (!this.#stopping.signal.aborted)
          this.#options.onTrouble(`${key} is tried again: ${String(error)}`);
      })
      .finally(() => this.#working.delete(key));
    this.#working.set(key, done);
  }

  /** Rejects what may go better the next time. */
  async #carryOut({ key, version, value }: Row): Promise<void> {
    const { clock, store } = this.#components;
    const order = Order.safeParse(value).data;
    const isStale = order === undefined || clock.wallTime() - order.askedAtMs > patienceMs;
    if (order?.state === 'done' || order?.state === 'failed' || isStale) {
      if (!isStale) return;
      this.#options.onTrouble(`${key} is dropped: it is no order, or nobody waits for it any more`);
      await store.commit([{ key, expectedVersion: version, remove: true }]);
      return;
    }
    let expectedVersion = version;
    if (order.state === 'asked') {
      const working = { ...order, state: 'working' as const };
      if (!(await store.commit([{ key, expectedVersion, put: working as unknown as Json }]))) return;
      expectedVersion += 1;
    }
    const outcome = await this.#outcomeOf(order.ask);
    // If it is not there as it was, somebody else has done it, or nobody waits for it.
    await store.commit([{ key, expectedVersion, put: { ...order, ...outcome } as unknown as Json }]);
  }

  async #outcomeOf(ask: Order['ask']): Promise<Outcome> {
    try {
      return await (ask.kind === 'create-cluster' ? this.#create(ask.spec) : this.#test(ask.cluster));
    } catch (error) {
      if (!(error instanceof ApiError) || error.problem?.code === 'store-unavailable') throw error;
      return { state: 'failed', message: error.message };
    }
  }

  async #create(spec: ClusterSpec): Promise<Outcome> {
    const { client } = this.#components;
    try {
      const { uid } = await client.createCluster({ body: spec });
      return { state: 'done', clusterUid: uid };
    } catch (error) {
      if (!(error instanceof ApiError) || error.problem?.code !== 'cluster-exists') throw error;
      const known = await client.getCluster({ params: { cluster: spec.name } });
      if (known.state === 'active' && areSame(known.spec, spec)) {
        return { state: 'done', clusterUid: known.uid };
      }
      throw error;
    }
  }

  async #test(cluster: string): Promise<Outcome> {
    const { client, clock } = this.#components;
    const begun = await client.runTests({ params: { cluster } });
    for (;;) {
      const run = await client.getTests({ params: { cluster, test: begun.id } });
      if (run.state === 'done') return { state: 'done', ...fitting(run.results) };
      await sleep(clock, testsPollMs, this.#stopping.signal);
    }
  }
}

/** Whether a cluster that was made by one would be as if made by the other. */
function areSame(one: ClusterSpec, other: ClusterSpec): boolean {
  return JSON.stringify(ClusterSpec.parse(one)) === JSON.stringify(ClusterSpec.parse(other));
}

/** What a row has room for: failures first, so that what is left out had passed. */
function fitting(results: readonly SelfTestResult[]): Pick<Order, 'results' | 'message'> {
  const failuresFirst = [
    ...results.filter(({ outcome }) => outcome !== 'passed'),
    ...results.filter(({ outcome }) => outcome === 'passed'),
  ];
  let characters = 0;
  const kept = failuresFirst.filter((result) => {
    characters += JSON.stringify(result).length;
    return characters <= mostResultCharacters;
  });
  const left = results.length - kept.length;
  return {
    results: left === 0 ? [...results] : kept,
    ...(left === 0
      ? {}
      : { message: `${left} of ${results.length} results are left out: ask the control API` }),
  };
}
