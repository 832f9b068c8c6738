/** How a whole ring behaves under its default times. */
import { describe, expect, it } from 'vitest';
import { World } from './testing/world.ts';

function settledRing(seed: number, options: Partial<ConstructorParameters<typeof World>[0]> = {}) {
  const world = new World({ seed, slots: ['a', 'b', 'c'], latencyMs: [1, 5], leaseMs: 5_000, ...options });
  expect(world.runUntil(() => world.leader() !== undefined, 5_000)).toBe(true);
  world.run(2_000);
  const leader = world.leader()!;
  const followers = ['a', 'b', 'c'].filter((slot) => slot !== leader);
  return { world, leader, followers };
}

function deathsOf(world: World, slot: string) {
  return world.eventsOf('member-dead').filter(({ event }) => 'member' in event && event.member.slot === slot);
}

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);

describe('detection', () => {
  it('survives a pause of 5 s of any node', () => {
    for (const seed of seeds) {
      for (const slot of ['a', 'b', 'c']) {
        const { world } = settledRing(seed);
        world.pause(slot, 5_000);
        world.run(20_000);
        expect(world.eventsOf('member-dead'), `seed ${seed}, ${slot}`).toEqual([]);
        expect(world.asked).toEqual([]);
        expect(world.eventsOf('member-suspected').length).toBeGreaterThan(0);
        const states = world.nodes().flatMap((node) => node.machine!.status(world.nowMs).members);
        expect(states.every(({ state }) => state === 'alive')).toBe(true);
      }
    }
  });

  it('calls a node dead that is silent for 60 s, after the grace, and has it redeployed once', () => {
    for (const seed of seeds) {
      const { world, followers } = settledRing(seed);
      const pausedMs = world.nowMs;
      world.pause(followers[0]!, 60_000);
      world.run(15_000);
      const [first] = deathsOf(world, followers[0]!);
      expect(first!.event).toMatchObject({ cause: 'silence' });
      expect(first!.event.atMs - pausedMs).toBeGreaterThanOrEqual(5_500);
      expect(first!.event.atMs - pausedMs).toBeLessThan(8_000);
      expect(world.asked.map(({ slot, generation }) => [slot, generation])).toEqual([[followers[0], 1]]);
    }
  });

  it('calls nobody dead that lives, among twenty that lose three datagrams in ten', () => {
    const slots = Array.from({ length: 20 }, (_, index) => `bootstrap-${index + 1}`);
    const world = new World({ seed: 7, slots, latencyMs: [25, 25], loss: 0.3, leaseMs: 5_000 });
    world.run(77_000);
    expect(world.eventsOf('member-suspected').length).toBeGreaterThan(0);
    expect(world.eventsOf('member-dead')).toEqual([]);
  });

  it('takes back a death by silence when the member is heard again', () => {
    const { world, followers } = settledRing(3);
    world.pause(followers[0]!, 15_000);
    world.run(20_000);
    expect(deathsOf(world, followers[0]!).length).toBe(2);
    for (const node of world.nodes()) {
      const { members } = node.machine!.status(world.nowMs);
      expect(members.every(({ state }) => state === 'alive')).toBe(true);
    }
  });

  it('finds a crash by a refused connection within two probe intervals', () => {
    for (const seed of seeds) {
      const { world, followers } = settledRing(seed);
      const crashedMs = world.nowMs;
      world.crash(followers[0]!);
      world.run(3_000);
      const [first] = deathsOf(world, followers[0]!);
      expect(first!.event).toMatchObject({ cause: 'evidence', detail: 'its agent refused a connection' });
      expect(first!.event.atMs - crashedMs).toBeLessThan(1_000);
    }
  });

  it('says nothing of a member that has never been heard', () => {
    const { world, followers } = settledRing(5);
    const slot = followers[0]!;
    world.crash(slot);
    world.run(2_000);
    world.replace(slot, world.lease.term);
    world.crash(slot);
    const before = world.events.length;
    world.run(30_000);
    const about = world.events
      .slice(before)
      .filter(
        ({ event }) => 'member' in event && event.member.slot === slot && event.member.generation === 2,
      );
    expect(about).toEqual([]);
  });

  it('lets a node that hears nobody call nobody dead', () => {
    const { world, leader, followers } = settledRing(6);
    const [alone, other] = followers as [string, string];
    world.partition([[alone], [leader, other]]);
    world.run(30_000);
    const said = world.eventsOf('member-dead').filter(({ node }) => node === alone);
    expect(said).toEqual([]);
    expect(deathsOf(world, alone).length).toBe(2);
  });
});

