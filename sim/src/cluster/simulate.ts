/**
 * A world for a test: a cluster that serves, in virtual time, to which things are done and of which things are
 * expected. Whatever goes wrong is told with the seed, and with what happened last.
 */
import type { ClusterSpec } from '@skep/contract';
import { describeContent, type ExperimentContent } from '@skep/control-api/experiments';
import { ClusterWorld, type ClusterWorldOptions, type Violation } from './cluster-world.ts';
import { type FleetOptions, fleetPresets } from './fleet.ts';
import type { ClusterFault } from './injection.ts';
import { safetyInvariants } from './invariants.ts';

export interface SimulationOptions extends Omit<ClusterWorldOptions, 'spec' | 'fleet' | 'onTrace'> {
  readonly cluster?: Partial<ClusterSpec>;
  /** How machines are launched: as given, or as a runner of this name does. */
  readonly fleet?: FleetOptions | keyof typeof fleetPresets;
  /** What goes wrong, and when, from when the cluster first served. */
  readonly faults?: readonly { readonly atMs: number; readonly fault: ClusterFault }[];
  /** Whether the world goes on after an invariant was violated, for whoever expects that. @default false */
  readonly goesOn?: boolean;
}

export interface Patience {
  /** Virtual ms. @default 300000 */
  readonly withinMs?: number;
}

/** The world did not do as expected. `message` has the seed, what was wrong, and the last that happened. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
  readonly code = 'simulation-failed';
  readonly seed: number | string;
  constructor(seed: number | string, what: string, story: readonly string[]) {
    const last = story.slice(-toldLines).map((line) => `  ${line}`);
    super(`seed ${seed}: ${what}\nWhat happened last, by seconds:\n${last.join('\n')}`);
    this.seed = seed;
  }
}

/** Resolves with a world whose cluster serves. Rejects SimulationFailure if it never did. */
export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { cluster: spec = {}, fleet, faults = [], goesOn: _, ...rest } = options;
  const cluster = await ClusterWorld.create({
    invariants: safetyInvariants(),
    ...rest,
    spec,
    ...(fleet === undefined ? {} : { fleet: typeof fleet === 'string' ? fleetPresets[fleet] : fleet }),
  });
  const world = new Simulation(cluster, options);
  await world.healed();
  for (const { atMs, fault } of faults) world.at(atMs, fault);
  return world;
}

const patienceMs = 300_000;
const lookMs = 200;
const toldLines = 25;
const contentRoot = '/content';

export class Simulation {
  /** The parts, for whoever needs more than is here. */
  readonly cluster: ClusterWorld;
  readonly #options: SimulationOptions;
  readonly #shared: SharedContent[] = [];

  constructor(cluster: ClusterWorld, options: SimulationOptions) {
    this.cluster = cluster;
    this.#options = options;
  }

  /** Virtual ms since the world began. */
  get nowMs(): number {
    return this.cluster.nowMs;
  }

  /** Slot names, the ring's first. */
  get slots(): readonly string[] {
    return this.cluster.slots;
  }

  get leader(): string | undefined {
    return this.cluster.leader;
  }

  /** In the order in which they were found. */
  get violations(): readonly Violation[] {
    return this.cluster.violations;
  }

  /** What happened, a line each. */
  get story(): readonly string[] {
    return this.cluster.story;
  }

  /** Equal for worlds that took the same course. */
  get traceHash(): string {
    return this.cluster.world.traceHash();
  }

  /** How many machines a slot has had. */
  generationOf(slot: string): number | undefined {
    return this.cluster.ledger.slots.get(slot)?.generation;
  }

  inject(fault: ClusterFault): void {
    this.cluster.inject(fault);
  }

  /** Does something, or has a fault happen, `sinceNowMs` from now. */
  at(sinceNowMs: number, what: ClusterFault | (() => void)): void {
    this.cluster.in(sinceNowMs, typeof what === 'function' ? what : () => this.inject(what));
  }

  async pass(forMs: number): Promise<void> {
    const { world, violations } = this.cluster;
    const stops = this.#options.goesOn !== true;
    await world.run({ untilMs: world.nowMs + forMs, until: () => stops && violations.length > 0 });
    if (stops) this.verify();
  }

  /** Lets time pass until the condition holds; asked a few times a second. Rejects if it does not within that time. */
  async until(
    condition: () => boolean,
    {
      withinMs = patienceMs,
      what = 'what was waited for did not come about',
    }: Patience & { what?: string } = {},
  ): Promise<void> {
    const deadlineMs = this.nowMs + withinMs;
    while (!condition()) {
      if (this.nowMs >= deadlineMs) this.#fail(`${what} within ${withinMs} ms`);
      await this.pass(lookMs);
    }
  }

