/**
 * Whether a cluster is whole again after what was done to it. A crashed machine may be shown as serving until
 * somebody notices, so a cluster counts as whole only when later generations stand where machines were ended,
 * every node was heard lately, and all of it has lasted as long as silence would take to be noticed.
 */
import type { ClusterView, Fault, NodeView, ScenarioPlan } from '@skep/contract';
import { lastsMs, leaderSlot, slotsEnded } from './selectors.ts';

/** A report is due every interval; one may be on its way, one may have been lost. */
const reportsMissed = 3;

export class HealingWatch {
  readonly #spec: ScenarioPlan['cluster'];
  /** Slots whose machine was ended, with the least generation that can be its successor. */
  readonly #awaited = new Map<string, number>();
  /** Who came later and has not served yet is not missed. */
  readonly #hasServed = new Set<string>();
  #faults = 0;
  #lastEndMs: number | undefined;
  #wholeSinceMs: number | undefined;

  constructor(spec: ScenarioPlan['cluster']) {
    this.#spec = spec;
  }

  /** A fault is done to the cluster as it was just seen. */
  injected(fault: Fault, nodes: readonly NodeView[], nowMs: number): void {
    this.#faults += 1;
    this.#lastEndMs = Math.max(this.#lastEndMs ?? 0, nowMs + lastsMs(fault));
    this.#wholeSinceMs = undefined;
    for (const slot of slotsEnded(fault)) {
      const node = nodes.find((candidate) => candidate.slot === slot);
      const isReplaced =
        fault.kind === 'restart' || this.#spec.heal.some((role) => slot.startsWith(`${role}-`));
      if (node !== undefined && isReplaced) this.#awaited.set(slot, node.generation + 1);
    }
  }

  observe(view: ClusterView, nowMs: number): void {
    for (const { slot, state } of view.nodes) if (state === 'serving') this.#hasServed.add(slot);
    if (this.lacks(view) !== undefined) this.#wholeSinceMs = undefined;
    else this.#wholeSinceMs ??= nowMs;
  }

  get faults(): number {
    return this.#faults;
  }

  /** When the last fault is over; undefined if there was none. */
  get lastEndMs(): number | undefined {
    return this.#lastEndMs;
  }

  /** From the end of the last fault to a whole cluster; undefined as long as that is not certain. */
  healedAfterMs(nowMs: number): number | undefined {
    if (this.#lastEndMs === undefined || this.#wholeSinceMs === undefined) return undefined;
    const healedAtMs = Math.max(this.#wholeSinceMs, this.#lastEndMs);
    return nowMs - healedAtMs >= this.settleMs ? healedAtMs - this.#lastEndMs : undefined;
  }

  /** How long a whole cluster must stay so. */
  get settleMs(): number {
    return this.#spec.graceMs;
  }

  /** What the cluster lacks, in words; undefined if nothing. */
  lacks(view: ClusterView): string | undefined {
    const silenceMs = Math.max(this.#spec.graceMs, reportsMissed * this.#spec.reportIntervalMs);
    for (const node of view.nodes) {
      const { slot, generation, state } = node;
      const isHealed = this.#spec.heal.includes(node.role) || this.#awaited.has(slot);
      if (!isHealed && (state === 'dead' || state === 'failed')) continue;
      if (!this.#hasServed.has(slot)) continue;
      if (state !== 'serving') return `${slot} is ${state}`;
      if (generation < (this.#awaited.get(slot) ?? 0)) return `${slot} is not replaced`;
      if ((node.heardAgoMs ?? Infinity) > silenceMs) return `${slot} is silent`;
    }
    return leaderSlot(view) === undefined ? 'nobody of the ring leads' : undefined;
  }
}
