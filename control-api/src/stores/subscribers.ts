/** Who wants to know of new events, by cluster; shared by the journals. */
import type { NewEvent } from '../ports/store.ts';

export class Subscribers {
  readonly #byCluster = new Map<string, Set<{ readonly call: () => void }>>();

  /** Returns what ends the subscription. */
  add(clusterUid: string, call: () => void): () => void {
    const subscriber = { call };
    const known = this.#byCluster.get(clusterUid);
    const subscribers = known ?? new Set();
    if (known === undefined) this.#byCluster.set(clusterUid, subscribers);
    subscribers.add(subscriber);
    return () => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#byCluster.get(clusterUid) === subscribers) {
        this.#byCluster.delete(clusterUid);
      }
    };
  }

  /** Calls the subscribers of every cluster that has an event among these. */
  tell(events: readonly NewEvent[]): void {
    for (const uid of new Set(events.map((event) => event.clusterUid))) {
      for (const { call } of [...(this.#byCluster.get(uid) ?? [])]) call();
    }
  }
}
