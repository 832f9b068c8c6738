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

/** How often each kind is drawn, relative to the others. */
const kinds: readonly (readonly [weight: number, draw: typeof drawCrash])[] = [
  [20, drawCrash],
  [10, drawCrashOfMany],
  [20, drawPause],
  [6, drawControlPause],
  [8, drawControlCrash],
  [22, drawCut],
  [14, drawDeafLeader],
  [12, drawTwoLeaders],
];
const totalWeight = kinds.reduce((total, [weight]) => total + weight, 0);

function drawFault(random: RandomStream, atMs: number, slots: readonly string[]): Fault {
  let left = random.float() * totalWeight;
  const [, draw] = kinds.find(([weight]) => {
    left -= weight;
    return left < 0;
  })!;
  return { atMs, ...draw(random, slots) };
}

type Drawn = Omit<Fault, 'atMs'>;

function drawCrash(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = drawSlot(random, slots);
  const kind = random.chance(0.3) ? 'machine' : 'process';
  const inject = (world: ClusterWorld) => world.crash(slotOf(world, victim), kind);
  return { forMs: 0, what: `crash ${victim} (${kind})`, inject };
}

function drawCrashOfMany(random: RandomStream, slots: readonly string[]): Drawn {
  const victims = someOf(random, slots, 2);
  const inject = (world: ClusterWorld) => {
    for (const victim of victims) world.crash(victim, 'process');
  };
  return { forMs: 0, what: `crash ${victims.join(', ')}`, inject };
}

function drawPause(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = drawSlot(random, slots);
  const forMs = duration(random, 1_000, 60_000);
  const inject = (world: ClusterWorld) => world.pause(slotOf(world, victim), forMs);
  return { forMs, what: `pause ${victim} for ${Math.round(forMs)} ms`, inject };
}

function drawControlPause(random: RandomStream): Drawn {
  const forMs = duration(random, 1_000, 40_000);
  const inject = (world: ClusterWorld) => world.pause(control, forMs);
  return { forMs, what: `pause the control API for ${Math.round(forMs)} ms`, inject };
}

function drawControlCrash(random: RandomStream): Drawn {
  const forMs = duration(random, 100, 20_000);
  const inject = (world: ClusterWorld) => world.crashControl(forMs);
  return { forMs, what: `crash the control API for ${Math.round(forMs)} ms`, inject };
}

function drawCut(random: RandomStream, slots: readonly string[]): Drawn {
  const forMs = duration(random, 1_000, 30_000);
  const way = random.chance(0.6) ? 'both' : 'out';
  const some = random.chance(0.5) ? [leader] : someOf(random, slots, 1);
  const withControl = random.chance(0.5);
  const inject = (world: ClusterWorld) => {
    const places = some.map((slot) => slotOf(world, slot));
    const rest = slots.filter((slot) => !places.includes(slot));
    world.cutOff(places, withControl ? [...rest, control] : rest, forMs, way);
  };
  const from = withControl ? 'the rest and the control API' : 'the rest';
  const what = `cut ${some.join(', ')} off from ${from} (${way}) for ${Math.round(forMs)} ms`;
  return { forMs, what, inject };
}

/** A slot dies, and the leader that has it redeployed does not hear that it was: it asks again and again. */
function drawDeafLeader(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = slots[Math.floor(random.float() * slots.length)]!;
  const forMs = duration(random, 1_000, 15_000);
  const inject = (world: ClusterWorld) => {
    world.onceReplaced(victim, () => world.wire.loseAnswers(slotOf(world, leader), forMs));
    world.crash(victim, 'process');
  };
  const what = `crash ${victim}, and lose for ${Math.round(forMs)} ms what the leader is answered once it is replaced`;
  return { forMs: 20_000, what, inject };
}

/**
 * The leader loses sight of the ring and the ring of it, for long enough to elect another, while both see the
 * control API: for a moment two believe that they lead, and a slot's death gives both something to ask for.
 */
function drawTwoLeaders(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = slots[Math.floor(random.float() * slots.length)]!;
  const forMs = random.between(6_000, 15_000);
  const deathMs = random.between(4_000, 9_000);
  const inject = (world: ClusterWorld) => {
    const old = slotOf(world, leader);
    const rest = slots.filter((slot) => slot !== old && slot.startsWith('bootstrap-'));
    world.cutOff([old], rest, forMs, 'both');
    world.world.at(world.nowMs + deathMs, () => {
      if (victim !== old) world.crash(victim, 'process');
    });
  };
  const what = `cut the leader off from the ring for ${Math.round(forMs)} ms; ${victim} dies after ${Math.round(deathMs)} ms`;
  return { forMs: Math.max(forMs, deathMs), what, inject };
}

function slotOf(world: ClusterWorld, drawn: string): string {
  return drawn === leader ? (world.leader ?? world.slots[0]!) : drawn;
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
