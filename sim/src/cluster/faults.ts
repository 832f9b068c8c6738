/** Faults by seed: what goes wrong with a cluster, when, and for how long. */
import { controlApiNode } from '@skep/contract';
import { RandomStream } from '../host/index.ts';
import type { ClusterWorld } from './cluster-world.ts';
import { type ClusterFault, leaderNode } from './injection.ts';

/** One thing that goes wrong, `atMs` after the cluster first served: a fault, or what makes several of it. */
export interface PlannedFault {
  readonly atMs: number;
  /** Longest that it lasts; 0 for what is done at once. */
  readonly forMs: number;
  readonly what: ClusterFault | Course;
}

/** A course of events that a single fault cannot make: it watches for its moment. */
export interface Course {
  readonly name: string;
  readonly begin: (world: ClusterWorld) => void;
}

export interface FaultPlan {
  /** In the order of time. */
  readonly faults: readonly PlannedFault[];
  readonly endMs: number;
}

const longestWindowMs = 40_000;
/** How often each is drawn, relative to the others. */
const kinds: readonly (readonly [weight: number, draw: Draw])[] = [
  [14, drawCrash],
  [7, drawCrashOfMany],
  [14, drawPause],
  [5, drawControlPause],
  [12, drawControlCrash],
  [14, drawPartition],
  [6, drawFlapping],
  [9, drawDegraded],
  [4, drawClock],
  [6, drawDisk],
  [7, drawStoreOutage],
  [6, drawLauncherOutage],
  [10, drawReboot],
  [5, drawRestart],
  [12, drawDeafLeader],
  [20, drawTwoLeaders],
  [14, drawRebootAfterVote],
  [8, drawCrashLoop],
  [8, drawStray],
  [10, drawHandover],
  [12, drawResize],
  [6, drawRedeploy],
  [6, drawHold],
  [9, drawAnew],
  [6, drawSecondControl],
];
const totalWeight = kinds.reduce((total, [weight]) => total + weight, 0);

type Drawn = readonly Omit<PlannedFault, 'atMs'>[] | readonly PlannedFault[];
type Draw = (random: RandomStream, slots: readonly string[]) => Drawn;

/** The same plan for the same seed and slots. */
export function planFaults(seed: number | string, slots: readonly string[]): FaultPlan {
  const random = new RandomStream(seed, 'faults');
  const windowMs = random.between(5_000, longestWindowMs);
  const count = 1 + Math.floor(random.float() * 6);
  const faults: PlannedFault[] = [];
  for (let index = 0; index < count; index++) {
    const beginMs = random.between(0, windowMs);
    for (const drawn of drawKind(random)(random, slots)) {
      faults.push({ ...drawn, atMs: beginMs + ('atMs' in drawn ? drawn.atMs : 0) });
    }
  }
  faults.sort((one, other) => one.atMs - other.atMs);
  return { faults, endMs: Math.max(...faults.map(({ atMs, forMs }) => atMs + forMs)) };
}

/** Has the world do what the plan says, from now on. */
export function schedule(world: ClusterWorld, plan: FaultPlan): void {
  for (const { atMs, what } of plan.faults) {
    world.in(atMs, () => {
      if ('kind' in what) world.inject(what);
      else {
        world.tell(`COURSE ${what.name}`);
        what.begin(world);
      }
    });
  }
}

function drawKind(random: RandomStream): Draw {
  let left = random.float() * totalWeight;
  const [, draw] = kinds.find(([weight]) => {
    left -= weight;
    return left < 0;
  })!;
  return draw;
}

const atOnce = (fault: ClusterFault): Drawn => [{ forMs: 0, what: fault }];
const lasting = (fault: ClusterFault & { readonly forMs: number }): Drawn => [
  { forMs: fault.forMs, what: fault },
];

function drawCrash(random: RandomStream, slots: readonly string[]): Drawn {
  return atOnce({ kind: 'crash', nodes: [drawSlot(random, slots)], power: random.chance(0.3) });
}

function drawCrashOfMany(random: RandomStream, slots: readonly string[]): Drawn {
  return atOnce({ kind: 'crash', nodes: [...someOf(random, slots, 2)], power: random.chance(0.2) });
}

function drawPause(random: RandomStream, slots: readonly string[]): Drawn {
  return lasting({
    kind: 'pause',
    nodes: [drawSlot(random, slots)],
    forMs: duration(random, 1_000, 60_000),
  });
}

function drawControlPause(random: RandomStream): Drawn {
  return lasting({ kind: 'pause', nodes: [controlApiNode], forMs: duration(random, 1_000, 40_000) });
}

