/**
 * What machines reported last, and when: in memory only, since it is worth nothing after a restart. Of each
 * slot the newest generation counts.
 */
import type { Report } from '@skep/contract';

interface Heard {
  readonly atMs: number;
  readonly report: Report;
}

export class Liveness {
  readonly #bySlot = new Map<string, Map<string, Heard>>();

  /** `atMs` by the clock of `Clusters.now`. */
  record(clusterUid: string, report: Report, atMs: number): void {
    const known = this.#bySlot.get(clusterUid);
    const slots = known ?? new Map<string, Heard>();
    if (known === undefined) this.#bySlot.set(clusterUid, slots);
    const { slot, generation } = report.machine;
    if ((slots.get(slot)?.report.machine.generation ?? 0) <= generation) {
      // Events are the journal's; here they would only be kept twice.
      slots.set(slot, { atMs, report: { ...report, events: [] } });
    }
  }

  /** The last report of a machine, missing if this process has heard none. */
  of(clusterUid: string, machine: { slot: string; generation: number }): Heard | undefined {
    const heard = this.#bySlot.get(clusterUid)?.get(machine.slot);
    return heard?.report.machine.generation === machine.generation ? heard : undefined;
  }

  forget(clusterUid: string): void {
    this.#bySlot.delete(clusterUid);
  }
}