describe('succession', () => {
  it('has a new leader with a lease within 500 ms of the evidence', () => {
    for (const seed of Array.from({ length: 200 }, (_, index) => index + 1)) {
      const { world, leader, followers } = settledRing(seed, { persistMs: [2, 20] });
      const member = world.node(leader).id;
      world.crash(leader);
      const crashedMs = world.nowMs;
      world.tell(followers[0]!, { type: 'death-observed', member, evidence: 'exit 137' });
      const leads = () => world.leader() !== undefined && world.leader() !== leader;
      expect(world.runUntil(leads, 500), `seed ${seed} took ${world.nowMs - crashedMs} ms`).toBe(true);
      world.run(1_000);
      expect(world.asked).toMatchObject([{ slot: leader, generation: 1, term: 2 }]);
    }
  });

  it('passes the leadership on when the leader loses the control API', () => {
    for (const seed of seeds) {
      const { world, leader } = settledRing(seed);
      world.cutAuthority(leader, true);
      expect(world.runUntil(() => ![undefined, leader].includes(world.leader()), 8_000)).toBe(true);
      expect(world.eventsOf('lease-lost').map(({ node }) => node)).toContain(leader);
      expect(world.asked).toEqual([]);
    }
  });

  it('passes it on when the leader leaves, who is not replaced', () => {
    const { world, leader } = settledRing(2);
    world.tell(leader, { type: 'leave' });
    expect(world.runUntil(() => ![undefined, leader].includes(world.leader()), 1_000)).toBe(true);
    world.run(30_000);
    expect(world.asked).toEqual([]);
    expect(world.eventsOf('member-left').length).toBe(2);
  });

  it('elects nobody without a majority, and nobody who cannot reach the control API', () => {
    const { world, leader, followers } = settledRing(7);
    for (const slot of followers) world.cutAuthority(slot, true);
    world.run(1_100);
    world.crash(leader);
    world.run(20_000);
    expect(world.elected.size).toBe(1);
    world.cutAuthority(followers[0]!, false);
    expect(world.runUntil(() => world.leader() === followers[0], 3_000)).toBe(true);
    world.crash(followers[0]!);
    world.cutAuthority(followers[1]!, false);
    world.run(20_000);
    expect(world.leader()).toBe(undefined);
  });

  it('never has two that act in one term, and a leader cut off stops before its lease has ended', () => {
    for (const seed of seeds) {
      const { world, leader, followers } = settledRing(seed, { loss: 0.2, duplication: 0.2 });
      world.partition([[leader], followers]);
      world.cutAuthority(leader, true);
      const cutMs = world.nowMs;
      for (let step = 0; step < 1_000; step += 1) {
        world.run(10);
        const acting = world.nodes().filter((node) => node.machine!.status(world.nowMs).leading);
        const terms = new Set(acting.map((node) => node.machine!.status(world.nowMs).term));
        expect(terms.size, `seed ${seed} at ${world.nowMs}`).toBe(acting.length);
        if (world.nowMs - cutMs >= 4_010) expect(acting.map((node) => node.id.slot)).not.toContain(leader);
      }
      expect(followers).toContain(world.leader());
    }
  });
});

