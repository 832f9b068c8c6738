/** Chance that can be thrown again by its seed (mulberry32). */

export interface Dice {
  /** A whole number in [0, bound). */
  below(bound: number): number;
  /** `count` different ones. */
  pick<T>(from: readonly T[], count: number): T[];
}

export function seededDice(seed: number): Dice {
  let state = seed >>> 0;
  const below = (bound: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
  return {
    below,
    pick(from, count) {
      const left = [...from];
      return Array.from({ length: count }, () => left.splice(below(left.length), 1)[0]!);
    },
  };
}
