/**
 * What must hold of a ring whatever happens to it, looked for over many seeds of crashes, pauses, partitions,
 * loss and duplication. Each rule is taken away once, to show that these worlds would notice.
 */
import { describe, expect, it } from 'vitest';
import { type Planted, World } from './testing/world.ts';

/** A rough history; returns the terms in which more than one node was elected. */
function splitTerms(seed: number, planted: Planted = {}, replacing = true): number[] {
  const slots = seed % 3 === 0 ? ['a', 'b', 'c', 'd', 'e'] : ['a', 'b', 'c'];
  const world = new World({
    seed,
    slots,
    planted,
    latencyMs: [1, 40],
    loss: 0.1,
    duplication: 0.1,
    persistMs: [1, 60],
    leaseMs: 400,
    connectForEvidence: seed % 2 === 0,
    timing: {
      electionTimeoutMs: [150, 300],
      candidacyMs: [150, 300],
      retryMs: [10, 80],
      staggerMs: [1, 30],
      probeIntervalMs: 100,
      probeTimeoutMs: 50,
      graceMs: 1_000,
    },
  });
  const pick = () => slots[Math.floor(world.chance() * slots.length)]!;
  for (let round = 0; round < 60; round += 1) {
    world.run(world.chance() * 120);
    const what = world.chance();
    if (what < 0.25) world.crash(pick());
    else if (what < 0.6) for (const slot of slots) world.restart(slot);
    else if (what < 0.7) world.pause(pick(), world.chance() * 800);
    else if (what < 0.78) {
      const side = new Set(slots.filter(() => world.chance() < 0.5));
      world.partition([[...side], slots.filter((slot) => !side.has(slot))]);
    } else if (what < 0.85) {
      const one = pick();
      world.partition([[one], slots.filter((slot) => slot !== one)]);
    } else if (what < 0.92) world.partition(undefined);
    else if (what < 0.96) {
      const target = pick();
      for (const slot of slots) {
        const member = world.node(target).id;
        if (slot !== target) world.tell(slot, { type: 'death-observed', member, evidence: 'said so' });
      }
    } else if (what < 0.98) {
      // A leader hands over; who has left comes back only after a crash.
      world.tell(world.leader() ?? pick(), { type: 'leave' });
    } else if (replacing) world.replace(pick(), highestTerm(world));
  }
  return [...world.elected].filter(([, who]) => who.size > 1).map(([term]) => term);
}

/** The admission term that covers every vote the replaced generation can have given. */
function highestTerm(world: World): number {
  return Math.max(
    world.lease.term,
    ...world.nodes().map((node) => node.machine?.status(world.nowMs).term ?? 0),
  );
}

function seedsThatFail(count: number, planted: Planted): number {
  let failing = 0;
  for (let seed = 1; seed <= count; seed += 1) if (splitTerms(seed, planted).length > 0) failing += 1;
  return failing;
}

/**
 * An election of five, of whom slots are replaced while they vote, admitted at the lease's term as the control API does
 * it: a new generation may vote where the old one has. Returns of how many slots the votes were that elected each.
 */
function slotsThatElected(seed: number): number[] {
  const slots = ['a', 'b', 'c', 'd', 'e'];
  const latencyMs = [1, 60] as const;
  const world = new World({ seed, slots, latencyMs, persistMs: [1, 20], leaseMs: 2_000, loss: 0.5 });
  const pick = () => slots[Math.floor(world.chance() * slots.length)]!;
  world.runUntil(() => world.leader() !== undefined, 10_000);
  const leader = world.leader() ?? pick();
  const member = world.node(leader).id;
  world.crash(leader);
  for (const slot of slots) world.tell(slot, { type: 'death-observed', member, evidence: 'said so' });
  for (let replaced = 0; replaced < 4; replaced += 1) {
    const before = world.eventsOf('vote-granted').length;
    world.runUntil(() => world.eventsOf('vote-granted').length > before, 1_000);
    world.run(world.chance() * 60);
    world.replace(world.eventsOf('vote-granted').at(-1)!.node, world.lease.term);
  }
  world.run(2_000);
  const votes = world.events.flatMap(({ node, event }) =>
    event.type === 'vote-granted' ? [{ node, event }] : [],
  );
  return world.events.flatMap(({ node, event: elected }) => {
    if (elected.type !== 'elected') return [];
    const voted = votes.filter(({ event }) => event.term === elected.term && event.candidate.slot === node);
    return [new Set([node, ...voted.map((vote) => vote.node)]).size];
  });
}

describe('a ring under faults', () => {
  it('elects at most one a term', () => {
    for (let seed = 1; seed <= 300; seed += 1) expect(splitTerms(seed), `seed ${seed}`).toEqual([]);
  });

  it('elects by votes of most slots, though some are replaced meanwhile', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      expect(Math.min(...slotsThatElected(seed)), `seed ${seed}`).toBeGreaterThanOrEqual(3);
    }
  });

  it('would not, if votes were not persisted', () => {
    expect(seedsThatFail(300, { skipPersistence: true })).toBeGreaterThan(0);
  });

  it('would not, if a new generation voted at or below its admission term', () => {
    expect(seedsThatFail(300, { hideAdmission: true })).toBeGreaterThan(0);
  });

  it('would not, if one vote too few were enough', () => {
    expect(seedsThatFail(100, { forgeOneVote: true })).toBeGreaterThan(0);
  });
});