describe('a replaced slot', () => {
  it('joins under its new generation, and the old one is told that it is over', () => {
    const { world, followers } = settledRing(8);
    const slot = followers[0]!;
    const old = world.node(slot).machine!;
    world.replace(slot, world.lease.term);
    world.run(3_000);
    const told = old.step(world.nowMs, { type: 'configure', configuration: world.configuration });
    expect(told.map((output) => output.type === 'event' && output.event.type)).toContain('generation-over');
    expect(old.step(world.nowMs + 5_000, { type: 'wake' })).toEqual([]);
    const { members } = world.node(followers[1]!).machine!.status(world.nowMs);
    expect(members.find(({ member }) => member.slot === slot)).toMatchObject({
      member: { slot, generation: 2 },
      state: 'alive',
      incarnation: 0,
    });
    expect(world.asked).toEqual([]);
  });

  it('does not listen to its former generation', () => {
    const { world, followers } = settledRing(9);
    const [slot, other] = followers as [string, string];
    const old = world.node(slot).machine!;
    world.replace(slot, world.lease.term);
    world.run(1_000);
    const sent = old.step(world.nowMs, { type: 'wake' }).filter((output) => output.type === 'send');
    const before = world.node(other).machine!.status(world.nowMs).dropped['old-generation'];
    for (const { envelope } of sent)
      world.tell(other, { type: 'received', envelope: { ...envelope, to: world.node(other).id } });
    const after = world.node(other).machine!.status(world.nowMs).dropped['old-generation'];
    expect(sent.length).toBeGreaterThan(0);
    expect(after - before).toBe(sent.length);
  });
});

it('heals slots outside the ring that are reported dead, and forgets those that are not any more', () => {
  const { world, leader } = settledRing(10);
  const deaths = [
    { slot: 'peer-1', generation: 3, reason: 'exit 1', cause: 'evidence' as const },
    { slot: 'peer-2', generation: 1, reason: 'exit 1', cause: 'evidence' as const },
  ];
  world.tell(leader, { type: 'slot-deaths', deaths });
  world.run(1_000);
  expect(world.asked.map(({ slot, generation, term }) => [slot, generation, term]).sort()).toEqual([
    ['peer-1', 3, 1],
    ['peer-2', 1, 1],
  ]);
  world.tell(leader, { type: 'slot-deaths', deaths: [] });
  world.run(20_000);
  expect(world.asked.length).toBe(2);
});

it('has a member replaced that left, once there is evidence of its end', () => {
  const { world, leader } = settledRing(2);
  world.tell(leader, { type: 'leave' });
  expect(world.runUntil(() => ![undefined, leader].includes(world.leader()), 1_000)).toBe(true);
  const death = { slot: leader, generation: 1, reason: 'exit code 0' };
  const tell = (cause: 'evidence' | 'silence', generation: number) =>
    world.tell(world.leader()!, { type: 'slot-deaths', deaths: [{ ...death, generation, cause }] });
  tell('silence', 1);
  world.run(1_000);
  tell('evidence', 2);
  world.run(1_000);
  expect(world.asked).toEqual([]);
  tell('evidence', 1);
  world.run(1_000);
  expect(world.asked).toMatchObject([{ slot: leader, generation: 1, cause: 'evidence' }]);
});

it('stamps events so that an effect never precedes its cause', () => {
  const { world } = settledRing(11);
  const elected = world.eventsOf('elected')[0]!.event.lamport;
  const granted = world.eventsOf('lease-granted')[0]!.event.lamport;
  const votes = world.eventsOf('vote-granted').map(({ event }) => event.lamport);
  expect(Math.min(...votes)).toBeLessThan(elected);
  expect(elected).toBeLessThan(granted);
  const learnt = world.eventsOf('leader-changed').filter(({ event }) => event.lamport > elected);
  expect(learnt.length).toBe(2);
});

it('pings all at once where that is asked for, and tells who answered', () => {
  const slots = Array.from({ length: 9 }, (_, index) => `n${index}`);
  const world = new World({ seed: 4, slots, latencyMs: [1, 5], leaseMs: 5_000 });
  world.run(5_000);
  world.pause('n3', 3_000);
  const askedMs = world.nowMs;
  world.tell('n0', { type: 'ping-all' });
  world.run(20);
  const { members } = world.node('n0').machine!.status(world.nowMs);
  const silent = members.filter(({ lastAnswerMs = 0 }) => lastAnswerMs < askedMs);
  expect(silent.map(({ member }) => member.slot)).toEqual(['n3']);
});
