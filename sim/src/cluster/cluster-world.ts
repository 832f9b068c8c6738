/**
 * The whole product in one simulated world: a control API in a process of its own, a fleet that it launches
 * machines in, and one cluster of agents. Everything is started as in production; what stands around it is
 * the truth that invariants are judged by.
 */
import { ApiError, type ClusterSpec, createApiClient } from '@skep/contract';
import { createControlApi } from '@skep/control-api';
import type { HttpHandler } from '@skep/p2p-core/host';
import type { FabricOptions, SimHost } from '../host/index.ts';
import { SimWorld } from '../host/index.ts';
import { Fleet, type FleetMachine, type FleetOptions } from './fleet.ts';
import { Impairments } from './impairments.ts';
import type { Invariant } from './invariants.ts';
import { SimLauncher } from './launcher.ts';
import { Ledger } from './ledger.ts';
import { type Planted, plantIn } from './planted.ts';
import { DurableRows, type DurableRowsOptions } from './store.ts';
import { Wire } from './wire.ts';

export interface ClusterWorldOptions {
  readonly seed: number | string;
  readonly spec?: Partial<ClusterSpec>;
  readonly network?: FabricOptions;
  readonly fleet?: FleetOptions;
  readonly rows?: DurableRowsOptions;
  readonly invariants?: readonly Invariant[];
  /** A check of the product to take away, which the invariants should then find. */
  readonly planted?: Planted | undefined;
}

export interface Violation {
  readonly invariant: string;
  readonly atMs: number;
  readonly detail: string;
}

/** Not a slot: the control API's process. */
export const control = 'control-api';
export const controlAddress = '10.0.0.1';
const controlPort = 7700;
const operatorAddress = '10.0.0.2';
const adminToken = 'admin-token-of-the-simulation';
const clusterName = 'bees';

export class ClusterWorld {
  readonly world: SimWorld;
  readonly fleet: Fleet;
  readonly ledger = new Ledger();
  readonly wire = new Wire(() => this.world.nowMs);
  readonly impairments: Impairments;
  readonly violations: Violation[] = [];
  /** What happened, a line each, faults and the control API's troubles included. */
  readonly story: string[] = [];
  readonly #options: ClusterWorldOptions;
  readonly #rows: DurableRows;
  readonly #invariants: readonly Invariant[];
  #controlHost: SimHost;
  readonly #onceReplaced = new Map<string, () => void>();
  #spec: ClusterSpec | undefined;

  private constructor(options: ClusterWorldOptions) {
    const { seed } = options;
    this.#options = options;
    this.world = new SimWorld({
      seed,
      ...(options.network === undefined ? {} : { network: options.network }),
    });
    this.fleet = new Fleet({ world: this.world, seed }, options.fleet);
    this.#rows = new DurableRows(seed, options.rows);
    this.impairments = new Impairments(() => this.world.nowMs);
    this.#invariants = options.invariants ?? [];
    this.#controlHost = this.world.createHost({ address: controlAddress });
    this.#rows.onCommit((commit) => {
      const changes = this.ledger.apply(commit);
      for (const { kind, slot, generation, data } of commit.events) {
        this.tell(`${kind} ${slot === undefined ? '' : `${slot}@${generation} `}${JSON.stringify(data)}`);
      }
      for (const change of changes) {
        this.#judge((invariant) => invariant.onCommit?.(this, change));
        if (change.table === 'slots' && change.before !== undefined) this.#replaced(change.before.slot);
      }
    });
    this.fleet.onChange((machine, change) => {
      this.tell(
        `${machine.name} ${machine.ref.slot}@${machine.ref.generation} ${machine.evidence ?? change}`,
      );
      this.#judge((invariant) => invariant.onFleet?.(this, machine, change));
    });
  }

  /** A control API that serves, and a cluster all of whose launches are decided. */
  static async create(options: ClusterWorldOptions): Promise<ClusterWorld> {
    const world = new ClusterWorld(options);
    await world.world.complete(world.#serveControlApi());
    const operator = world.world.createHost({ address: operatorAddress });
    const client = createApiClient({
      baseUrl: `http://${controlAddress}:${controlPort}`,
      token: adminToken,
      fetch: (url, init) => operator.http.fetch(url, init),
    });
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

  addressOf(place: string): string {
    return place === control ? controlAddress : this.ledger.slots.get(place)!.addresses.listen.host;
  }

  /**
   * Undefined once every slot has exactly one machine, which serves, nothing is left to be done, and one of
   * the ring holds the lease; else what is missing.
   */
  unhealed(): string | undefined {
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
    const { holder = '', untilMs = 0 } = this.ledger.lease ?? {};
    const holds = [...this.ledger.slots.values()].some(
      (slot) => `${slot.slot}@${slot.generation}` === holder,
    );
    if (!holds || untilMs < this.#controlHost.clock.wallTime()) return `nobody of the ring leads (${holder})`;
    return undefined;
  }

  // ---- faults

  crash(slot: string, kind: 'process' | 'machine'): void {
    const machine = this.machineIn(slot);
    if (machine !== undefined) this.fleet.crash(machine, kind);
  }

  /** SIGSTOP for a time. Of the control API too. */
  pause(place: string, forMs: number): void {
    const host = place === control ? this.#controlHost : this.machineIn(place)?.host;
    if (host === undefined || host.state !== 'running') return;
    host.pause();
    this.impairments.begin(place);
    this.world.at(this.nowMs + forMs, () => {
      this.impairments.end(place);
      // A process that took over the machine meanwhile runs already.
      host.resume();
    });
  }

  /** Cuts places off from all others, both ways or only in what they send. */
  cutOff(places: readonly string[], others: readonly string[], forMs: number, way: 'both' | 'out'): void {
    const [from, to] = [places, others].map((group) => group.map((place) => this.addressOf(place)));
    const heal = way === 'both' ? this.world.partition(from!, to!) : this.world.cutOneWay(from!, to!);
    for (const place of [...places, ...others]) this.impairments.begin(place);
    this.world.at(this.nowMs + forMs, () => {
      for (const place of [...places, ...others]) this.impairments.end(place);
      heal();
    });
  }

  /** Kills the control API, and starts it again after a while on the same store. */
  crashControl(downMs: number): void {
    this.#controlHost.crash();
    this.world.at(this.nowMs + downMs, () => {
      this.#controlHost = this.#controlHost.restart();
      void this.#serveControlApi();
    });
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

  async #serveControlApi(): Promise<void> {
    const host = this.#controlHost;
    const rows = this.#rows.forProcess(host);
    const { planted } = this.#options;
    const plant = planted === undefined ? undefined : plantIn(this, planted);
    const launcher = new SimLauncher({ fleet: this.fleet, host });
    const api = await createControlApi(
      { host, store: rows, journal: rows, launcher: plant?.launcher(launcher) ?? launcher },
      {
        adminToken,
        version: 'simulated',
        baseUrl: () => `http://${controlAddress}:${controlPort}`,
        masterSecret: new Uint8Array(32).fill(7),
        onTrouble: (message) => this.tell(`control API: ${message}`),
      },
    );
    await api.start();
    const handler = plant?.layer(api.handler) ?? api.handler;
    await host.http.serve({ host: controlAddress, port: controlPort }, this.#watched(handler));
    this.tell('the control API serves');
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

  #judge(look: (invariant: Invariant) => string | undefined): void {
    for (const invariant of this.#invariants) {
      const finding = look(invariant);
      if (finding !== undefined) this.violate(invariant.id, finding);
    }
  }
}
