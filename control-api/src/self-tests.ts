/** Runs of the self-tests: begun when asked for, taken from reports, and ended in time. */
import type { MachineId, SelfTestReport } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host, Timer } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Clusters } from './clusters.ts';
import type { TestRow } from './decisions/rows.ts';
import {
  decideRunTests,
  decideTestReported,
  decideTestsStep,
  isAwaited,
  isTesting,
} from './decisions/self-tests.ts';
import { ProblemError } from './problems.ts';

const tickMs = 250;
const idBytes = 8;

export interface SelfTestsComponents {
  readonly host: Pick<Host, 'clock' | 'random'>;
  readonly clusters: Clusters;
}

export interface SelfTestsOptions {
  readonly onTrouble: (message: string) => void;
}

export class SelfTests {
  readonly #components: SelfTestsComponents;
  readonly #options: SelfTestsOptions;
  readonly #busy = new Set<ClusterRecord>();
  #timer: Timer | undefined;

  constructor(components: SelfTestsComponents, options: SelfTestsOptions) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#components.host.clock.setTimer(tickMs, () => this.#tick());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Begins a run, or answers the one that goes on. Rejects ProblemError as decideRunTests refuses. */
  run(record: ClusterRecord): Promise<TestRow> {
    const id = toHex(this.#components.host.random.bytes(idBytes));
    return this.#components.clusters.transact(record, (state, now) => decideRunTests(state, id, now));
  }

  /** The run of this id. Throws ProblemError `not-found`. */
  get(record: ClusterRecord, id: string): TestRow {
    const row = record.tests.get(id);
    if (row !== undefined) return row;
    const detail = `${record.about.name} has no run ${id} of its tests, or has forgotten it: begin another`;
    throw new ProblemError({ code: 'not-found', detail });
  }

  /** What a machine's report tells of its test. Rejects StoreError. */
  async take(record: ClusterRecord, machine: MachineId, report: SelfTestReport): Promise<void> {
    // It is told again and again for as long as the test is commanded.
    if (!isAwaited(record, machine, report)) return;
    await this.#components.clusters.transact(record, (state) => decideTestReported(state, machine, report));
  }

  #tick(): void {
    const { host, clusters } = this.#components;
    this.#timer = host.clock.setTimer(tickMs, () => this.#tick());
    for (const record of clusters.all()) {
      if (this.#busy.has(record) || !isTesting(record)) continue;
      this.#busy.add(record);
      clusters
        .transact(record, decideTestsStep)
        .catch((error) => {
          if (!(error instanceof ProblemError))
            this.#options.onTrouble(`tests of ${record.about.name} do not end yet: ${String(error)}`);
        })
        .finally(() => this.#busy.delete(record));
    }
  }
}
