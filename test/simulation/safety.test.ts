/**
 * Safety of ring, control API and launcher together, by seed: crashes, reboots, pauses, partitions, losses,
 * outages; and that the invariants would notice if a rule were switched off. A failing seed is replayed by the
 * command it prints.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { allPlanted, type Planted, runSafety, type SafetyResult } from '@skep/sim';
import { describe, expect, it } from 'vitest';

const seeds = 100;
const seedsPerTest = 25;
/** Generous: a seed takes some 500 ms of one core, which others may want too. */
const limitMs = 300_000;
/** What longer searches (`npm run soak -- sim`) once found. */
const found = JSON.parse(readFileSync(join(import.meta.dirname, 'found-seeds.json'), 'utf8')) as number[];

/** A sentence for each violation, with the command that shows how it came about; empty if all is well. */
async function violationsOf(searched: readonly number[]): Promise<string[]> {
  const sentences: string[] = [];
  for (const seed of searched) {
    const { violations } = await runSafety(seed);
    for (const { invariant, atMs, detail } of violations) {
      sentences.push(
        `${invariant}, at ${Math.round(atMs)} ms: ${detail}; npm run soak -- sim --seed ${seed}`,
      );
    }
  }
  return sentences;
}

describe('safety', () => {
  for (let first = 1; first <= seeds; first += seedsPerTest) {
    const searched = Array.from({ length: seedsPerTest }, (_, index) => first + index);
    it(`holds for seeds ${first} to ${first + seedsPerTest - 1}`, { timeout: limitMs }, async () => {
      expect(await violationsOf(searched)).toEqual([]);
    });
  }

  it.runIf(found.length > 0)(
    'holds for the seeds that once found something',
    { timeout: limitMs },
    async () => {
      expect(await violationsOf(found)).toEqual([]);
    },
  );

  it('is judged over runs in which things happen: machines die, are replaced, and are launched in vain', {
    timeout: limitMs,
  }, async () => {
    const results: SafetyResult[] = [];
    for (let seed = 1; seed <= 10; seed++) results.push(await runSafety(seed));
    const sum = (count: (result: SafetyResult) => number) =>
      results.reduce((total, result) => total + count(result), 0);
    expect(sum(({ redeployments }) => redeployments)).toBeGreaterThan(10);
    expect(results.filter(({ redeployments }) => redeployments > 0).length).toBeGreaterThan(5);
    const elections = ({ story }: SafetyResult) => story.filter((line) => / elected /.test(line)).length;
    expect(sum(elections)).toBeGreaterThan(15);
  });
});

describe('a rule that is switched off', () => {
  /** From which seed to search: so that it is soon found today. How it is found, by whichever seed. */
  const planted: Readonly<Record<Planted, readonly [from: number, invariants: RegExp]>> = {
    term: [5, /^nothing is done under an old term$/],
    generation: [1, /^(who was only slow is not replaced|an old generation is accepted by nobody)$/],
    token: [1, /^(at most one machine per slot and generation|the old machine is proven gone)/],
    lease: [1, /^a leader acts only while its lease runs$/],
    majority: [1, /^(at most one is elected a term|one lease holder per term)$/],
    admission: [
      5,
      /^(a generation votes only above the term that admitted it|at most one is elected a term)$/,
    ],
    votes: [7, /^(a voter votes once a term|at most one is elected a term)$/],
    stop: [6, /^(nothing launched is forgotten|the old machine is proven gone)/],
    effects: [5, /^(every dead slot is filled|every slot is filled|nothing launched is forgotten)/],
    adoption: [4, /^(evidence of death is of the dead|who was only slow is not replaced)$/],
    grace: [16, /^who was only slow is not replaced$/],
    evidence: [1, /^(evidence of death is of the dead|who was only slow is not replaced)$/],
    credential: [14, /^a machine has one credential$/],
    budget: [5, /^redeployments keep within their budget$/],
    lamport: [2, /^an effect is stamped after its cause$/],
    uid: [12, /^(an earlier cluster's machine is accepted by nobody|a voter votes once a term)$/],
    'size-change': [55, /^who may vote changes only when most voters know who votes now$/],
    complete: [1, /^complete is what serves and has its predecessor gone$/],
    'compare-and-set': [
      18,
      /^(the ring changes one slot at a time|a slot moves on one generation at a time)$/,
    ],
    'relayed-lease': [1, /^nobody says of a lease that it runs for longer than its holder does$/],
    confirmations: [1, /^who was only slow is not replaced$/],
  };
  const mostSeeds = 120;

  it.each(allPlanted)('(%s) is found', { timeout: limitMs }, async (rule) => {
    const [from, invariants] = planted[rule];
    let finding: string | undefined;
    for (let seed = from; seed < from + mostSeeds && finding === undefined; seed++) {
      finding = (await runSafety(seed, { planted: rule })).violations[0]?.invariant;
    }
    expect(finding).toMatch(invariants);
  });
});
