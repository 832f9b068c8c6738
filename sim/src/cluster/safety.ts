/**
 * One seed of the safety search: a cluster, its network and its faults drawn from the seed, run until the
 * faults are over and the cluster has healed, under all invariants.
 */
import { RandomStream } from '../host/index.ts';
import { ClusterWorld, type Violation } from './cluster-world.ts';
import { planFaults, schedule } from './faults.ts';
import { safetyInvariants } from './invariants.ts';
import type { Planted } from './planted.ts';

export interface SafetyOptions {
  /** A check to take away; the run is then expected to find it. */
  readonly planted?: Planted;
}

export interface SafetyResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Equal for runs that took the same course. */
  readonly hash: string;
  readonly virtualMs: number;
  /** How many generations were replaced, and how many machines were launched. */
  readonly redeployments: number;
  readonly launches: number;
  /** What happened, a line each. */
  readonly story: readonly string[];
}

/** To come up, with the worst of launches. */
const startMs = 90_000;
/** From the end of the last fault: join timeout, back-offs and the redeployment budget may all add up. */
const healMs = 240_000;
/** A cluster that healed is watched a while longer: it must stay as it is. */
const quietMs = 5_000;
const lookMs = 200;

export async function runSafety(seed: number, options: SafetyOptions = {}): Promise<SafetyResult> {
  const { planted } = options;
  const random = new RandomStream(seed, 'cluster');
  const [least, most] = [random.between(1, 40), random.between(1, 120)].sort((a, b) => a - b);
  const cluster = await ClusterWorld.create({
    seed,
    spec: {
      bootstrap: 3 + Math.floor(random.float() * 3),
      peers: Math.floor(random.float() * 3),
      index: drawIndex(seed),
      spares: random.chance(0.35) ? 1 + Math.floor(random.float() * 2) : 0,
      redeploymentsPerSlot: 2 + Math.floor(random.float() * 3),
      graceMs: Math.round(random.between(3_000, 9_000)),
    },
    network: {
      latencyMs: { minMs: least!, maxMs: most! },
      jitterMs: random.between(0, 20),
      udpLossRate: random.chance(0.6) ? random.between(0, 0.3) : 0,
      udpDuplicateRate: random.chance(0.3) ? 0.05 : 0,
    },
    fleet: {
      launchFailureRate: random.chance(0.5) ? 0.15 : 0,
      unknownOutcomeRate: random.chance(0.5) ? 0.2 : 0,
      bootMs: random.chance(0.3)
        ? { kind: 'log-normal', medianMs: 4_000, sigma: 0.8, mostMs: 40_000 }
        : [50, 1_500],
      exitKnownMs: random.chance(0.3)
        ? { kind: 'exponential', meanMs: 5_000, leastMs: 20, mostMs: 30_000 }
        : [20, 2_000],
      stopMs: random.chance(0.5) ? [0, 5_000] : [0, 0],
      clockSkewMs: 300_000,
    },
    rows: { failureRate: random.chance(0.4) ? 0.02 : 0 },
    control: {
      restartMs: { kind: 'exponential', meanMs: 4_000, leastMs: 100, mostMs: 20_000 },
      ...(random.chance(0.4)
        ? { latencyMs: { kind: 'exponential', meanMs: random.between(5, 150), mostMs: 2_000 } as const }
        : {}),
    },
    invariants: safetyInvariants(),
    planted,
  });
  const search = new SafetySearch(cluster);
  await search.run(seed);
  return {
    seed,
    violations: cluster.violations,
    hash: cluster.world.traceHash(),
    virtualMs: cluster.nowMs,
    redeployments: cluster.ledger.events.filter(({ kind }) => kind === 'redeployment-accepted').length,
    launches: cluster.fleet.all().length,
    story: cluster.story,
  };
}

/** Of a stream of its own: worlds without index nodes take the course that they took before there were any. */
function drawIndex(seed: number): number {
  const random = new RandomStream(seed, 'index nodes');
  return random.chance(0.25) ? 1 + Math.floor(random.float() * 2) : 0;
}

/** Of a stream of its own too: when nodes are to test where they stand, which is never in most worlds. */
function drawTests(seed: number, endMs: number): readonly number[] {
  const random = new RandomStream(seed, 'self-tests');
  const count = random.chance(0.25) ? 1 + Math.floor(random.float() * 4) : 0;
  return Array.from({ length: count }, () => random.between(0, endMs));
}

class SafetySearch {
  readonly #cluster: ClusterWorld;

  constructor(cluster: ClusterWorld) {
    this.#cluster = cluster;
  }

  async run(seed: number): Promise<void> {
    const cluster = this.#cluster;
    if (!(await this.#healedWithin('every slot is filled at first', startMs))) return;
    const plan = planFaults(seed, cluster.slots);
    schedule(cluster, plan);
    for (const atMs of drawTests(seed, plan.endMs)) cluster.in(atMs, () => cluster.operator.test());
    await this.#runFor(plan.endMs);
    if (cluster.violations.length > 0) return;
    cluster.tell('FAULTS over');
    if (!(await this.#healedWithin('every dead slot is filled once faults have ended', healMs))) return;
    await this.#runFor(quietMs);
  }

  async #healedWithin(invariant: string, withinMs: number): Promise<boolean> {
    const cluster = this.#cluster;
    const deadlineMs = cluster.nowMs + withinMs;
    while (cluster.violations.length === 0 && cluster.unhealed() !== undefined) {
      if (cluster.nowMs >= deadlineMs) {
        cluster.violate(invariant, `after ${withinMs} ms ${cluster.unhealed()}`);
        return false;
      }
      await this.#runFor(lookMs);
    }
    return cluster.violations.length === 0;
  }

  /** Less if something is violated: what follows from that is of no interest. */
  async #runFor(durationMs: number): Promise<void> {
    const { world, violations, nowMs } = this.#cluster;
    await world.run({ untilMs: nowMs + durationMs, until: () => violations.length > 0 });
  }
}
