/**
 * What machines reported last, and when: in memory only, since it is worth nothing after a restart. Of each
 * slot the newest generation counts.
 */
import { formatMachineId, type Report, type Role } from '@skep/contract';

interface Cluster {
  readonly slots: Map<string, Heard>;
  newestMs: number;
}

interface Heard {
  readonly atMs: number;
  readonly report: Report;
}

export class Liveness {
  readonly #clusters = new Map<string, Cluster>();

  /** `atMs` by the clock of `Clusters.now`. */
  record(clusterUid: string, report: Report, atMs: number): void {
    const known = this.#clusters.get(clusterUid);
    const cluster = known ?? { slots: new Map<string, Heard>(), newestMs: atMs };
    if (known === undefined) this.#clusters.set(clusterUid, cluster);
    cluster.newestMs = Math.max(cluster.newestMs, atMs);
    const { slots } = cluster;
    const { slot, generation } = report.machine;
    if ((slots.get(slot)?.report.machine.generation ?? 0) <= generation) {
      // Events are the journal's, tests have rows of their own; here they would only be kept twice.
      const { selfTest: _, ...rest } = report;
      slots.set(slot, { atMs, report: { ...rest, events: [] } });
    }
  }

  /** The last report of a machine, missing if this process has heard none. */
  of(clusterUid: string, machine: { slot: string; generation: number }): Heard | undefined {
    const heard = this.#clusters.get(clusterUid)?.slots.get(machine.slot);
    return heard?.report.machine.generation === machine.generation ? heard : undefined;
  }

  /** Keys of a role's machines that have reported since. */
  heardSince(clusterUid: string, role: Role, sinceMs: number): ReadonlySet<string> {
    const heard = new Set<string>();
    for (const { atMs, report } of this.#clusters.get(clusterUid)?.slots.values() ?? []) {
      if (atMs < sinceMs || !report.machine.slot.startsWith(`${role}-`)) continue;
      heard.add(formatMachineId(report.machine));
    }
    return heard;
  }

  /** When any machine of the cluster was last heard; 0 if none was. */
  newestMs(clusterUid: string): number {
    return this.#clusters.get(clusterUid)?.newestMs ?? 0;
  }

  forget(clusterUid: string): void {
    this.#clusters.delete(clusterUid);
  }
}
