/**
 * The runner `sim`: a scenario in a world of its own. The control API, the agents and the experiment's driver,
 * which stands on an operator's machine, are the production's; network, disks, time and chance are simulated
 * and come from the seed, so that the same seed gives the same run to the last byte.
 */
import {
  controlApiNode,
  type Fault,
  type RunEvent,
  type RunRecord,
  type RunSample,
  type ScenarioPlan,
} from '@skep/contract';
import {
  type ContentPort,
  describeContent,
  type ExperimentProgress,
  runExperiment,
} from '@skep/control-api/experiments';
import { controlAddress } from '../cluster/cluster-world.ts';
import { ClusterWorld, safetyInvariants } from '../cluster/index.ts';
import type { TraceEntry } from '../host/index.ts';
import { linkOptions, networkOptions } from './network.ts';

export interface SimRunOptions {
  readonly seed: string;
  readonly version: string;
  /** Ends the run early, and rejects it with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called between two stretches of the simulation, never from inside it: may touch the real world. */
  readonly onEvent: (event: RunEvent) => void;
  readonly onSample: (sample: RunSample) => void;
  readonly onProgress: (progress: SimProgress) => void;
  /** Everything that crosses the network and every start and end of a process. */
  readonly onTrace?: (entry: TraceEntry) => void;
}

export interface SimProgress extends Partial<ExperimentProgress> {
  /** Since the world began. */
  readonly virtualMs: number;
  readonly events: number;
}

/** So many events go by between two looks of the real world: a few tens of milliseconds. */
const eventsPerStretch = 20_000;
const contentRoot = '/content';
const clusterName = 'run';
/** A fault reaches a node some time after it was injected, and leaves it as much later. */
const faultSlackMs = 5_000;

/** Rejects with the signal's reason, or with what the world itself failed with: an uncaught throw, a reach past the Host. */
export async function runInSim(plan: ScenarioPlan, options: SimRunOptions): Promise<RunRecord> {
  const outbox = new Outbox(options);
  const cluster = await openWorld(plan, options, outbox);
  const { world } = cluster;
  const experiment = runExperiment(
    plan,
    {
      api: cluster.client,
      clock: cluster.operatorHost.clock,
      compute: cluster.operatorHost.compute,
      content: contentIn(cluster, options.seed),
      listener: outbox,
      violations: () => cluster.violations,
      onFault: (fault) => noteImpaired(cluster, fault),
    },
    {
      seed: options.seed,
      runner: 'sim',
      version: options.version,
      cluster: clusterName,
      ephemeral: false,
      signal: new AbortController().signal,
    },
  );
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  experiment.then(settle, settle);
  let events = 0;
  while (!isSettled) {
    options.signal.throwIfAborted();
    const stretch = await world.run({ maxEvents: eventsPerStretch, until: () => isSettled });
    events += stretch.events;
    outbox.deliver(world.nowMs, events);
    if (stretch.reason === 'idle' && !isSettled) {
      throw new Error(`The simulated world stood still at ${world.nowMs} ms, before the run was over.`);
    }
  }
  return { ...(await experiment), traceHash: world.traceHash() };
}

/** Names of machines, for whoever reads a trace. */
function openWorld(plan: ScenarioPlan, options: SimRunOptions, outbox: Outbox): Promise<ClusterWorld> {
  const { boot, launchFailureRate = 0 } = plan.sim ?? {};
  const places = new Map<string, string>([[controlAddress, controlApiNode]]);
  const opening: Promise<ClusterWorld> = ClusterWorld.open({
    seed: options.seed,
    spec: plan.cluster,
    network: networkOptions(plan.network, (address) => {
      const known = places.get(address);
      if (known !== undefined || world === undefined) return known;
      for (const { slot, addresses } of world.ledger.slots.values()) places.set(addresses.listen.host, slot);
      return places.get(address);
    }),
    fleet: {
      ...(boot === undefined ? {} : { bootMs: [boot.minMs, boot.maxMs] as const }),
      launchFailureRate,
      ...linkOptions(plan.network),
    },
    invariants: safetyInvariants(),
    ...(options.onTrace === undefined ? {} : { onTrace: (entry) => outbox.trace(entry) }),
  });
  let world: ClusterWorld | undefined;
  return opening.then((opened) => {
    world = opened;
    return opened;
  });
}

/** Content that follows from the seed, on the disks of all seeds. */
function contentIn(cluster: ClusterWorld, seed: string): ContentPort {
  return {
    async make({ name, bytes }, seeds) {
      const hosts = seeds.map((slot) => cluster.machineIn(slot)?.host);
      const [first] = hosts;
      if (first === undefined) throw new Error(`There is no machine in ${seeds[0]} to put ${name} on.`);
      for (const host of hosts) {
        host?.disk.putSynthetic(`${contentRoot}/${name}`, { seed: `${seed}/${name}`, length: bytes });
      }
      return describeContent(first, { contentRoot, name });
    },
  };
}

/** Whom a fault may rightly make look dead, for the rule that who was only slow is not replaced. */
function noteImpaired(cluster: ClusterWorld, fault: Fault): void {
  if (!('forMs' in fault)) return;
  const others = fault.kind === 'partition' ? fault.from : fault.kind === 'degrade' ? fault.with : [];
  const concerned = new Set([...fault.nodes, ...(others ?? [...cluster.slots, controlApiNode])]);
  for (const place of concerned) cluster.impairments.begin(place);
  cluster.world.at(cluster.nowMs + fault.forMs + faultSlackMs, () => {
    for (const place of concerned) cluster.impairments.end(place);
  });
}

/** What simulated code says is kept until the simulation pauses: only then may the real world be touched. */
class Outbox {
  readonly #options: SimRunOptions;
  #entries: (() => void)[] = [];
  #progress: ExperimentProgress | undefined;

  constructor(options: SimRunOptions) {
    this.#options = options;
  }

  onEvent(event: RunEvent): void {
    this.#entries.push(() => this.#options.onEvent(event));
  }

  onSample(sample: RunSample): void {
    this.#entries.push(() => this.#options.onSample(sample));
  }

  onProgress(progress: ExperimentProgress): void {
    this.#progress = progress;
  }

  trace(entry: TraceEntry): void {
    this.#entries.push(() => this.#options.onTrace?.(entry));
  }

  deliver(virtualMs: number, events: number): void {
    const entries = this.#entries;
    this.#entries = [];
    for (const entry of entries) entry();
    this.#options.onProgress({ ...this.#progress, virtualMs, events });
  }
}