/** Half of the time it comes back on a machine whose wall clock is far off. */
function drawControlCrash(random: RandomStream): Drawn {
  const crash: ClusterFault = { kind: 'crash', nodes: [controlApiNode] };
  const skewMs = random.between(-3_600_000, 3_600_000);
  const clock: ClusterFault = { kind: 'clock', nodes: [controlApiNode], skewMs, forMs: 60_000 };
  const back = { forMs: 20_000, what: crash };
  return random.chance(0.5) ? [{ forMs: 0, what: clock }, back] : [back];
}

function drawPartition(random: RandomStream, slots: readonly string[]): Drawn {
  const nodes = drawGroup(random, slots);
  return lasting({
    kind: 'partition',
    nodes,
    ...(random.chance(0.5) ? {} : { from: slots.filter((slot) => !nodes.includes(slot)) }),
    way: drawWay(random),
    forMs: duration(random, 1_000, 30_000),
  });
}

/** A cut that comes and goes. */
function drawFlapping(random: RandomStream, slots: readonly string[]): Drawn {
  const nodes = drawGroup(random, slots);
  const way = drawWay(random);
  const flaps: PlannedFault[] = [];
  let atMs = 0;
  for (let left = 2 + Math.floor(random.float() * 8); left > 0; left--) {
    const forMs = duration(random, 200, 5_000);
    flaps.push({ atMs, forMs, what: { kind: 'partition', nodes, way, forMs } });
    atMs += forMs + duration(random, 100, 5_000);
  }
  return flaps;
}

/** Slow, lossy or narrow paths and links. */
function drawDegraded(random: RandomStream, slots: readonly string[]): Drawn {
  const worse = [
    { lossRate: random.between(0.02, 0.3) },
    { delayMs: Math.round(duration(random, 20, 400)), jitterMs: Math.round(duration(random, 5, 200)) },
    { upBytesPerSecond: Math.round(duration(random, 20_000, 1_000_000)) },
    { duplicateRate: 0.1, reorderRate: 0.2 },
  ][Math.floor(random.float() * 4)]!;
  const forMs = duration(random, 2_000, 40_000);
  return lasting({ kind: 'degrade', nodes: drawGroup(random, slots), forMs, ...worse });
}

function drawClock(random: RandomStream, slots: readonly string[]): Drawn {
  return lasting({
    kind: 'clock',
    nodes: [drawSlot(random, slots)],
    skewMs: random.between(-1, 1) * duration(random, 1_000, 86_400_000),
    forMs: duration(random, 1_000, 40_000),
  });
}

function drawDisk(random: RandomStream, slots: readonly string[]): Drawn {
  const worse = [{ full: true }, { writeErrorRate: 0.5 }, { readErrorRate: 0.3 }, { delayMs: 300 }][
    Math.floor(random.float() * 4)
  ]!;
  const forMs = duration(random, 1_000, 30_000);
  return lasting({ kind: 'disk', nodes: drawGroup(random, slots), forMs, ...worse });
}

function drawStoreOutage(random: RandomStream): Drawn {
  const way = random.chance(0.5) ? 'fail' : 'hang';
  return lasting({ kind: 'store-outage', way, forMs: duration(random, 500, 20_000) });
}

/** Of use only while something is launched: so something dies. */
function drawLauncherOutage(random: RandomStream, slots: readonly string[]): Drawn {
  const way = (['fail', 'unknown', 'late'] as const)[Math.floor(random.float() * 3)]!;
  return [
    ...lasting({ kind: 'launcher-outage', way, forMs: duration(random, 2_000, 30_000) }),
    ...drawCrash(random, slots),
  ];
}

/** A zombie that nobody can stop: it ends itself when it is told that it is over, or goes on until it is followed. */
function drawStray(random: RandomStream, slots: readonly string[]): Drawn {
  return lasting({ kind: 'stray', nodes: [drawSlot(random, slots)], forMs: duration(random, 1_000, 60_000) });
}

function drawReboot(random: RandomStream, slots: readonly string[]): Drawn {
  const downMs = duration(random, 50, 20_000);
  const disk = random.chance(0.6) ? 'lose' : 'keep';
  const nodes = [drawSlot(random, slots)];
  return [{ forMs: downMs, what: { kind: 'reboot', nodes, disk, downMs, when: 'now' } }];
}

function drawRestart(random: RandomStream, slots: readonly string[]): Drawn {
  const disk = random.chance(0.7) ? 'lose' : 'keep';
  return atOnce({ kind: 'restart', nodes: [drawSlot(random, slots)], disk });
}

