/** Choices drawn from a Host's Random, so that a simulated run replays them exactly. Not for secrets. */
import type { Random } from './host.ts';

/** A uniform integer in [0, boundExclusive); the bound is a positive integer up to 2^53. */
export function randomInt(random: Random, boundExclusive: number): number {
  if (!Number.isSafeInteger(boundExclusive) || boundExclusive < 1)
    throw new RangeError(`randomInt needs a positive integer bound, not ${boundExclusive}`);
  return Math.floor(random.float() * boundExclusive);
}

/** Shuffles `array` in place (Fisher-Yates), every order equally likely, and returns it. */
export function shuffle<T>(random: Random, array: T[]): T[] {
  for (let last = array.length - 1; last > 0; last--) {
    const other = randomInt(random, last + 1);
    const value = array[last]!;
    array[last] = array[other]!;
    array[other] = value;
  }
  return array;
}
