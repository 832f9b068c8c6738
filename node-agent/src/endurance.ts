/**
 * What a shaped machine lives under: its network as it always is, and the faults of now. Each fault ends by the
 * machine's own monotonic clock, for a fault may cut off whoever would call it off.
 */
import { type Conditions, combineConditions, type Endure } from '@skep/contract';
import { type Clock, type Host, ShapedHost, type Timer } from '@skep/p2p-core/host';

/** What is put under conditions: a ShapedHost. */
export interface Endurer {
  setConditions(conditions: Conditions): void;
}

/** The host that a machine speaks to others through, the control API included; a shaped one endures what it is told to. */
export function enduring(host: Host, shaped: boolean): { host: Host; endurance?: Endurance } {
  if (!shaped) return { host };
  const through = new ShapedHost(host);
  return { host: through, endurance: new Endurance({ clock: through.clock, endurer: through }) };
}

interface Fault {
  readonly conditions: Conditions;
  readonly endsAtMs: number;
}

export class Endurance {
  readonly #clock: Clock;
  readonly #endurer: Endurer;
  #base: Conditions = {};
  /** Those that stand in the list, also when over: a list that is late brings none of them back. */
  #faults: ReadonlyMap<string, Fault> = new Map();
  #timer: Timer | undefined;

  constructor(components: { clock: Clock; endurer: Endurer }) {
    this.#clock = components.clock;
    this.#endurer = components.endurer;
  }

  /** Makes it so; without a command nothing is to be endured. A fault known already ends when it would have, or sooner. */
  obey(command: Endure | undefined): void {
    const now = this.#clock.now();
    const faults = new Map<string, Fault>();
    for (const { id, conditions, forMs, ageMs } of command?.faults ?? []) {
      const endsAtMs = Math.min(
        now + forMs - ageMs,
        this.#faults.get(id)?.endsAtMs ?? Number.POSITIVE_INFINITY,
      );
      faults.set(id, { conditions, endsAtMs });
    }
    this.#base = command?.base ?? {};
    this.#faults = faults;
    this.#apply();
  }

  close(): void {
    this.#timer?.cancel();
  }

  #apply(): void {
    this.#timer?.cancel();
    const now = this.#clock.now();
    const active = [...this.#faults.values()].filter(({ endsAtMs }) => endsAtMs > now);
    this.#endurer.setConditions(
      combineConditions([this.#base, ...active.map(({ conditions }) => conditions)]),
    );
    if (active.length === 0) return;
    const nextMs = Math.min(...active.map(({ endsAtMs }) => endsAtMs));
    this.#timer = this.#clock.setTimer(nextMs - now, () => this.#apply());
  }
}