/** A slot dies, and the leader that has it redeployed does not hear that it was: it asks again and again. */
function drawDeafLeader(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = oneOf(random, slots);
  const forMs = duration(random, 1_000, 15_000);
  const begin = (world: ClusterWorld) => {
    world.onceReplaced(victim, () => world.inject({ kind: 'lost-answers', nodes: [leaderNode], forMs }));
    world.inject({ kind: 'crash', nodes: [victim] });
  };
  return [{ forMs: 20_000, what: { name: `${victim} dies under a leader that will be deaf`, begin } }];
}

/**
 * The leader loses sight of the ring and the ring of it, for long enough to elect another, while both see the
 * control API: for a moment two believe that they lead, and a slot's death gives both something to ask for.
 */
function drawTwoLeaders(random: RandomStream, slots: readonly string[]): Drawn {
  const victim = oneOf(random, slots);
  const forMs = random.between(6_000, 15_000);
  const deathMs = random.between(4_000, 9_000);
  const begin = (world: ClusterWorld) => {
    const old = world.leader ?? slots[0]!;
    const from = ringOf(slots).filter((slot) => slot !== old);
    world.inject({ kind: 'partition', nodes: [old], from, way: 'both', forMs });
    world.in(deathMs, () => {
      if (victim !== old) world.inject({ kind: 'crash', nodes: [victim] });
    });
  };
  return [{ forMs: Math.max(forMs, deathMs), what: { name: `two leaders, and ${victim} dies`, begin } }];
}

/** The leader dies, and who votes for the next one goes down with the vote just written, and comes back soon. */
function drawRebootAfterVote(random: RandomStream, slots: readonly string[]): Drawn {
  const downMs = duration(random, 10, 300);
  const begin = (world: ClusterWorld) => {
    const old = world.leader ?? slots[0]!;
    const voters = ringOf(slots).filter((slot) => slot !== old);
    world.inject({ kind: 'reboot', nodes: voters, disk: 'keep', downMs, when: 'next-write' });
    world.inject({ kind: 'crash', nodes: [old] });
  };
  return [
    { forMs: 10_000, what: { name: `voters reboot for ${Math.round(downMs)} ms as they vote`, begin } },
  ];
}

/** A slot whose machines die again and again, as a bad disk or a bad image make them. */
function drawCrashLoop(random: RandomStream, slots: readonly string[]): Drawn {
  const nodes = [oneOf(random, slots)];
  const everyMs = random.between(3_000, 8_000);
  const times = 3 + Math.floor(random.float() * 6);
  return Array.from({ length: times }, (_, index) => ({
    atMs: index * everyMs,
    forMs: 0,
    what: { kind: 'crash', nodes },
  }));
}

/** Leaders go in good order one after the other, told by their hosts, or because an operator wants others. */
function drawHandover(random: RandomStream): Drawn {
  const everyMs = duration(random, 500, 6_000);
  const times = 1 + Math.floor(random.float() * 3);
  return Array.from({ length: times }, (_, index) => {
    const what: PlannedFault['what'] = random.chance(0.6)
      ? { kind: 'terminate', nodes: [leaderNode] }
      : {
          name: 'an operator has the leader redeployed',
          begin: (world) => world.operator.redeploy(world.leader ?? world.slots[0] ?? ''),
        };
    return { atMs: index * everyMs, forMs: 0, what };
  });
}

const ringSizes: readonly [least: number, most: number] = [2, 6];

/** The ring is to have another size, at times at the very moment at which one of it was replaced, and soon another. */
function drawResize(random: RandomStream, slots: readonly string[]): Drawn {
  const [least, most] = ringSizes;
  const ring = ringOf(slots);
  const victim = random.chance(0.6) ? oneOf(random, ring) : undefined;
  const leaves = random.chance(0.5) ? oneOf(random, ring) : undefined;
  const sizes = Array.from({ length: random.chance(0.4) ? 2 : 1 }, () =>
    Math.min(
      most,
      Math.max(least, ring.length + (random.chance(0.6) ? -1 : 1) * (random.chance(0.7) ? 1 : 2)),
    ),
  );
  const pauseMs = duration(random, 200, 8_000);
  const begin = (world: ClusterWorld) => {
    const resize = (size: number) => world.operator.resize(size, leaves ?? world.leader);
    const [first, second] = sizes;
    if (victim === undefined) resize(first!);
    else {
      world.onceReplaced(victim, () => resize(first!));
      world.inject({ kind: 'crash', nodes: [victim] });
    }
    if (second !== undefined) world.in(pauseMs, () => resize(second));
  };
  const after = victim === undefined ? '' : `, once ${victim} is replaced`;
  return [
    { forMs: 15_000, what: { name: `the ring is to have ${sizes.join(', then ')} slots${after}`, begin } },
  ];
}

