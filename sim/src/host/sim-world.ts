/**
 * SimWorld: everything simulated nodes share. One event queue, one virtual clock, one seed from which all
 * chance is drawn, and the network between the machines. A run with one seed takes one course, always;
 * `traceHash` proves it.
 */
import { addressFamily, HostError } from '@skep/p2p-core/host';
import { Datagrams } from './datagrams.ts';
import type { Hashing } from './digests.ts';
import { Digests } from './digests.ts';
import type { DiskOptions, DiskWorld } from './disk.ts';
import { SimDisk } from './disk.ts';
import type { RunOptions, RunResult } from './driver.ts';
import { drive } from './driver.ts';
import { EventQueue } from './event-queue.ts';
import { SyntheticSources } from './extent.ts';
import type { FabricOptions } from './fabric.ts';
import { Fabric } from './fabric.ts';
import type { LinkClock } from './links.ts';
import { isLoopback, Machine } from './machine.ts';
import type { NatKind, NatOptions } from './nat.ts';
import { natOf } from './nat.ts';
import type { PathDegradation } from './paths.ts';
import { RandomStream } from './random-stream.ts';
import type { HostWorld } from './sim-host.ts';
import { SimHost } from './sim-host.ts';
import type { ProcessWorld } from './sim-process.ts';
import { SimProcess } from './sim-process.ts';
import type { Surroundings } from './sockets.ts';
import type { TraceEntry } from './trace.ts';
import { Trace } from './trace.ts';

export interface SimWorldOptions {
  /** Decides everything that chance decides. */
  readonly seed: number | string;
  readonly network?: FabricOptions;
  /** How long looking up a name takes. Default 20. */
  readonly nameLookupMs?: number;
  /** wallTime of a right clock when the world begins. Default: 2026-01-01. */
  readonly startWallTimeMs?: number;
  /** Of synthetic content, by what it is or over its derived bytes: see digests.ts. Default `modelled`. */
  readonly hashing?: Hashing;
  /** Whether reaching for the real clock, timers, chance or network fails the run. Default true. */
  readonly guard?: boolean;
  /** Told of each entry of the trace: to find where two runs that should be one part ways. */
  readonly onTrace?: (entry: TraceEntry) => void;
}

export interface SimHostOptions {
  /** The machine's IPv4 address, its own in this world. */
  readonly address: string;
  /** Default: no limit. */
  readonly upBytesPerSecond?: number;
  readonly downBytesPerSecond?: number;
  /** Where it stands, for latencies by region. Default: nowhere, ''. */
  readonly region?: string;
  /** The address translation that it stands behind. Default 'none'. */
  readonly nat?: NatKind | NatOptions;
  readonly clockSkewMs?: number;
  readonly disk?: DiskOptions;
  /** Told what callbacks threw. Default: the run fails with it. */
  readonly onUncaught?: (error: unknown) => void;
}

export class SimWorld {
  readonly #options: SimWorldOptions;
  readonly #queue = new EventQueue();
  readonly #trace: Trace;
  readonly #fabric: Fabric;
  readonly #surroundings: Surroundings;
  readonly #machines = new Map<string, Machine>();
  readonly #names = new Map<string, readonly string[]>();
  readonly #failures: unknown[] = [];
  /** What hosts and disks need of their world: one object, for there may be ten thousand of them. */
  readonly #shared: HostWorld & DiskWorld;
  readonly #processWorld: ProcessWorld;
  readonly #clock: LinkClock;
  readonly #onUncaught = (error: unknown) => void this.#failures.push(error);
  #nowMs = 0;

