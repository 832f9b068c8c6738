/** The events of each cluster in one order, as `Store.commit` put them there. */
import type { ClusterEvent } from '@skep/contract';

/** How many events of one cluster are kept; older ones go, so that no agent can fill the disk. */
export const journalCapacity = 100_000;

export interface JournalHead {
  /** That of the newest event, 0 before the first. */
  readonly sequence: number;
  /** Greatest Lamport time of any event kept, 0 before the first. */
  readonly lamport: number;
}

export interface Journal {
  head(clusterUid: string): Promise<JournalHead>;
  /** At most `limit` events with a sequence greater than `after`, oldest first. Sequences have no gaps. */
  read(clusterUid: string, after: number, limit: number): Promise<readonly ClusterEvent[]>;
  /**
   * Calls `onAppended` after each commit by this process that added events. What another process adds to a shared store
   * is found by reading. Returns what ends that.
   */
  subscribe(clusterUid: string, onAppended: () => void): () => void;
  /** Removes a cluster's events for good. Harmless if there are none. */
  forget(clusterUid: string): Promise<void>;
}