  /** Until every slot has its machine, which serves, nothing is left to do, and one of the ring leads. */
  async healed(patience: Patience = {}): Promise<void> {
    let missing: string | undefined;
    const isHealed = () => {
      missing = this.cluster.unhealed();
      return missing === undefined;
    };
    const { withinMs = patienceMs } = patience;
    const deadlineMs = this.nowMs + withinMs;
    while (!isHealed()) {
      if (this.nowMs >= deadlineMs) this.#fail(`the cluster did not heal within ${withinMs} ms: ${missing}`);
      await this.pass(lookMs);
    }
  }

  /**
   * Spreads content that follows from the seed, and is stored nowhere: `seeds` have it (default: the first
   * peer), all other peers get it.
   */
  async share(content: {
    readonly name?: string;
    readonly sizeBytes: number;
    readonly seeds?: readonly string[];
  }): Promise<SharedContent> {
    const { cluster } = this;
    const { name = `content-${this.#shared.length + 1}`, sizeBytes } = content;
    const seeds = content.seeds ?? this.#peers().slice(0, 1);
    const hosts = seeds.map((slot) => cluster.hostOf(slot));
    const [first] = hosts;
    if (first === undefined)
      this.#fail(`there is no machine in ${seeds[0] ?? 'any peer slot'} to seed ${name}`);
    const seed = `${this.#options.seed}/${name}`;
    for (const host of hosts) {
      host?.disk.putSynthetic(`${contentRoot}/${name}`, { seed, length: sizeBytes });
    }
    const described = await cluster.world.complete(describeContent(first, { contentRoot, name }));
    await cluster.world.complete(
      cluster.client.addTorrent({
        params: { cluster: cluster.spec.name },
        body: {
          metainfo: described.metainfo,
          seeds: seeds.map((slot) => ({ slot, contentRoot })),
          leeches: 'all',
        },
      }),
    );
    const shared = new SharedContent(this, described);
    this.#shared.push(shared);
    return shared;
  }

  /** Throws what was violated, if anything was. */
  verify(): void {
    if (this.violations.length === 0) return;
    this.#fail(
      this.violations
        .map(({ invariant, atMs, detail }) => `${invariant}, at ${Math.round(atMs)} ms: ${detail}`)
        .join('\n'),
    );
  }

  #peers(): readonly string[] {
    return this.slots.filter((slot) => slot.startsWith('peer-'));
  }

  #fail(what: string): never {
    throw new SimulationFailure(this.#options.seed, what, this.story);
  }
}

/** Content that a cluster spreads. */
export class SharedContent {
  readonly infoHash: string;
  readonly sha256: string;
  readonly #world: Simulation;

  constructor(world: Simulation, { infoHash, sha256 }: ExperimentContent) {
    this.#world = world;
    this.infoHash = infoHash;
    this.sha256 = sha256;
  }

  /** Slots whose present machine has said that it holds all of it, read back from its disk, byte for byte. */
  get holders(): readonly string[] {
    const { ledger } = this.#world.cluster;
    const holders = new Set<string>();
    for (const { kind, slot, generation, data } of ledger.events) {
      const isThis =
        kind === 'content-complete' && data.infoHash === this.infoHash && data.sha256 === this.sha256;
      if (isThis && slot !== undefined && ledger.slots.get(slot)?.generation === generation)
        holders.add(slot);
    }
    return [...holders];
  }

  /** Until all of these slots hold it. @default all peers */
  async spread(patience: Patience & { readonly to?: readonly string[] } = {}): Promise<void> {
    const { to = this.#world.slots.filter((slot) => slot.startsWith('peer-')) } = patience;
    const left = () => to.filter((slot) => !this.holders.includes(slot));
    await this.#world.until(() => left().length === 0, {
      ...patience,
      what: `${this.infoHash} did not reach ${to.join(', ')}`,
    });
  }
}

/**
 * Holds a property for seed after seed; `only` replays one. Rejects with the first seed that it does not hold
 * for, and with `replay(seed)`, the command that shows it.
 */
export async function forSeeds(
  seeds: {
    readonly from?: number;
    readonly count: number;
    readonly only?: number | undefined;
    readonly replay: (seed: number) => string;
  },
  property: (seed: number) => Promise<void>,
): Promise<void> {
  const { from = 1, count, only, replay } = seeds;
  const first = only ?? from;
  const past = only === undefined ? from + count : only + 1;
  for (let seed = first; seed < past; seed++) {
    try {
      await property(seed);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      const told = detail.startsWith(`seed ${seed}:`) ? detail : `seed ${seed}: ${detail}`;
      throw new Error(`${told}\nreplay: ${replay(seed)}`, { cause: error });
    }
  }
}
