import { describe, expect, it } from 'vitest';
import { digestOf, pagesOf } from './anti-entropy.ts';
import type { Claim, Standing } from './member.ts';
import { claimBytes } from './messages.ts';
import { World } from './testing/world.ts';

const claim = (slot: string, incarnation: number, standing: Standing = 'alive', generation = 1): Claim => ({
  member: { slot, generation },
  incarnation,
  standing,
});

describe('a digest', () => {
  it('does not depend on the order, nor on what everyone assumes', () => {
    const claims = [claim('a', 1), claim('b', 2, 'dead'), claim('c', 0, 'left')];
    expect(digestOf(claims)).toBe(digestOf([...claims].reverse()));
    expect(digestOf([...claims, claim('d', 0)])).toBe(digestOf(claims));
    expect(digestOf([])).toBe(0);
  });

  it('differs with slot, generation, incarnation and lasting standing, but not with suspicion', () => {
    const different = [
      claim('a', 1),
      claim('b', 1),
      claim('a', 2),
      claim('a', 1, 'dead'),
      claim('a', 1, 'left'),
      claim('a', 1, 'alive', 2),
    ].map((each) => digestOf([each]));
    expect(new Set(different).size).toBe(different.length);
    for (const digest of different) expect(digest).toBeLessThan(2 ** 48);
    expect(digestOf([claim('a', 1, 'suspect')])).toBe(digestOf([claim('a', 1)]));
  });
});

it('is exchanged in pages that have room for it', () => {
  const claims = Array.from({ length: 100 }, (_, index) => claim(`bootstrap-${index}`, 1));
  const pages = pagesOf(claims, 490);
  expect(pages.flat()).toEqual(claims);
  for (const page of pages) {
    expect(page.reduce((sum, each) => sum + claimBytes(each), 0)).toBeLessThanOrEqual(490);
  }
  expect(pagesOf([], 490)).toEqual([[]]);
});

/** Two halves that know different things, when nothing is left to be gossiped. */
function diverged(syncIntervalMs: number): World {
  const slots = Array.from({ length: 8 }, (_, index) => `bootstrap-${index + 1}`);
  // So long a grace that silence teaches nobody anything.
  const timing = { syncIntervalMs, graceMs: 600_000 };
  const world = new World({ seed: 3, slots, connectForEvidence: false, timing });
  world.run(3_000);
  // Its death is known to one half, who told each other; its machine answers nobody.
  world.crash('bootstrap-8');
  world.partition([slots.slice(0, 4), slots.slice(4)]);
  const member = world.node('bootstrap-8').id;
  world.tell('bootstrap-1', { type: 'death-observed', member, evidence: 'exit 1' });
  world.run(5_000);
  world.partition(undefined);
  return world;
}

function knowing(world: World): number {
  return world
    .nodes()
    .filter(({ machine }) =>
      machine
        ?.status(world.nowMs)
        .members.some(({ member, state }) => member.slot === 'bootstrap-8' && state === 'dead'),
    ).length;
}

it('brings together what gossip left apart, within an interval', () => {
  const world = diverged(10_000);
  expect(knowing(world)).toBe(4);
  world.run(15_000);
  expect(knowing(world)).toBe(7);
});

it('is what does it', () => {
  const world = diverged(1_000_000);
  world.run(60_000);
  expect(knowing(world)).toBe(4);
});