function drawRedeploy(random: RandomStream, slots: readonly string[]): Drawn {
  const slot = oneOf(random, slots);
  const begin = (world: ClusterWorld) => world.operator.redeploy(slot);
  return [{ forMs: 0, what: { name: `an operator has ${slot} redeployed`, begin } }];
}

/** A slot dies, its redeployment is given up at once or on its way, and later it is filled after all. */
function drawHold(random: RandomStream, slots: readonly string[]): Drawn {
  const slot = oneOf(random, slots);
  const afterMs = random.chance(0.4) ? 0 : duration(random, 20, 4_000);
  const forMs = duration(random, 200, 15_000);
  const begin = (world: ClusterWorld) => {
    world.onceReplaced(slot, () => world.in(afterMs, () => world.operator.hold(slot, forMs)));
    world.inject({ kind: 'crash', nodes: [slot] });
  };
  const name = `the redeployment of ${slot} is given up after ${afterMs} ms, for ${forMs} ms`;
  return [{ forMs: 15_000, what: { name, begin } }];
}

/**
 * The cluster is deleted, and one of the same name made at once, of another size. Some machines of the first were out
 * of the runner's reach: they live on until they hear that they are over, where nobody has their address, and know the
 * names and addresses of all.
 */
function drawAnew(random: RandomStream, slots: readonly string[]): Drawn {
  const strays = someOf(random, slots, 1);
  const cutMs = duration(random, 2_000, 30_000);
  const deletedMs = random.between(0, 3_000);
  const bootstrap = 2 + Math.floor(random.float() * 3);
  const peers = Math.floor(random.float() * 3);
  const begin = (world: ClusterWorld) => {
    world.inject({ kind: 'stray', nodes: strays, forMs: cutMs });
    world.in(deletedMs, () => world.operator.anew({ ...world.asked, bootstrap, peers }));
  };
  const name = `a new cluster of the name, of ${bootstrap} and ${peers}, beside ${strays.join()} of the old one`;
  return [{ forMs: Math.max(cutMs, 15_000), what: { name, begin } }];
}

/** Two processes of the control API on one store: something dies for both of them to see, and one is asked to grow the ring. */
function drawSecondControl(random: RandomStream, slots: readonly string[]): Drawn {
  const forMs = duration(random, 3_000, 20_000);
  const deathMs = random.between(500, 3_000);
  const nodes = [oneOf(random, slots)];
  const size = ringOf(slots).length + 1;
  const grows = random.chance(0.5);
  const begin = (world: ClusterWorld) => {
    world.inject({ kind: 'second-control', forMs });
    world.in(deathMs, () => world.inject({ kind: 'crash', nodes }));
    if (grows) world.in(deathMs * 2, () => world.operator.resize(size));
  };
  return [{ forMs, what: { name: `two control APIs, and ${nodes[0]} dies`, begin } }];
}

function ringOf(slots: readonly string[]): string[] {
  return slots.filter((slot) => slot.startsWith('bootstrap-'));
}

function drawGroup(random: RandomStream, slots: readonly string[]): string[] {
  return random.chance(0.5) ? [leaderNode] : someOf(random, slots, 1);
}

function drawWay(random: RandomStream): 'both' | 'in' | 'out' {
  return random.chance(0.6) ? 'both' : random.chance(0.5) ? 'in' : 'out';
}

function drawSlot(random: RandomStream, slots: readonly string[]): string {
  return random.chance(0.4) ? leaderNode : oneOf(random, slots);
}

function oneOf(random: RandomStream, slots: readonly string[]): string {
  return slots[Math.floor(random.float() * slots.length)]!;
}

/** At least `least` of them, seldom all. */
function someOf(random: RandomStream, slots: readonly string[], least: number): string[] {
  const left = [...slots];
  const count = least + Math.floor(random.float() ** 2 * (left.length - least));
  return Array.from({ length: count }, () => left.splice(Math.floor(random.float() * left.length), 1)[0]!);
}

/** Log-uniform, in whole ms: short ones are as interesting as long ones. */
function duration(random: RandomStream, least: number, most: number): number {
  return Math.round(least * (most / least) ** random.float());
}
