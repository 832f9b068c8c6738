/**
 * What crash, pause and restart do to machines, and the end of a pause: as many machines at a time as a commit has room
 * for. Whom that leaves out is in the fault's row, and struck by the next decisions.
 */
import {
  type Change,
  type ClusterState,
  currentMachine,
  type DecidedEvent,
  mostChanges,
  put,
  remove,
} from './decision.ts';
import { faultPrefix, replace } from './redeployment.ts';
import {
  type Attempt,
  type EffectRow,
  effectKey,
  type FaultRow,
  type MachineRow,
  machineKey,
} from './rows.ts';

/** Changes and events of one commit as they gather; the same row is changed once, the last time counts. */
export class Strikes {
  readonly #state: ClusterState;
  readonly #reportedTerm: number;
  readonly #now: number;
  readonly #changes = new Map<string, Change>();
  readonly events: DecidedEvent[] = [];

  /** `reportedTerm`: as for a redeployment. */
  constructor(state: ClusterState, reportedTerm: number, now: number) {
    this.#state = state;
    this.#reportedTerm = reportedTerm;
    this.#now = now;
  }

  get changes(): readonly Change[] {
    return [...this.#changes.values()];
  }

  /** All faults, as changed so far. */
  get faults(): readonly FaultRow[] {
    return [...this.#state.faults.values()].map((row) => {
      const change = this.#changes.get(nameOf(put.fault(row)));
      return change?.table === 'faults' && change.value !== undefined ? change.value : row;
    });
  }

  get isFull(): boolean {
    return this.#changes.size >= mostChanges;
  }

  add(changes: readonly Change[]): void {
    for (const change of changes) this.#changes.set(nameOf(change), change);
  }

  /** Strikes whom `row.left` names while there is room, and puts the row with those that are left then. */
  strike(row: FaultRow): void {
    this.add([put.fault(row)]);
    let struck = 0;
    for (const machine of row.left ?? []) {
      const { changes, events } = this.#blow(row, machine);
      const fresh = changes.filter((change) => !this.#changes.has(nameOf(change))).length;
      if (this.#changes.size + fresh > mostChanges) break;
      this.add(changes);
      this.events.push(...events);
      struck += 1;
    }
    const { left: _, ...done } = row;
    const left = row.left?.slice(struck) ?? [];
    this.add([put.fault(left.length === 0 ? done : { ...done, left })]);
  }

  #blow(row: FaultRow, machine: Attempt): { changes: readonly Change[]; events: readonly DecidedEvent[] } {
    const { fault } = row;
    const ends = row.state !== 'active';
    if (fault.kind === 'pause') {
      if (ends ? !isPresent(this.#state, machine) : !canBeStruck(this.#state, machine)) return nothing;
      const [kind, instead] = ends ? (['resume', 'pause'] as const) : (['pause', 'resume'] as const);
      const changes = [this.#effect(kind, machine), ...withdrawn(this.#state, instead, machine)];
      return { changes, events: [] };
    }
    const kills = canBeStruck(this.#state, machine);
    if (fault.kind === 'crash') {
      const power = fault.power === true ? { power: true as const } : {};
      return kills ? { changes: [this.#effect('kill', machine, power)], events: [] } : nothing;
    }
    const slot = this.#state.slots.get(machine.slot);
    if (fault.kind !== 'restart' || slot?.generation !== machine.generation || slot.leaving) return nothing;
    const ask = {
      term: this.#state.lease.term,
      reason: 'restarted',
      cause: 'fault' as const,
      by: `${faultPrefix}${row.id}`,
      heard: false,
      drainMs: 0,
      reportedTerm: this.#reportedTerm,
      ...(fault.disk === 'lose' ? { emptyDisk: true as const } : {}),
    };
    const current = currentMachine(this.#state, slot);
    const { changes, events } = replace(this.#state, slot, current, ask, this.#now, this.#ring);
    return { changes: [...(kills ? [this.#effect('kill', machine)] : []), ...changes], events };
  }

  /** As those replaced by the same commit have changed it. */
  get #ring() {
    const change = this.#changes.get(nameOf(put.ring(this.#state.ring)));
    return change?.table === 'ring' && change.value !== undefined ? change.value : this.#state.ring;
  }

  #effect(kind: EffectRow['kind'], machine: Attempt, more: Partial<EffectRow> = {}): Change {
    return put.effect({ kind, ...attemptOf(machine), notBeforeMs: this.#now, ...more });
  }
}

const nothing = { changes: [], events: [] };

/** The machines of slots that there is something to do to. */
export function strikable(state: ClusterState, slots: readonly string[]): readonly MachineRow[] {
  return slots
    .map((slot) => currentMachine(state, state.slots.get(slot)!))
    .filter((machine) => canBeStruck(state, machine));
}

/** Whether it is the present machine of its slot, was launched, and is not known dead. */
function canBeStruck(state: ClusterState, { slot, generation, attempt }: Attempt): boolean {
  if (state.slots.get(slot)?.generation !== generation) return false;
  const machine = state.machines.get(machineKey(slot, generation));
  if (machine === undefined || machine.attempt !== attempt) return false;
  const { name, tokenSha256, state: at, gone } = machine;
  return (name !== undefined || tokenSha256 !== undefined) && at !== 'dead' && !gone;
}

/** Not yet proven gone: also one that is fenced and waits to be stopped, which must not stand still for ever. */
export function isPresent(state: ClusterState, { slot, generation }: Attempt): boolean {
  return state.machines.get(machineKey(slot, generation))?.gone === false;
}

/** An effect that was not carried out yet and now must not be. */
function withdrawn(state: ClusterState, kind: EffectRow['kind'], machine: Attempt): Change[] {
  const key = effectKey({ kind, ...attemptOf(machine) });
  return state.effects.has(key) ? [remove('effects', key)] : [];
}

export function attemptOf({ slot, generation, attempt }: Attempt): Attempt {
  return { slot, generation, attempt };
}

function nameOf({ table, id }: Change): string {
  return `${table}/${id}`;
}
