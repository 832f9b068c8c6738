/**
 * The whole product in one simulated world: a control API in a process of its own, a fleet that it launches
 * machines in, and one cluster of agents. Everything is started as in production; what stands around it is
 * the truth that invariants are judged by.
 */
import { type ApiClient, ApiError, ClusterSpec, controlApiNode, createApiClient } from '@skep/contract';
import { createControlApi } from '@skep/control-api';
import type { Host, HttpHandler } from '@skep/p2p-core/host';
import type { FabricOptions, SimHost, TraceEntry } from '../host/index.ts';
import { RandomStream, SimWorld } from '../host/index.ts';
import { type Distribution, drawMs } from './distribution.ts';
import { Fleet, type FleetMachine, type FleetOptions } from './fleet.ts';
import { Impairments } from './impairments.ts';
import { type ClusterFault, Injection } from './injection.ts';
import type { Invariant } from './invariants.ts';
import { SimLauncher } from './launcher.ts';
import { Ledger } from './ledger.ts';
import { Operator } from './operator.ts';
import { type Plant, type Planted, plantIn } from './planted.ts';
import { DurableRows, type DurableRowsOptions, type StoreOutage } from './store.ts';
import { type HostWatcher, sleepOn, watchedHost } from './watched-host.ts';
import { Wire } from './wire.ts';

export interface ClusterWorldOptions {
  readonly seed: number | string;
  readonly spec?: Partial<ClusterSpec>;
  readonly network?: FabricOptions;
  readonly fleet?: FleetOptions;
  readonly rows?: DurableRowsOptions;
  readonly control?: ControlOptions;
  /** Told of each entry of the trace. */
  readonly onTrace?: (entry: TraceEntry) => void;
  readonly invariants?: readonly Invariant[];
  /** A check of the product to take away, which the invariants should then find. */
  readonly planted?: Planted | undefined;
}

/** How the control API's process behaves, beside what it does. */
export interface ControlOptions {
  /** From a request's arrival to its handling. @default none */
  readonly latencyMs?: Distribution;
  /** From its crash to its next process. @default 100 to 5000 */
  readonly restartMs?: Distribution;
}

export interface Violation {
  readonly invariant: string;
  readonly atMs: number;
  readonly detail: string;
}

export const controlAddress = '10.0.0.1';
const controlPort = 7700;
export const operatorAddress = '10.0.0.2';
const secondControlAddress = '10.0.0.3';
const adminToken = 'admin-token-of-the-simulation';
const clusterName = 'bees';
/** A supervisor starts a control API that could not start again after this. */
const superviseMs = 500;
/** How often invariants are asked that watch for nothing in particular. */
const lookMs = 250;

export class ClusterWorld {
  readonly world: SimWorld;
  readonly fleet: Fleet;
  readonly ledger = new Ledger();
  readonly wire = new Wire({
    now: () => this.world.nowMs,
    uidAt: (host) => this.#senders.get(host)?.ref.clusterUid,
  });
  readonly operator: Operator;
  readonly impairments: Impairments;
  readonly violations: Violation[] = [];
  /** What happened, a line each, faults and the control API's troubles included. */
  readonly story: string[] = [];
  readonly #options: ClusterWorldOptions;
  readonly #rows: DurableRows;
  readonly #invariants: Invariant[] = [];
  readonly #plant: Plant;
  readonly #injection: Injection;
  readonly #random: RandomStream;
  readonly #operatorHost: SimHost;
  /** By address: the machine that booted there last. */
  readonly #senders = new Map<string, FleetMachine>();
  #controlHost: SimHost;
  #secondControl: SimHost | undefined;
  readonly #onceReplaced = new Map<string, () => void>();
  #spec: ClusterSpec | undefined;

