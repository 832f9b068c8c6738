/**
 * The control API's decisions about leases, launches and redeployments, explored in small worlds until there is no
 * state left that was not looked at; and that each rule, once taken away, is missed.
 */
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { allRules, removed } from './rules.ts';
import { small } from './worlds.ts';

const limitMs = 120_000;
const mostStates = 200_000;

describe('a small world', () => {
  it.each(Object.entries(small))('(%s) holds in all of its states', { timeout: limitMs }, (name, world) => {
    const { found, complete, states, steps, depth } = explore(world, allRules, mostStates);
    expect(found).toBeUndefined();
    expect(complete).toBe(true);
    // A world in which nothing much can happen proves nothing.
    expect(states).toBeGreaterThan(1_000);
    console.log(`${name}: ${states} states, ${steps} steps, at most ${depth} from the start`);
  });
});

describe('a rule that is taken away', () => {
  it.each(Object.entries(removed))('(%s) is missed', { timeout: limitMs }, (_, { world, rules, finds }) => {
    const { found } = explore(small[world]!, rules, mostStates);
    expect(found?.invariant).toMatch(finds);
    expect(found?.way.length).toBeGreaterThan(0);
  });
});
