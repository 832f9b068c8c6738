/** Faults by seed: what goes wrong with a cluster, when, and for how long. */
import { RandomStream } from '../host/index.ts';
import { type ClusterWorld, control } from './cluster-world.ts';

/** `atMs` counts from when the cluster first served. */
export interface Fault {
  readonly atMs: number;
  /** Longest that it lasts; 0 for what is done at once. */
  readonly forMs: number;
  readonly what: string;
  readonly inject: (world: ClusterWorld) => void;
}

export interface FaultPlan {
  /** In the order of time. */
  readonly faults: readonly Fault[];
  readonly endMs: number;
}

const leader = 'leader';
const longestWindowMs = 40_000;

/** The same plan for the same seed and slots. */
export function planFaults(seed: number | string, slots: readonly string[]): FaultPlan {
  const random = new RandomStream(seed, 'faults');
  const windowMs = random.between(5_000, longestWindowMs);
  const count = 1 + Math.floor(random.float() * 6);
  const faults = Array.from({ length: count }, () => drawFault(random, random.between(0, windowMs), slots));
  faults.sort((one, other) => one.atMs - other.atMs);
  return { faults, endMs: Math.max(...faults.map(({ atMs, forMs }) => atMs + forMs)) };
}

/** Has the world do what the plan says, from now on. */
export function schedule(world: ClusterWorld, plan: FaultPlan): void {
  const startMs = world.nowMs;
  for (const { atMs, what, inject } of plan.faults) {
    world.world.at(startMs + atMs, () => {
      world.tell(`FAULT ${what}`);
      inject(world);
    });
  }
}

function drawFault(random: RandomStream, atMs: number, slots: readonly string[]): Fault {
  const drawn = random.float();
  const slot = drawSlot(random, slots);
  const nameOf = (world: ClusterWorld) => (slot === leader ? (world.leader ?? slots[0]!) : slot);
  if (drawn < 0.22) {
    const kind = random.chance(0.3) ? 'machine' : 'process';
    return {
      atMs,
      forMs: 0,
      what: `crash ${slot} (${kind})`,
      inject: (world) => world.crash(nameOf(world), kind),
    };
  }
  if (drawn < 0.34) {
    const victims = someOf(random, slots, 2);
    const inject = (world: ClusterWorld) => {
      for (const victim of victims) world.crash(victim, 'process');
    };
    return { atMs, forMs: 0, what: `crash ${victims.join(', ')}`, inject };
  }
  if (drawn < 0.56) {
    const forMs = duration(random, 1_000, 60_000);
    const what = `pause ${slot} for ${Math.round(forMs)} ms`;
    return { atMs, forMs, what, inject: (world) => world.pause(nameOf(world), forMs) };
  }
  if (drawn < 0.62) {
    const forMs = duration(random, 1_000, 40_000);
    const what = `pause the control API for ${Math.round(forMs)} ms`;
    return { atMs, forMs, what, inject: (world) => world.pause(control, forMs) };
  }
  if (drawn < 0.7) {
    const forMs = duration(random, 100, 20_000);
    const what = `crash the control API for ${Math.round(forMs)} ms`;
    return { atMs, forMs, what, inject: (world) => world.crashControl(forMs) };
  }
  const forMs = duration(random, 1_000, 30_000);
  const way = random.chance(0.6) ? 'both' : 'out';
  const withLeader = random.chance(0.4);
  const withControl = random.chance(0.5);
  const share = someOf(random, slots, 1);
  const inject = (world: ClusterWorld) => {
    // The leader alone against the ring, the control API in sight of both, is what makes two leaders.
    const places = withLeader ? [world.leader ?? slots[0]!] : share;
    const rest = slots.filter((place) => !places.includes(place));
    world.cutOff(places, withControl ? [...rest, control] : rest, forMs, way);
  };
  const places = withLeader ? 'the leader' : share.join(', ');
  const what = `cut off ${places} (${way}, ${withControl ? 'and' : 'not'} from the control API) for ${Math.round(forMs)} ms`;
  return { atMs, forMs, what, inject };
}

function drawSlot(random: RandomStream, slots: readonly string[]): string {
  return random.chance(0.4) ? leader : slots[Math.floor(random.float() * slots.length)]!;
}

/** At least `least` of them, seldom all. */
function someOf(random: RandomStream, slots: readonly string[], least: number): readonly string[] {
  const left = [...slots];
  const count = least + Math.floor(random.float() ** 2 * (left.length - least));
  return Array.from({ length: count }, () => left.splice(Math.floor(random.float() * left.length), 1)[0]!);
}

/** Log-uniform: short ones are as interesting as long ones. */
function duration(random: RandomStream, least: number, most: number): number {
  return least * (most / least) ** random.float();
}