  private constructor(options: ClusterWorldOptions) {
    const { seed } = options;
    this.#options = options;
    this.world = new SimWorld({
      seed,
      ...(options.network === undefined ? {} : { network: options.network }),
      ...(options.onTrace === undefined ? {} : { onTrace: options.onTrace }),
    });
    this.#random = new RandomStream(seed, 'cluster-world');
    this.#plant = options.planted === undefined ? {} : plantIn(this, options.planted);
    this.#injection = new Injection(this);
    const hostFor = (host: SimHost, machine: FleetMachine) => this.#hostFor(host, machine);
    this.fleet = new Fleet({ world: this.world, seed }, { ...options.fleet, hostFor });
    this.#rows = new DurableRows(seed, options.rows);
    this.impairments = new Impairments(() => this.world.nowMs);
    for (const invariant of options.invariants ?? []) this.watch(invariant);
    this.#controlHost = this.world.createHost({ address: controlAddress });
    this.#operatorHost = this.world.createHost({ address: operatorAddress });
    this.operator = new Operator(
      {
        host: this.#operatorHost,
        ledger: this.ledger,
        client: () => this.client,
        secondClient: () => this.secondClient,
      },
      {
        cluster: clusterName,
        onAnew: (spec) => {
          this.#spec = ClusterSpec.parse({ name: clusterName, ...spec });
        },
        onTold: (line) => this.tell(line),
      },
    );
    this.#rows.onCommit((commit) => {
      const changes = this.ledger.apply(commit, this.nowMs);
      for (const { kind, slot, generation, data } of commit.events) {
        this.tell(`${kind} ${slot === undefined ? '' : `${slot}@${generation} `}${JSON.stringify(data)}`);
      }
      for (const event of commit.events) this.#judge((invariant) => invariant.onEvent?.(this, event));
      for (const change of changes) {
        this.#judge((invariant) => invariant.onCommit?.(this, change));
        if (change.table === 'slots' && change.before !== undefined) this.#replaced(change.before.slot);
      }
    });
    this.fleet.onChange((machine, change) => {
      this.tell(
        `${machine.name} ${machine.ref.slot}@${machine.ref.generation} ${machine.evidence ?? change}`,
      );
      if (change === 'booted' || change === 'moved') this.#injection.settle(machine.ref.slot);
      this.#judge((invariant) => invariant.onFleet?.(this, machine, change));
    });
  }

  /** A control API that serves, and no cluster yet: one with the spec of the options may be asked of it. */
  static async open(options: ClusterWorldOptions): Promise<ClusterWorld> {
    const world = new ClusterWorld(options);
    world.#spec = ClusterSpec.parse({ name: clusterName, ...options.spec });
    await world.world.complete(world.#superviseControlApi());
    return world;
  }

  /** A control API that serves, and a cluster all of whose launches are decided. */
  static async create(options: ClusterWorldOptions): Promise<ClusterWorld> {
    const world = await ClusterWorld.open(options);
    const { client } = world;
    const body = { name: clusterName, ...options.spec };
    // Asks as a person would: again, if the store had a bad moment.
    const create = async (): Promise<ClusterSpec> => {
      for (;;) {
        try {
          return (await client.createCluster({ body })).spec;
        } catch (error) {
          if (!(error instanceof ApiError) || error.problem?.code !== 'store-unavailable') throw error;
        }
      }
    };
    world.#spec = await world.world.complete(create());
    return world;
  }

  get spec(): ClusterSpec {
    return this.#spec!;
  }

  /** The spec's fields as they were asked for: what a control API says of them may be planted. */
  get asked(): Partial<ClusterSpec> {
    return this.#options.spec ?? {};
  }

  /** An admin's, on a machine of its own that no fault reaches. */
  get client(): ApiClient {
    return this.#clientOf(controlAddress);
  }

  /** Of whoever answers that is not the usual process, if there is one. */
  get secondClient(): ApiClient | undefined {
    return this.#secondControl?.state === 'running' ? this.#clientOf(secondControlAddress) : undefined;
  }

  /** Whether there ever were two processes of the control API at once. */
  get hadSecondControl(): boolean {
    return this.#secondControl !== undefined;
  }

  #clientOf(address: string): ApiClient {
    return createApiClient({
      baseUrl: `http://${address}:${controlPort}`,
      token: adminToken,
      fetch: (url, init) => this.#operatorHost.http.fetch(url, init),
    });
  }

  /** The machine that the client is on. */
  get operatorHost(): Host {
    return this.#operatorHost;
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  /** Slot names, the ring's first. */
  get slots(): readonly string[] {
    return [...this.ledger.slots.keys()];
  }

  /** The slot whose machine holds the lease, if any does. */
  get leader(): string | undefined {
    const slot = this.ledger.lease?.holder.split('@')[0];
    return slot !== undefined && this.ledger.slots.has(slot) ? slot : undefined;
  }

  /** The machine that lives in a slot. */
  machineIn(slot: string): FleetMachine | undefined {
    return this.fleet.living().find(({ ref, state }) => ref.slot === slot && state === 'alive');
  }

  /** The machine, switched on or not, that is at a place now. */
  hostOf(place: string): SimHost | undefined {
    return place === controlApiNode ? this.#controlHost : this.machineIn(place)?.host;
  }

  addressOf(place: string): string {
    return place === controlApiNode ? controlAddress : this.ledger.slots.get(place)!.addresses.listen.host;
  }

  /**
   * Undefined once every slot has exactly one machine, which serves, nothing is left to be done, and one of
   * the ring holds the lease; else what is missing.
   */
  unhealed(): string | undefined {
    const { wants } = this.operator;
    if (wants !== undefined) return wants;
    const living = this.fleet.living();
    for (const slot of this.ledger.slots.values()) {
      const row = this.ledger.current(slot);
      if (row?.state !== 'serving') return `${slot.slot}@${slot.generation} is ${row?.state ?? 'unknown'}`;
      const machines = living.filter(({ ref }) => ref.slot === slot.slot);
      const [machine] = machines;
      if (machines.length !== 1) return `${slot.slot} has ${machines.length} machines`;
      if (machine!.ref.generation !== slot.generation)
        return `${slot.slot} has a machine of another generation`;
    }
    if (this.ledger.effectCount > 0) return `${this.ledger.effectCount} effects are not carried out`;
    const { holder = '' } = this.ledger.lease ?? {};
    const holds = [...this.ledger.slots.values()].some(
      (slot) => `${slot.slot}@${slot.generation}` === holder,
    );
    if (!holds || this.nowMs > this.ledger.leaseGivenAtMs + this.spec.leaseMs)
      return `nobody of the ring leads (${holder})`;
    return undefined;
  }

  /** Checks one invariant more from now on. */
  watch(invariant: Invariant): void {
    this.#invariants.push(invariant);
    if (invariant.assert !== undefined) this.in(lookMs, () => this.#look(invariant));
  }

  /** Begins a fault now. */
  inject(fault: ClusterFault): void {
    this.#injection.inject(fault);
  }

  /** Calls `action` at a virtual time, `sinceNowMs` from now. */
  in(sinceNowMs: number, action: () => void): void {
    this.world.at(this.nowMs + sinceNowMs, action);
  }

  // ---- what faults are made of

  crash(slot: string, kind: 'process' | 'machine'): void {
    const machine = this.machineIn(slot);
    if (machine !== undefined) this.fleet.crash(machine, kind);
  }

  /** Tells the agent in a slot to end, as its host does. */
  terminate(slot: string): void {
    const machine = this.machineIn(slot);
    if (machine !== undefined) this.fleet.terminate(machine);
  }

  /** Kills the control API, and starts it again after a while on the same store. */
  crashControl(downMs = drawMs(this.#random, this.#options.control?.restartMs ?? [100, 5_000])): void {
    if (this.#controlHost.state === 'dead') return;
    this.#controlHost.crash();
    this.world.at(this.nowMs + downMs, () => {
      this.#controlHost = this.#controlHost.restart();
      void this.#superviseControlApi();
    });
  }

  /**
   * Starts a second process of the control API on the same store, which no agent reports to, as an update that overlaps
   * or a supervisor that is mistaken does; and ends it after a while.
   */
  secondControl(forMs: number): void {
    if (this.#secondControl?.state === 'running') return;
    const host = this.#secondControl?.restart() ?? this.world.createHost({ address: secondControlAddress });
    this.#secondControl = host;
    void this.#superviseControlApi(host);
    this.in(forMs, () => host.crash());
  }

  storeOutage(way: StoreOutage, forMs: number): void {
    this.#rows.goOut(way, this.nowMs, forMs);
  }

  /** Calls `action` when a slot next moves on to another generation, before anyone is told of it. */
  onceReplaced(slot: string, action: () => void): void {
    this.#onceReplaced.set(slot, action);
  }

  tell(line: string): void {
    this.story.push(`${(this.nowMs / 1_000).toFixed(3)} ${line}`);
  }

  violate(invariant: string, detail: string): void {
    this.violations.push({ invariant, atMs: this.nowMs, detail });
    this.tell(`VIOLATED ${invariant}: ${detail}`);
  }

  #replaced(slot: string): void {
    const action = this.#onceReplaced.get(slot);
    this.#onceReplaced.delete(slot);
    if (action !== undefined) this.world.at(this.nowMs, action);
  }

  /** Serves, as soon as the store lets it, unless the process is killed meanwhile. */
  async #superviseControlApi(host = this.#controlHost): Promise<void> {
    for (;;) {
      try {
        return await this.#serveControlApi(host);
      } catch (error) {
        this.tell(`the control API could not start: ${error instanceof Error ? error.message : error}`);
        await sleepOn(host, superviseMs);
      }
    }
  }

  async #serveControlApi(host: SimHost): Promise<void> {
    const plant = this.#plant;
    const durable = this.#rows.forProcess(host);
    const rows = plant.rows?.(durable) ?? durable;
    const launcher = new SimLauncher({ fleet: this.fleet, host });
    const api = await createControlApi(
      { host, store: rows, journal: rows, launcher: plant.launcher?.(launcher) ?? launcher },
      {
        adminToken,
        version: 'simulated',
        baseUrl: () => `http://${controlAddress}:${controlPort}`,
        masterSecret: new Uint8Array(32).fill(7),
        onTrouble: (message) => this.tell(`control API: ${message}`),
      },
    );
    await api.start();
    const planted = plant.layer?.(api.handler) ?? api.handler;
    const { latencyMs } = this.#options.control ?? {};
    const handler: HttpHandler =
      latencyMs === undefined
        ? planted
        : async (request, remote) => {
            await sleepOn(host, drawMs(this.#random, latencyMs));
            return planted(request, remote);
          };
    await host.http.serve({ host: host.address, port: controlPort }, this.#watched(handler));
    this.tell(host === this.#secondControl ? 'a second control API serves' : 'the control API serves');
  }

  #hostFor(host: SimHost, machine: FleetMachine): Host {
    const { slot } = machine.ref;
    this.#senders.set(machine.address, machine);
    const watcher: HostWatcher = {
      onWritten: () => this.#injection.wrote(slot),
      onAsk: (ask) => this.#judge((invariant) => invariant.onAsk?.(this, machine, ask)),
      onShown: (shown) => this.#judge((invariant) => invariant.onShown?.(this, machine, shown)),
    };
    const watched = watchedHost(host, watcher, this.ledger.slots.get(slot)?.addresses.ringPort);
    return this.#plant.host?.(watched, machine) ?? watched;
  }

  #watched(handler: HttpHandler): HttpHandler {
    return this.wire.layer((request) => {
      const judges = this.#invariants.flatMap((invariant) => {
        const judge = invariant.onRequest?.(this, request);
        return judge === undefined ? [] : [{ id: invariant.id, judge }];
      });
      return (exchange) => {
        for (const { id, judge } of judges) {
          const finding = judge(exchange);
          if (finding !== undefined) this.violate(id, finding);
        }
      };
    })(handler);
  }

  #look(invariant: Invariant): void {
    const finding = invariant.assert?.(this);
    if (finding !== undefined) this.violate(invariant.id, finding);
    this.in(lookMs, () => this.#look(invariant));
  }

  #judge(look: (invariant: Invariant) => string | undefined): void {
    for (const invariant of this.#invariants) {
      const finding = look(invariant);
      if (finding !== undefined) this.violate(invariant.id, finding);
    }
  }
}
