/**
 * When each slot's machine was held back (paused, or cut off from anyone) and for how long: what an innocent
 * bystander knows of who may rightly be taken for dead. Stretches close to each other count as one, since a
 * node need not get a word in between.
 */

const nearMs = 2_000;

interface Stretch {
  readonly fromMs: number;
  toMs: number;
}

export class Impairments {
  readonly #now: () => number;
  readonly #open = new Map<string, number>();
  readonly #stretches = new Map<string, Stretch[]>();

  constructor(now: () => number) {
    this.#now = now;
  }

  begin(slot: string): void {
    const depth = this.#open.get(slot) ?? 0;
    this.#open.set(slot, depth + 1);
    if (depth > 0) return;
    const now = this.#now();
    const known = this.#stretches.get(slot) ?? [];
    this.#stretches.set(slot, known);
    const last = known.at(-1);
    if (last === undefined || now - last.toMs > nearMs) known.push({ fromMs: now, toMs: now });
  }

  end(slot: string): void {
    const depth = (this.#open.get(slot) ?? 0) - 1;
    this.#open.set(slot, depth);
    if (depth === 0) this.#stretches.get(slot)!.at(-1)!.toMs = this.#now();
  }

  /** The longest stretch that reaches into the last `withinMs`; what began before `sinceMs` counts from there. */
  longestMs(slot: string, withinMs: number, sinceMs: number): number {
    const now = this.#now();
    let longest = 0;
    for (const [index, { fromMs, toMs }] of [...(this.#stretches.get(slot) ?? [])].entries()) {
      const isOpen = (this.#open.get(slot) ?? 0) > 0 && index === this.#stretches.get(slot)!.length - 1;
      const endMs = isOpen ? now : toMs;
      if (endMs >= now - withinMs) longest = Math.max(longest, endMs - Math.max(fromMs, sinceMs));
    }
    return longest;
  }
}
