/** What a merged log says of who lived when: the lines of a space-time diagram. Pure. */
import { controlApiNode, originOf, type StampedEvent } from '@skep/contract';

/** `coming`: decided or launched. `alive`: joined and not known dead. `fenced`: another has its place, it is not proven gone. */
export type Phase = 'coming' | 'alive' | 'fenced';

/** Part of a machine's life. Rows are places in the log; a life that began before it does so at -1. */
export interface Life {
  readonly slot: string;
  readonly generation: number;
  readonly phase: Phase;
  readonly fromRow: number;
  readonly toRow: number;
}

/** The control API and the slots that the events are of: the ring's first, each by number. */
export function lanesOf(events: readonly StampedEvent[]): readonly string[] {
  const slots = new Set(events.flatMap(({ slot }) => slot ?? []));
  const order = (slot: string): [role: string, ordinal: number] => {
    const [, role = slot, ordinal = '0'] = /^(.*)-(\d+)$/.exec(slot) ?? [];
    return [role, Number(ordinal)];
  };
  const sorted = [...slots].sort((one, other) => {
    const [role, ordinal] = order(one);
    const [otherRole, otherOrdinal] = order(other);
    return role < otherRole ? -1 : role > otherRole ? 1 : ordinal - otherOrdinal;
  });
  return [controlApiNode, ...sorted];
}

/** The lives that a log in merged order tells of. */
export function livesOf(events: readonly StampedEvent[]): readonly Life[] {
  const lives = new Lives();
  events.forEach((event, row) => {
    lives.see(event, row);
  });
  return lives.ended(events.length);
}

interface Open {
  readonly slot: string;
  readonly generation: number;
  readonly phase: Phase;
  readonly fromRow: number;
}

class Lives {
  readonly #done: Life[] = [];
  readonly #open = new Map<string, Open>();
  /** Those that are over, or have been looked at: a life begins once. */
  readonly #seen = new Set<string>();

  see(event: StampedEvent, row: number): void {
    const { kind, slot, generation } = event;
    if (slot === undefined || generation === undefined) return;
    if (originOf(event) !== controlApiNode) {
      this.#known(slot, generation);
      return;
    }
    switch (kind) {
      case 'redeployment-accepted':
        this.#known(slot, generation - 1);
        if (this.#phase(slot, generation - 1) !== undefined) this.#enter(slot, generation - 1, 'fenced', row);
        this.#begin(slot, generation, row);
        break;
      case 'node-added':
      case 'node-launched':
      case 'node-launch-failed':
        this.#begin(slot, generation, row);
        break;
      case 'node-joined':
        this.#begin(slot, generation, row);
        if (this.#phase(slot, generation) === 'coming') this.#enter(slot, generation, 'alive', row);
        break;
      case 'node-dead':
      case 'node-removed':
      case 'node-stopped':
      case 'generation-gone':
      case 'spare-assigned':
        this.#known(slot, generation);
        this.#end(slot, generation, row);
        break;
      default:
        this.#known(slot, generation);
    }
  }

  /** All lives, those that are not over up to a last row. */
  ended(lastRow: number): readonly Life[] {
    for (const { slot, generation } of [...this.#open.values()]) this.#end(slot, generation, lastRow);
    return this.#done;
  }

  #phase(slot: string, generation: number): Phase | undefined {
    return this.#open.get(`${slot}@${generation}`)?.phase;
  }

  /** Told of first by what only a machine that has joined can do. */
  #known(slot: string, generation: number): void {
    const key = `${slot}@${generation}`;
    if (generation < 1 || this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#enter(slot, generation, 'alive', -1);
  }

  #begin(slot: string, generation: number, row: number): void {
    const key = `${slot}@${generation}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#enter(slot, generation, 'coming', row);
  }

  #enter(slot: string, generation: number, phase: Phase, row: number): void {
    this.#end(slot, generation, row);
    this.#open.set(`${slot}@${generation}`, { slot, generation, phase, fromRow: row });
  }

  #end(slot: string, generation: number, row: number): void {
    const key = `${slot}@${generation}`;
    const open = this.#open.get(key);
    this.#open.delete(key);
    if (open !== undefined && row > open.fromRow) this.#done.push({ ...open, toRow: row });
  }
}
