/**
 * What the store holds of the cluster of a simulated world, followed commit by commit from outside. A cluster that was
 * deleted may have a successor of the same name, with another uid: then that one is meant, wherever no other is named.
 */
import type { MachineId, RingConfiguration } from '@skep/contract';
import type {
  EffectRow,
  LeaseRow,
  MachineRef,
  MachineRow,
  NewEvent,
  RedeploymentRow,
  SlotRow,
} from '@skep/control-api';
import type { Committed } from './store.ts';

interface Tables {
  readonly lease: LeaseRow;
  readonly ring: RingConfiguration;
  readonly slots: SlotRow;
  readonly machines: MachineRow;
  readonly effects: EffectRow;
  readonly redeployments: RedeploymentRow;
}

/** One row's change in a commit, of the cluster of that uid; `before` missing if it is new, `after` if it went. */
export type RowChange = {
  readonly [T in keyof Tables]: {
    readonly uid: string;
    readonly table: T;
    readonly before: Tables[T] | undefined;
    readonly after: Tables[T] | undefined;
  };
}[keyof Tables];

type Rows = { readonly [T in keyof Tables]: Map<string, Tables[T]> };

export class Ledger {
  readonly #clusters = new Map<string, Rows>();
  #rows = noRows();
  #uid: string | undefined;
  readonly events: NewEvent[] = [];
  /** When the lease was last given or renewed, in virtual ms. */
  leaseGivenAtMs = Number.NEGATIVE_INFINITY;

  /** Of the cluster that is there now, or was last; undefined before the first. */
  get uid(): string | undefined {
    return this.#uid;
  }

  get lease(): LeaseRow | undefined {
    return this.#rows.lease.values().next().value;
  }

  get ring(): RingConfiguration | undefined {
    return this.#rows.ring.values().next().value;
  }

  /** By slot name. */
  get slots(): ReadonlyMap<string, SlotRow> {
    return this.#rows.slots;
  }

  redeployment(slot: string, toGeneration: number): RedeploymentRow | undefined {
    return this.#rows.redeployments.get(`${slot}@${toGeneration}`);
  }

  get effectCount(): number {
    return this.#rows.effects.size;
  }

  machine(slot: string, generation: number): MachineRow | undefined {
    return this.#rows.machines.get(`${slot}@${generation}`);
  }

  /** The machine that is in a slot now, as the rows say. */
  current(slot: SlotRow): MachineRow | undefined {
    return this.machine(slot.slot, slot.generation);
  }

  /** The machines that a spare was assigned to be: one, if all is well, or none. */
  takersOf({ slot, generation }: MachineId): readonly MachineRow[] {
    return [...this.#rows.machines.values()].filter(
      ({ livesIn }) => livesIn?.slot === slot && livesIn.generation === generation,
    );
  }

  /** Whether some row or pending effect of its cluster knows of a machine. */
  knows({ clusterUid, slot, generation, attempt }: MachineRef): boolean {
    const { machines, effects } = this.#clusters.get(clusterUid) ?? noRows();
    const row = machines.get(`${slot}@${generation}`);
    if (row?.attempt === attempt && !row.gone) return true;
    for (const effect of effects.values()) {
      if (effect.slot === slot && effect.generation === generation && effect.attempt === attempt) return true;
    }
    return false;
  }

  /** `nowMs`: virtual time of the commit. */
  apply({ writes, events }: Committed, nowMs: number): readonly RowChange[] {
    this.events.push(...events);
    const changes: RowChange[] = [];
    for (const { key, put, remove } of writes) {
      const [, uid = '', table, ...rest] = key.split('/');
      if (table === undefined || !Object.hasOwn(this.#rows, table)) continue;
      if (put === undefined && remove === undefined) continue;
      const rows = this.#rowsOf(uid)[table as keyof Tables] as Map<string, unknown>;
      const id = rest.join('/');
      const before = rows.get(id);
      if (put === undefined) rows.delete(id);
      else rows.set(id, put);
      if (table === 'lease') this.leaseGivenAtMs = nowMs;
      changes.push({ uid, table, before, after: put } as unknown as RowChange);
    }
    return changes;
  }

  #rowsOf(uid: string): Rows {
    let rows = this.#clusters.get(uid);
    if (rows === undefined) {
      rows = noRows();
      this.#clusters.set(uid, rows);
      this.#rows = rows;
      this.#uid = uid;
    }
    return rows;
  }
}

function noRows(): Rows {
  return {
    lease: new Map(),
    ring: new Map(),
    slots: new Map(),
    machines: new Map(),
    effects: new Map(),
    redeployments: new Map(),
  };
}
