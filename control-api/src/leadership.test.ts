/**
 * Two leaders, a watchdog, crashes, lost answers and restarts in every order that chance gives: never two
 * holders of a term, never two machines of a slot, never two of a (slot, generation).
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { adminToken, createWorld, type PretendedAgent } from './testing/world.ts';

const spec = {
  name: 'bees',
  bootstrap: 3,
  peers: 1,
  redeploymentsPerSlot: 100,
  redeploymentsPerCluster: 1_000,
};
const slots = ['bootstrap-1', 'bootstrap-2', 'bootstrap-3', 'peer-1'];

/** Terms are relative to the last one granted, and `stale` asks as somebody else did before. */
const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('acquire'),
      who: fc.nat(2),
      ahead: fc.integer({ min: -1, max: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('redeploy'),
      who: fc.nat(2),
      slot: fc.nat(3),
      ahead: fc.constantFrom(0, 0, 0, -1),
      back: fc.constantFrom(0, 0, 1),
      stale: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant('crash'), slot: fc.nat(3) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('serve'), slot: fc.nat(3) }) },
  fc.record({ do: fc.constant('fail'), times: fc.nat(3) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1, 1, 20, 500, 8_000) }) },
  fc.record({ do: fc.constant('restart') }),
);
interface Step {
  readonly do: string;
  readonly who?: number;
  readonly ahead?: number;
  readonly slot?: number;
  readonly back?: number;
  readonly stale?: boolean;
  readonly times?: number;
  readonly ms?: number;
}

let replaced = 0;

it('keeps the invariants of healing under any interleaving', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), fc.integer(), async (steps, seed) => {
      const world = await createWorld(seed);
      const holders = new Map<number, Set<string>>();
      const pending: Promise<unknown>[] = [];
      try {
        await world.client(adminToken).createCluster({ body: { ...spec, heal: ['bootstrap', 'peer'] } });
        const agents = new Map<string, PretendedAgent>();
        for (const slot of slots) agents.set(slot, await (await world.agent(slot)).serve());
        const generations = new Map(slots.map((slot) => [slot, 1]));
        const last = { who: 0, term: 0 };
        for (const {
          do: what,
          slot = 0,
          ahead = 0,
          back = 0,
          times = 0,
          ms = 0,
          ...rest
        } of steps as Step[]) {
          const who = what === 'acquire' || rest.stale ? (rest.who ?? 0) : last.who;
          const term = Math.max(1, last.term + ahead);
          const agent = agents.get(slots[who]!)!;
          const name = slots[slot]!;
          if (what === 'acquire') {
            const asked = agent.acquire(term).then((answer) => {
              if (!answer.granted) return;
              if (term >= last.term) Object.assign(last, { who, term });
              const known = holders.get(term) ?? new Set();
              holders.set(term, known.add(`${agent.id.slot}@${agent.id.generation}`));
            });
            pending.push(asked.catch(() => undefined));
          } else if (what === 'redeploy') {
            const generation = Math.max(1, generations.get(name)! - back);
            const asked = agent.redeploy(name, generation, term).then(() => {
              replaced += 1;
            });
            pending.push(asked.catch(() => undefined));
          } else if (what === 'crash') {
            const living = world.launcher.living(name);
            if (living !== undefined) world.launcher.crash(living.machine);
          } else if (what === 'serve') {
            const living = world.launcher.living(name);
            if (living === undefined) continue;
            const fresh = (await world.agent(name)) as PretendedAgent;
            generations.set(name, fresh.id.generation);
            agents.set(name, fresh);
            pending.push(fresh.serve().catch(() => undefined));
          } else if (what === 'fail') world.launcher.failures = times;
          else if (what === 'wait') await world.advance(ms);
          else await world.restart();
          expect(world.launcher.mostAlive).toBeLessThanOrEqual(1);
        }
        await Promise.all([...pending, world.advance(1_000)]);
        // Every dead slot is filled once there is time: agents serve, the watchdog heals what nobody leads.
        for (let round = 0; round < 300; round++) {
          for (const slot of slots) {
            if (world.launcher.living(slot) !== undefined) {
              const agent = await world.agent(slot);
              await agent.serve().catch(() => undefined);
            }
          }
          await world.advance(1_000);
          const nodes = await world.nodes('bees');
          if (nodes.every(({ state }) => state === 'serving')) break;
        }
        expect((await world.nodes('bees')).map(({ state }) => state)).toEqual(slots.map(() => 'serving'));
        expect(await world.launcher.list()).toHaveLength(slots.length);
        for (const [, of] of holders) expect(of.size).toBe(1);
        expect(world.launcher.mostAlive).toBe(1);
      } finally {
        await Promise.all([world.api.stop(), world.advance(2_000)]);
      }
    }),
    { numRuns: 12, seed: 42 },
  );
  // A search that never gets past the refusals proves nothing.
  expect(replaced).toBeGreaterThan(12);
}, 120_000);
