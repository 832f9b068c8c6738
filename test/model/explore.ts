/**
 * Explores a world of the model breadth-first, every state once, until there are no more. The first thing found
 * wrong is told with the shortest way to it. That it heals is asked at the end, of all states: each must lead to
 * one in which all is well, by steps with which nothing goes wrong.
 */

import { currentMachine } from '../../control-api/src/decisions/decision.ts';
import { isHeld } from '../../control-api/src/decisions/lease.ts';
import { refOf } from '../../control-api/src/decisions/spares.ts';
import { type Finding, findingIn, findingOver } from './invariants.ts';
import type { Rules } from './rules.ts';
import { bodyKey, canonical, isLiving, type ModelState, now } from './state.ts';
import { type Bounds, Steps } from './steps.ts';

export interface World {
  readonly start: ModelState;
  readonly bounds: Bounds;
}

export interface Explored {
  readonly states: number;
  readonly steps: number;
  /** Of the shortest way to the farthest state. */
  readonly depth: number;
  readonly found?: Finding & { readonly way: readonly string[] };
  /** Whether there was no state that was not looked at. */
  readonly complete: boolean;
}

const heals = 'it heals if nothing more goes wrong';

export function explore(world: World, rules: Rules, mostStates = Number.POSITIVE_INFINITY): Explored {
  return new Exploration(world, rules).run(mostStates);
}

class Exploration {
  readonly #rules: Rules;
  readonly #world: World;
  readonly #steps: Steps;
  readonly #ids = new Map<string, number>();
  /** By id: the state that it was first reached from, and by which of its steps. */
  readonly #parents: number[] = [];
  readonly #by: number[] = [];
  readonly #depths: number[] = [];
  readonly #isWell: boolean[] = [];
  /** Benign steps: pairs of ids. */
  readonly #benign: number[] = [];
  #frontier: (readonly [id: number, state: ModelState])[] = [];
  #count = 0;

  constructor(world: World, rules: Rules) {
    this.#world = world;
    this.#rules = rules;
    this.#steps = new Steps(rules, world.bounds);
  }

  run(mostStates: number): Explored {
    this.#frontier = [[this.#idOf(this.#world.start, -1, -1).id, this.#world.start]];
    while (this.#frontier.length > 0 && this.#ids.size < mostStates) {
      const layer = this.#frontier;
      this.#frontier = [];
      for (const [id, state] of layer) {
        const found = this.#follow(id, state);
        if (found !== undefined) return this.#told(found);
      }
    }
    const stuck = this.#frontier.length > 0 ? undefined : this.#stuck();
    return stuck === undefined
      ? this.#told()
      : this.#told({ invariant: heals, detail: 'no way leads on', way: this.#wayTo(stuck) });
  }

  #follow(id: number, state: ModelState): Explored['found'] {
    const steps = this.#steps.from(state);
    this.#count += steps.length;
    for (const [index, step] of steps.entries()) {
      const wrong = findingOver(step.before ?? state, step);
      if (wrong !== undefined) return { ...wrong, way: [...this.#wayTo(id), step.label] };
      if (step.after === state) continue;
      const { id: to, isNew } = this.#idOf(step.after, id, index);
      if (step.benign) this.#benign.push(id, to);
      if (!isNew) continue;
      const finding = findingIn(step.after, this.#rules.decisions.isEnded(step.after));
      if (finding !== undefined) return { ...finding, way: this.#wayTo(to) };
      this.#frontier.push([to, step.after]);
    }
    return undefined;
  }

  #idOf(state: ModelState, parent: number, by: number): { readonly id: number; readonly isNew: boolean } {
    const key = canonical(state);
    const known = this.#ids.get(key);
    if (known !== undefined) return { id: known, isNew: false };
    const id = this.#ids.size;
    this.#ids.set(key, id);
    this.#parents.push(parent);
    this.#by.push(by);
    this.#depths.push(parent < 0 ? 0 : this.#depths[parent]! + 1);
    this.#isWell.push(this.#allIsWell(state));
    return { id, isNew: true };
  }

  /** Nothing is left to be done, or nobody may do it within the bounds. */
  #allIsWell(state: ModelState): boolean {
    if (state.about.state === 'deleting') return this.#rules.decisions.isEnded(state);
    if (this.#outOfTerms(state) || this.#outOfAttempts(state)) return true;
    if (state.effects.size > 0 || state.ring.members.some(({ voter }) => !voter)) return false;
    for (const slot of state.slots.values()) {
      if (slot.leaving) return false;
      const machine = currentMachine(state, slot);
      const lives = isLiving(state.bodies.get(bodyKey(refOf(state, machine))));
      if (slot.held ? lives : machine.state !== 'serving' || !lives) return false;
    }
    return true;
  }

  /** A spare that is to be another's machine has ended, and what would be launched in its place is beyond the bounds. */
  #outOfAttempts(state: ModelState): boolean {
    return [...state.slots.values()].some((slot) => {
      const machine = currentMachine(state, slot);
      if (machine.livesIn === undefined || machine.tokenSha256 !== undefined) return false;
      const lives = isLiving(state.bodies.get(bodyKey(refOf(state, machine))));
      return machine.attempt >= this.#world.bounds.attempts && !lives;
    });
  }

  /** Whoever could heal would need a term beyond the bounds. */
  #outOfTerms(state: ModelState): boolean {
    const { lease, slots, bodies, machines } = state;
    const { terms } = this.#world.bounds;
    if (terms === 0 || lease.term < terms) return false;
    if (!isHeld(lease, now)) return true;
    const machine = machines.get(lease.holder);
    if (machine === undefined) return false;
    return (
      slots.get(machine.slot)?.generation !== machine.generation ||
      bodies.get(bodyKey(refOf(state, machine)))?.life !== 'alive'
    );
  }

  /** A state from which no benign steps lead to one in which all is well. */
  #stuck(): number | undefined {
    const before: number[][] = this.#parents.map(() => []);
    for (let at = 0; at < this.#benign.length; at += 2) {
      before[this.#benign[at + 1]!]!.push(this.#benign[at]!);
    }
    const leads = [...this.#isWell];
    const open = leads.flatMap((isWell, id) => (isWell ? [id] : []));
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const from of before[id]!) {
        if (leads[from]) continue;
        leads[from] = true;
        open.push(from);
      }
    }
    const stuck = leads.indexOf(false);
    return stuck < 0 ? undefined : stuck;
  }

  /** The labels of the steps from the start, found by taking them again. */
  #wayTo(id: number): string[] {
    const ids: number[] = [];
    for (let at = id; this.#parents[at]! >= 0; at = this.#parents[at]!) ids.unshift(at);
    let state = this.#world.start;
    return ids.map((at) => {
      const step = this.#steps.from(state)[this.#by[at]!]!;
      state = step.after;
      return step.label;
    });
  }

  #told(found?: Explored['found']): Explored {
    return {
      states: this.#ids.size,
      steps: this.#count,
      depth: this.#depths.reduce((most, depth) => Math.max(most, depth), 0),
      complete: found === undefined && this.#frontier.length === 0,
      ...(found === undefined ? {} : { found }),
    };
  }
}
