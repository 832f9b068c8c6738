/**
 * Votes and configurations of the ring, searched by spin to the end (`election.pml`); and that each rule, once
 * taken away, is missed.
 */
import { describe, expect, it } from 'vitest';
import { elections, isInstalled, searchElections } from './spin.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const limitMs = 300_000;
const [slots, grows] = Object.values(elections) as [readonly string[], readonly string[]];
const electedTwice = /^\(+elected\[/;
const heldTwice = /^\(+holders\[/;

describe.skipIf(mayBeMissing && !isInstalled())('elections, by spin', () => {
  it.each(Object.entries(elections))(
    '(%s) hold in all states',
    { timeout: limitMs },
    async (name, defined) => {
      const { states, violated } = await searchElections(defined);
      expect(violated).toBeUndefined();
      expect(states).toBeGreaterThan(100_000);
      console.log(`${name}: ${states} states`);
    },
  );

  it.each([
    ['a voter votes once a term', slots, 'NO_ONCE', electedTwice],
    ['a vote is on disk before it is told', slots, 'NO_PERSISTENCE', electedTwice],
    ['a majority elects', slots, 'NO_MAJORITY', electedTwice],
    ['a new generation votes above its admission', slots, 'NO_ADMISSION', electedTwice],
    ['the lease is given once a term', slots, 'NO_LEASE', heldTwice],
    ['a step of the ring waits for the one before', grows, 'NO_GATE', electedTwice],
    ['who stands with an older configuration gets no vote', grows, 'NO_VERSION', electedTwice],
    ['after a step all vote above the terms known', grows, 'NO_ADMISSION', electedTwice],
  ] as const)('miss the rule that %s', { timeout: limitMs }, async (_, defined, removed, finds) => {
    expect((await searchElections([...defined, removed], true)).violated).toMatch(finds);
  });
});