  constructor(options: SimWorldOptions) {
    this.#options = options;
    this.#trace = new Trace(options.onTrace);
    const now = () => this.#nowMs;
    const components = { queue: this.#queue, now, seed: options.seed };
    this.#clock = { queue: this.#queue, now };
    this.#fabric = new Fabric(components, options.network ?? {});
    const { paths } = this.#fabric;
    this.#surroundings = {
      machineAt: (address) => this.#machines.get(address),
      namesOf: (name) => (name === 'localhost' ? ['127.0.0.1'] : this.#names.get(name)),
      nameLookupMs: options.nameLookupMs ?? 20,
      datagrams: new Datagrams({ ...components, paths, trace: this.#trace }),
    };
    const startWallTimeMs = options.startWallTimeMs ?? Date.UTC(2026, 0, 1);
    this.#shared = {
      fabric: this.#fabric,
      trace: this.#trace,
      surroundings: this.#surroundings,
      digests: new Digests(options.hashing ?? 'modelled'),
      sources: new SyntheticSources(),
      now,
      wallTimeOf: ({ clockSkewMs }) => startWallTimeMs + this.#nowMs + clockSkewMs,
      randomOf: (label) => new RandomStream(options.seed, label),
    };
    const world = this;
    this.#processWorld = {
      queue: this.#queue,
      get nowMs() {
        return world.#nowMs;
      },
    };
  }

  /** Virtual milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** A new machine and the first process on it. Throws address-in-use, address-unavailable. */
  createHost(options: SimHostOptions): SimHost {
    const { address } = options;
    if (addressFamily(address) !== 4 || isLoopback(address))
      throw new HostError('address-unavailable', `${address} is no machine's IPv4 address. Choose another.`);
    if (this.#machines.has(address))
      throw new HostError('address-in-use', `The world has a machine at ${address} already. Choose another.`);
    const { seed } = this.#options;
    const machine = new Machine({
      ordinal: this.#machines.size,
      address,
      clock: this.#clock,
      random: new RandomStream(seed, `network/${address}`),
      region: this.#fabric.paths.regionOf(options.region ?? ''),
      nat: natOf(options.nat),
      diskOf: (owner) => new SimDisk(this.#shared, owner, options.disk),
      upBytesPerSecond: options.upBytesPerSecond,
      downBytesPerSecond: options.downBytesPerSecond,
    });
    machine.clockSkewMs = options.clockSkewMs ?? 0;
    this.#machines.set(address, machine);
    return this.#start(machine, options, 1);
  }

  /** Gives a name to addresses for `Network.resolve`; no addresses take it away. */
  setName(name: string, addresses: readonly string[]): void {
    this.#names.set(name, addresses);
  }

  /** Cuts two groups of addresses off from each other, both ways. The returned function heals this cut alone. */
  partition(groupA: Iterable<string>, groupB: Iterable<string>): () => void {
    const a = [...groupA];
    const b = [...groupB];
    const heals = [this.#fabric.paths.cut({ from: a, to: b }), this.#fabric.paths.cut({ from: b, to: a })];
    return () => {
      for (const heal of heals) heal();
    };
  }

  /** Lets nothing through from one group to the other; the way back stays open. */
  cutOneWay(from: Iterable<string>, to: Iterable<string>): () => void {
    return this.#fabric.paths.cut({ from, to });
  }

  /**
   * Makes the way from each machine of one group to each of the other worse, one way; several such add up. The
   * returned function heals this alone.
   */
  degrade(from: Iterable<string>, to: Iterable<string>, degradation: PathDegradation): () => void {
    return this.#fabric.paths.degrade(from, to, degradation);
  }

  /** Ends all cuts and degradations. */
  heal(): void {
    this.#fabric.paths.healAll();
  }

  /** Calls `action` at a virtual time, as the world itself: to inject a fault, say. */
  at(timeMs: number, action: () => void): void {
    this.#queue.add(Math.max(timeMs, this.#nowMs), action);
  }

  /**
   * Lets time pass until what the options say, or until nothing is left to happen. Rejects with the first
   * uncaught throw or reach past the Host seam.
   */
  run(options: RunOptions = {}): Promise<RunResult> {
    return drive(
      {
        queue: this.#queue,
        guard: this.#options.guard ?? true,
        failures: this.#failures,
        advanceTo: (timeMs) => {
          this.#nowMs = timeMs;
        },
      },
      options,
    );
  }

  /** Lets time pass until `promise` settles, and settles the same. Rejects if it cannot, or not by `untilMs`. */
  async complete<T>(promise: Promise<T>, options: { readonly untilMs?: number } = {}): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    const { reason } = await this.run({ ...options, until: () => isSettled });
    if (!isSettled)
      throw new Error(
        reason === 'idle'
          ? 'The awaited promise cannot settle: nothing is left to happen in the world.'
          : `The awaited promise had not settled at ${this.#nowMs} ms.`,
      );
    return promise;
  }

  /** 16 hex digits over all that crossed the network and all faults so far. */
  traceHash(): string {
    return this.#trace.hash();
  }

  #start(machine: Machine, options: SimHostOptions, generation: number): SimHost {
    const process = new SimProcess(this.#processWorld, options.onUncaught ?? this.#onUncaught);
    machine.isOn = true;
    this.#trace.add(this.#nowMs, 'start', machine, machine, generation);
    const restart = () => this.#start(machine, options, generation + 1);
    return new SimHost(this.#shared, { machine, process, generation, restart });
  }
}
