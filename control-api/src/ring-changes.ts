/** Removing slots, and the steps by which the ring's size changes: pure decisions, told what machines report. */
import type { Clock, Timer } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Clusters } from './clusters.ts';
import { decideRemoveNode, decideRingStep, isChanging, type RingReports } from './decisions/ring-change.ts';
import type { SlotRow } from './decisions/rows.ts';
import { latenessMs } from './hearing.ts';
import type { Liveness } from './liveness.ts';
import { ProblemError } from './problems.ts';

const tickMs = 250;

export interface RingChangesComponents {
  readonly clock: Clock;
  readonly clusters: Clusters;
  readonly liveness: Liveness;
}

export interface RingChangesOptions {
  /** How long the machine of a slot that is removed is given to finish. */
  readonly drainMs: number;
  readonly onTrouble: (message: string) => void;
}

export class RingChanges {
  readonly #components: RingChangesComponents;
  readonly #options: RingChangesOptions;
  readonly #busy = new Set<ClusterRecord>();
  #timer: Timer | undefined;

  constructor(components: RingChangesComponents, options: RingChangesOptions) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#components.clock.setTimer(tickMs, () => this.#tick());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Rejects ProblemError as decideRemoveNode refuses. */
  remove(record: ClusterRecord, slot: string): Promise<SlotRow> {
    return this.#components.clusters.transact(record, (state, now) =>
      decideRemoveNode(state, slot, this.#reports(record, now), this.#options.drainMs, now),
    );
  }

  #tick(): void {
    this.#timer = this.#components.clock.setTimer(tickMs, () => this.#tick());
    for (const record of this.#components.clusters.all()) {
      if (this.#busy.has(record) || !isChanging(record)) continue;
      this.#busy.add(record);
      this.#step(record)
        .catch((error) => {
          const expected = error instanceof ProblemError;
          if (!expected) this.#options.onTrouble(`a change of the ring waits: ${String(error)}`);
        })
        .finally(() => this.#busy.delete(record));
    }
  }

  #step(record: ClusterRecord): Promise<undefined> {
    return this.#components.clusters.transact(record, (state, now) =>
      decideRingStep(state, this.#reports(record, now), this.#options.drainMs, now),
    );
  }

  /** Who is not heard now is not counted on. */
  #reports(record: ClusterRecord, now: number): RingReports {
    const oldestMs = now - latenessMs(record);
    return (member) => {
      const heard = this.#components.liveness.of(record.uid, member);
      return heard === undefined || heard.atMs < oldestMs ? undefined : heard.report.ring;
    };
  }
}
