/**
 * Safety of ring, control API and launcher together, by seed: crashes, pauses, partitions, lost answers; and
 * that the invariants would notice if a check were missing. A failing seed is replayed by the command it prints.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Planted, runSafety, type SafetyResult } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const seeds = 200;
const seedsPerTest = 25;
/** Generous: a seed takes some 300 ms of one core, which others may want too. */
const limitMs = 300_000;
/** What longer searches (`npm run soak -- safety`) once found. */
const found = JSON.parse(readFileSync(join(import.meta.dirname, 'found-seeds.json'), 'utf8')) as number[];

/** A sentence for each violation, with the command that shows how it came about; empty if all is well. */
async function violationsOf(searched: readonly number[]): Promise<string[]> {
  const sentences: string[] = [];
  for (const seed of searched) {
    const { violations } = await runSafety(seed);
    for (const { invariant, atMs, detail } of violations) {
      sentences.push(
        `${invariant}, at ${Math.round(atMs)} ms: ${detail}; npm run soak -- safety --seed ${seed}`,
      );
    }
  }
  return sentences;
}

describe('safety', () => {
  for (let first = 1; first <= seeds; first += seedsPerTest) {
    const searched = Array.from({ length: seedsPerTest }, (_, index) => first + index);
    it(
      `holds for seeds ${first} to ${first + seedsPerTest - 1}`,
      async () => {
        expect(await violationsOf(searched)).toEqual([]);
      },
      limitMs,
    );
  }

  it.runIf(found.length > 0)(
    'holds for the seeds that once found something',
    async () => {
      expect(await violationsOf(found)).toEqual([]);
    },
    limitMs,
  );

  it(
    'is judged over runs in which things happen: machines die, are replaced, and are launched in vain',
    async () => {
      const results: SafetyResult[] = [];
      for (let seed = 1; seed <= 10; seed++) results.push(await runSafety(seed));
      const sum = (count: (result: SafetyResult) => number) =>
        results.reduce((total, result) => total + count(result), 0);
      expect(sum(({ redeployments }) => redeployments)).toBeGreaterThan(10);
      expect(results.filter(({ redeployments }) => redeployments > 0).length).toBeGreaterThan(5);
      const elections = ({ story }: SafetyResult) => story.filter((line) => / elected /.test(line)).length;
      expect(sum(elections)).toBeGreaterThan(15);
    },
    limitMs,
  );
});

describe('a check that is taken away', () => {
  /** How many seeds must find it, and among how many: a fraction of those that did when it was measured. */
  const planted: readonly [Planted, finders: number, seeds: number, invariants: RegExp][] = [
    ['token', 5, 20, /^(at most one machine per slot and generation|the old machine is proven gone)/],
    ['generation', 3, 60, /^(who was only slow is not replaced|an old generation is accepted by nobody)$/],
    ['term', 3, 60, /^nothing is done under an old term$/],
  ];

  it.each(planted)(
    '(%s) is found by %i seeds of at most %i',
    async (check, finders, seeds, invariants) => {
      const found: string[] = [];
      for (let seed = 1; seed <= seeds && found.length < finders; seed++) {
        const [first] = (await runSafety(seed, { planted: check })).violations;
        if (first !== undefined) found.push(first.invariant);
      }
      expect(found.length).toBe(finders);
      for (const invariant of found) expect(invariant).toMatch(invariants);
    },
    limitMs,
  );
});

describe('one seed', () => {
  it(
    'takes one course',
    async () => {
      for (const seed of [3, 19, 47]) {
        const [one, other] = [await runSafety(seed), await runSafety(seed)];
        expect(other.hash).toBe(one.hash);
        expect(other.story).toEqual(one.story);
      }
      expect((await runSafety(4)).hash).not.toBe((await runSafety(3)).hash);
    },
    limitMs,
  );
});
