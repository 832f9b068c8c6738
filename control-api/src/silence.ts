/**
 * Which machines have fallen silent that no ring probes. Their reports are to the control API what answers to
 * probes are to the ring: one that misses them for the grace is told to the leader, which has it replaced.
 *
 * Spares are told to nobody, for they are made up for without being asked to.
 *
 * Nobody else is asked, as a ring would. So where most are silent at once it is taken for a trouble of the network,
 * or of the host that they share, and waited until they must have ended themselves.
 */
import type { MachineId } from '@skep/contract';
import type { ClusterRecord } from './cluster-record.ts';
import type { Silent } from './decisions/commands.ts';
import { latenessMs } from './hearing.ts';
import type { Liveness } from './liveness.ts';

const none: readonly Silent[] = [];
/** Fewer may all be silent by chance. */
const fewestForMost = 4;
/**
 * An agent whose answer got lost waits 5 s longer than it was to be held, and up to one more before it asks again:
 * however short the grace, it could not be heard before.
 */
const longestUnheardMs = 6_000;

export class Silence {
  readonly #liveness: Liveness;
  readonly #silent = new WeakMap<ClusterRecord, readonly Silent[]>();
  readonly #spares = new WeakMap<ClusterRecord, readonly MachineId[]>();

  constructor(liveness: Liveness) {
    this.#liveness = liveness;
  }

  /** As of the last look. The same array as long as the same machines are silent. */
  of(record: ClusterRecord): readonly Silent[] {
    return this.#silent.get(record) ?? none;
  }

  /** Spares that are silent for as long, as of the last look. */
  sparesOf(record: ClusterRecord): readonly MachineId[] {
    return this.#spares.get(record) ?? none;
  }

  /** Looks again. Silence is counted from `silenceSinceMs` at most. True if others are silent now. */
  look(record: ClusterRecord, silenceSinceMs: number, now: number): boolean {
    const { graceMs, heal, orphanMs } = record.about.spec;
    const patienceMs = Math.max(graceMs, longestUnheardMs) + latenessMs(record);
    let silent: Silent[] = [];
    const spares: MachineId[] = [];
    let candidates = 0;
    // By machines and not by slots: there may be ten thousand, and this is looked at four times a second.
    for (const machine of record.machines.values()) {
      if (machine.state !== 'joined' && machine.state !== 'serving') continue;
      const slot = record.slots.get(machine.slot);
      if (slot?.generation !== machine.generation || slot.leaving) continue;
      const isSpare = slot.role === 'spare';
      if (!isSpare && (slot.role === 'bootstrap' || !heal.includes(slot.role))) continue;
      if (!isSpare) candidates += 1;
      const heardAtMs = this.#liveness.of(record.uid, machine)?.atMs ?? machine.sinceMs;
      const sinceMs = Math.max(heardAtMs, silenceSinceMs);
      if (now - sinceMs <= patienceMs) continue;
      if (isSpare) spares.push({ slot: slot.slot, generation: slot.generation });
      else silent.push({ slot: slot.slot, generation: slot.generation, sinceMs });
    }
    this.#spares.set(record, spares);
    if (candidates >= fewestForMost && silent.length * 2 > candidates) {
      silent = silent.filter(({ sinceMs }) => now - sinceMs > Math.max(orphanMs, patienceMs));
    }
    const before = this.of(record);
    const same =
      silent.length === before.length &&
      silent.every(({ slot, generation, sinceMs }, index) => {
        const known = before[index]!;
        return known.slot === slot && known.generation === generation && known.sinceMs === sinceMs;
      });
    if (same) return false;
    this.#silent.set(record, silent);
    return true;
  }
}
