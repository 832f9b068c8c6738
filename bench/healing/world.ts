/**
 * A ring of bootstrap nodes and nothing else, in virtual time: a control API, a fleet, and the agents that it
 * launches, all started as in production. No peers, no content, no faults but those of the benchmark.
 */
import { type ApiClient, type ClusterEvent, createApiClient } from '@skep/contract';
import { createControlApi, MemoryStore } from '@skep/control-api';
import { Fleet, type FleetMachine, fleetPresets, type SimHost, SimLauncher, SimWorld } from '@skep/sim';
import { Traffic } from './traffic.ts';

export interface RingWorldOptions {
  readonly seed: number;
  readonly members: number;
  /** One way; a round trip takes twice this. */
  readonly latencyMs: number;
  /** @default that of a cluster */
  readonly graceMs?: number;
}

/** Something that a machine logged, at a virtual time. */
export interface Logged {
  readonly slot: string;
  readonly atMs: number;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const controlAddress = '10.0.0.1';
const operatorAddress = '10.0.0.2';
const controlPort = 7700;
/** The simulated launcher's. */
const ringPort = 6882;
const adminToken = 'admin-token-of-the-benchmark';
const cluster = 'ring';
const startWallTimeMs = Date.UTC(2026, 0, 1);
const lookMs = 250;
const startLimitMs = 180_000;
const allEvents = 100_000;

export class RingWorld {
  readonly world: SimWorld;
  readonly fleet: Fleet;
  readonly traffic: Traffic;
  readonly client: ApiClient;
  readonly #store = new MemoryStore();
  readonly #control: SimHost;
  #uid = '';

  private constructor({ seed, latencyMs }: RingWorldOptions) {
    this.world = new SimWorld({ seed, network: { latencyMs }, startWallTimeMs });
    this.traffic = new Traffic(ringPort, () => this.world.nowMs);
    this.fleet = new Fleet(
      { world: this.world, seed },
      { ...fleetPresets.process, hostFor: (host, { ref }) => this.traffic.watched(host, ref.slot) },
    );
    this.#control = this.world.createHost({ address: controlAddress });
    const operator = this.world.createHost({ address: operatorAddress });
    this.client = createApiClient({
      baseUrl: `http://${controlAddress}:${controlPort}`,
      token: adminToken,
      fetch: (url, init) => operator.http.fetch(url, init),
    });
  }

  /** Resolves once every node serves and one of them leads. Rejects ApiError if such a ring is not allowed. */
  static async start(options: RingWorldOptions): Promise<RingWorld> {
    const ring = new RingWorld(options);
    await ring.world.complete(ring.#serve());
    const { members, graceMs } = options;
    const body = {
      name: cluster,
      bootstrap: members,
      peers: 0,
      ...(graceMs === undefined ? {} : { graceMs }),
    };
    const { uid } = await ring.world.complete(ring.client.createCluster({ body }));
    ring.#uid = uid;
    while (!(await ring.#isUp())) {
      if (ring.world.nowMs > startLimitMs) throw new Error(`no ring within ${startLimitMs} virtual ms`);
      await ring.pass(lookMs);
    }
    return ring;
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  async pass(forMs: number): Promise<void> {
    await this.world.run({ untilMs: this.nowMs + forMs });
  }

  /** The slot whose machine holds the lease. */
  async leader(): Promise<string> {
    const { lease } = await this.world.complete(this.client.getCluster({ params: { cluster } }));
    return lease.holder?.split('@')[0] ?? '';
  }

  machines(): readonly FleetMachine[] {
    return this.fleet.living();
  }

  machineIn(slot: string): FleetMachine {
    const machine = this.machines().find(({ ref }) => ref.slot === slot);
    if (machine === undefined) throw new Error(`nothing lives in ${slot}`);
    return machine;
  }

  /** Nothing reaches a machine, and nothing of it reaches anybody, until it is proven gone. */
  cutOff(machine: FleetMachine): void {
    const others = this.machines().map(({ address }) => address);
    const far = [controlAddress, ...others.filter((address) => address !== machine.address)];
    const heal = this.world.partition([machine.address], far);
    this.fleet.onChange((changed, change) => {
      if (change === 'exited' && changed.name === machine.name) heal();
    });
  }

  /** The journal, in its order. */
  async events(): Promise<readonly (ClusterEvent & { readonly virtualMs: number })[]> {
    const events = await this.#store.read(this.#uid, 0, allEvents);
    return events.map((event) => ({ ...event, virtualMs: event.atMs - startWallTimeMs }));
  }

  /** What all machines logged since a virtual time, each by its own clock, which is right. */
  logged(sinceMs: number): readonly Logged[] {
    return this.fleet.all().flatMap(({ ref }) =>
      this.fleet
        .log(ref.token)
        .map((line): Logged => {
          const { time, message, level: _, ...fields } = JSON.parse(line);
          return { slot: ref.slot, atMs: Date.parse(time) - startWallTimeMs, message, fields };
        })
        .filter(({ atMs }) => atMs >= sinceMs),
    );
  }

  async #isUp(): Promise<boolean> {
    const params = { cluster };
    const { nodes, lease } = await this.world.complete(this.client.getCluster({ params }));
    return lease.held && nodes.every(({ state }) => state === 'serving');
  }

  async #serve(): Promise<void> {
    const host = this.#control;
    const api = await createControlApi(
      {
        host,
        store: this.#store,
        journal: this.#store,
        launcher: new SimLauncher({ fleet: this.fleet, host }),
      },
      {
        adminToken,
        version: 'benchmark',
        baseUrl: () => `http://${controlAddress}:${controlPort}`,
        masterSecret: new Uint8Array(32).fill(7),
      },
    );
    await api.start();
    await host.http.serve({ host: controlAddress, port: controlPort }, api.handler);
  }
}
