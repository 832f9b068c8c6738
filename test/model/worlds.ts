/** The small worlds that the model explores: few slots, few generations, terms and attempts, all that can happen. */
import { ClusterSpec } from '@skep/contract';
import { decideCreateCluster } from '../../control-api/src/decisions/cluster-creation.ts';
import { watchdogHolder } from '../../control-api/src/decisions/watchdog.ts';
import type { World } from './explore.ts';
import { addressesOf, type Body, bodyKey, committed, type ModelState, now } from './state.ts';
import type { Bounds } from './steps.ts';

interface Shape extends Bounds {
  readonly bootstrap: number;
  readonly peers: number;
  readonly spares?: number;
  /** From the moment when it was asked for, or when all of it serves. */
  readonly from: 'created' | 'serving';
  readonly redeploymentsPerCluster?: number;
}

const blank: ModelState = {
  lease: { term: 0, holder: '', untilMs: 0 },
  slots: new Map(),
  machines: new Map(),
  redeployments: new Map(),
  torrents: new Map(),
  effects: new Map(),
  faults: new Map(),
  bodies: new Map(),
} as unknown as ModelState;

export function worldOf({
  bootstrap,
  peers,
  spares = 0,
  from,
  redeploymentsPerCluster = 100,
  ...bounds
}: Shape): World {
  const spec = ClusterSpec.parse({
    name: 'model',
    bootstrap,
    peers,
    spares,
    redeploymentsPerSlot: 100,
    redeploymentsPerCluster,
  });
  const addresses = Array.from({ length: bootstrap + peers + spares }, (_, index) => addressesOf(index + 1));
  const { changes = [] } = decideCreateCluster(spec, 'uid', addresses, now);
  // Where nobody can lead any more, the watchdog does.
  const { lease: none } = blank;
  const lease = bounds.terms === 0 ? { term: 1, holder: watchdogHolder, untilMs: now + 1 } : none;
  const created: ModelState = { ...committed(blank, changes), lease };
  return { bounds, start: from === 'created' ? created : serving(created) };
}

function serving(state: ModelState): ModelState {
  const bodies = new Map<string, Body>();
  const machines = new Map(
    [...state.machines].map(([key, machine]) => {
      const { slot, generation, attempt } = machine;
      const body: Body = {
        slot,
        generation,
        attempt,
        life: 'alive',
        credential: 1,
        twins: 0,
        ring: state.ring,
      };
      bodies.set(bodyKey(body), body);
      const tokenSha256 = `${bodyKey(body)}:one`;
      return [key, { ...machine, state: 'serving' as const, name: 'machine', tokenSha256 }];
    }),
  );
  return { ...state, machines, bodies, effects: new Map() };
}

const one: Shape = { bootstrap: 1, peers: 0, from: 'created', generations: 2, terms: 1, attempts: 2 };
const two: Shape = { bootstrap: 2, peers: 0, from: 'serving', generations: 2, terms: 2, attempts: 1 };
const mixed: Shape = { bootstrap: 1, peers: 1, from: 'serving', generations: 2, terms: 2, attempts: 1 };

/** What there is in each, to the bounds within which every state is explored in `npm test`. */
const shapes = {
  leaders: two,
  launches: { ...one, terms: 2, reboots: true },
  budget: { ...mixed, redeploymentsPerCluster: 1 },
  operators: { ...one, operator: true },
  deletion: { ...one, operator: true, deletion: true },
  races: { ...mixed, terms: 1, operator: true, races: true },
  sizes: { ...two, generations: 1, terms: 0, sizes: { least: 1, most: 3, added: 1 } },
  takeovers: { ...one, spares: 1, from: 'serving', terms: 0 },
  spares: { ...mixed, spares: 1, terms: 0 },
} satisfies Record<string, Shape>;

/** Explored in every `npm test`. */
export const small: Readonly<Record<string, World>> = worldsOf(shapes);

/** Explored by `npm run soak -- model`: the same to wider bounds. */
export const large: Readonly<Record<string, World>> = worldsOf({
  leaders: { ...shapes.leaders, terms: 3 },
  launches: { ...shapes.launches, generations: 3, reboots: false },
  budget: { ...shapes.budget, terms: 3 },
  operators: { ...shapes.operators, terms: 2 },
  deletion: { ...shapes.deletion, terms: 2 },
  races: { ...shapes.races, terms: 2 },
  takeovers: { ...shapes.takeovers, terms: 1, operator: true },
  sizes: { ...shapes.sizes, terms: 1 },
});

function worldsOf(of: Readonly<Record<string, Shape>>): Record<string, World> {
  return Object.fromEntries(Object.entries(of).map(([name, shape]) => [name, worldOf(shape)]));
}
