/**
 * Faults as they are asked for, and the timers that end them, or go on with those that strike many machines. A timer
 * that is lost with the process is set again by the next one; a machine under conditions ends them by its own clock
 * besides.
 */
import type { Fault } from '@skep/contract';
import { addressFamily, type Host, type Timer } from '@skep/p2p-core/host';
import type { ClusterRecord } from './cluster-record.ts';
import type { Clusters } from './clusters.ts';
import type { Surroundings } from './decisions/conditions.ts';
import type { ClusterState } from './decisions/decision.ts';
import { decideCancelFault, decideFaultsDue, decideInjectFault, nextFaultDueMs } from './decisions/faults.ts';
import type { FaultRow } from './decisions/rows.ts';
import type { Healing } from './healing.ts';
import type { Launcher } from './ports/launcher.ts';

/** How soon what the store did not take is tried again. */
const retryMs = 500;
/** How soon the control API's own name is looked up again: it may have become known only as this process started. */
const lookUpAgainMs = 5_000;

export interface FaultsComponents {
  readonly host: Host;
  readonly clusters: Clusters;
  readonly launcher: Launcher;
  readonly healing: Healing;
}

export interface FaultsOptions {
  /** Where agents reach the control API. */
  readonly baseUrl: () => string;
  readonly onTrouble: (message: string) => void;
}

export class Faults {
  readonly #components: FaultsComponents;
  readonly #options: FaultsOptions;
  readonly #timers = new Map<ClusterRecord, { readonly dueMs: number; readonly timer: Timer }>();
  #ownHosts: readonly string[] = [];
  #lookUpTimer: Timer | undefined;
  #stopped = false;
  #surroundings: Surroundings;
  #unsubscribe: () => void = () => undefined;

  constructor(components: FaultsComponents, options: FaultsOptions) {
    this.#components = components;
    this.#options = options;
    this.#surroundings = {
      controlApiHosts: [],
      modelsNetwork: components.launcher.modelsNetwork ?? false,
    };
  }

  /** What standing commands are derived with. The same object for as long as nothing of it changes. */
  get surroundings(): Surroundings {
    const controlApiHosts = [...this.#ownHosts, ...(this.#components.launcher.apiHosts?.() ?? [])];
    const known = this.#surroundings.controlApiHosts;
    const isSame =
      known.length === controlApiHosts.length && known.every((host, at) => host === controlApiHosts[at]);
    if (!isSame) this.#surroundings = { ...this.#surroundings, controlApiHosts };
    return this.#surroundings;
  }

  async start(): Promise<void> {
    const { clusters } = this.#components;
    await this.#lookUpOwnHosts();
    this.#unsubscribe = clusters.onChange((record) => this.#schedule(record));
    for (const record of clusters.all()) this.#schedule(record);
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#lookUpTimer?.cancel();
    for (const { timer } of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  /** Rejects ProblemError as decideInjectFault refuses. */
  inject(record: ClusterRecord, fault: Fault): Promise<FaultRow> {
    const { clusters, healing, launcher } = this.#components;
    const canPause = launcher.pause !== undefined && launcher.resume !== undefined;
    const knowsControlApi = this.surroundings.controlApiHosts.length > 0;
    return clusters.transact(record, (state, now) => {
      const reportedTerm = healing.reportedTerm(record);
      return decideInjectFault(state, { fault, canPause, knowsControlApi, reportedTerm }, now);
    });
  }

  /** Rejects ProblemError `not-found`. */
  cancel(record: ClusterRecord, id: string): Promise<FaultRow> {
    return this.#components.clusters.transact(record, (state, now) => decideCancelFault(state, id, now));
  }

  #schedule(record: ClusterRecord): void {
    const dueMs = record.ended ? undefined : nextFaultDueMs(record);
    const known = this.#timers.get(record);
    if (known?.dueMs === dueMs) return;
    known?.timer.cancel();
    this.#timers.delete(record);
    if (dueMs !== undefined) this.#setTimer(record, dueMs, dueMs - this.#components.clusters.now());
  }

  #setTimer(record: ClusterRecord, dueMs: number, delayMs: number): void {
    const { host, clusters, healing } = this.#components;
    const timer = host.clock.setTimer(Math.max(0, delayMs), () => {
      this.#timers.delete(record);
      const decide = (state: ClusterState, now: number) =>
        decideFaultsDue(state, healing.reportedTerm(record), now);
      clusters.transact(record, decide).then(
        () => this.#schedule(record),
        (error) => {
          if (record.ended) return;
          this.#options.onTrouble(
            `a fault of ${record.about.name} could not be done or ended yet: ${String(error)}`,
          );
          this.#setTimer(record, dueMs, retryMs);
        },
      );
    });
    this.#timers.set(record, { dueMs, timer });
  }

  /** Until it is known by which addresses machines know the control API. */
  async #lookUpOwnHosts(isFirst = true): Promise<void> {
    const { host } = this.#components;
    const { hostname } = new URL(this.#options.baseUrl());
    const name = hostname.replace(/^\[(.*)\]$/, '$1');
    if (addressFamily(name) !== undefined) {
      this.#ownHosts = [name];
      return;
    }
    try {
      this.#ownHosts = await host.net.resolve(name);
    } catch (error) {
      if (isFirst) {
        const message = `faults cannot name the control API until its address is known: ${String(error)}`;
        this.#options.onTrouble(message);
      }
      if (this.#stopped) return;
      this.#lookUpTimer = host.clock.setTimer(lookUpAgainMs, () => void this.#lookUpOwnHosts(false));
    }
  }
}
