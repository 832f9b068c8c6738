/**
 * The machines that launchers made in one simulated world, and what outlives every control API: which token
 * has which machine, how it ended, what it printed. A machine is a process on the SimHost of its slot's
 * address, and runs the agent's production entry point; nothing else of the agent is touched.
 */
import type { AgentConfig, Conditions, LinkConditions } from '@skep/contract';
import type { AssignedDirectories, LaunchRequest, MachineRef } from '@skep/control-api';
import { createLog, type Life, startLife } from '@skep/node-agent';
import { type Host, HostError } from '@skep/p2p-core/host';
import type { SimHost, SimWorld } from '../host/index.ts';
import { RandomStream } from '../host/index.ts';
import { type Distribution, drawMs } from './distribution.ts';

export interface FleetOptions {
  /** From the launch to the first line of the agent. @default 50 to 1500 */
  readonly bootMs?: Distribution;
  /** From a machine's end to its being known. @default 20 to 2000 */
  readonly exitKnownMs?: Distribution;
  /** From being asked to stop a machine to doing so, as clouds take their time. @default at once */
  readonly stopMs?: Distribution;
  /** What the runner takes to answer a call. @default 10 */
  readonly answerMs?: Distribution;
  /** Share of launches that fail and start nothing. */
  readonly launchFailureRate?: number;
  /** Share of launches that are said to have failed although the machine boots. */
  readonly unknownOutcomeRate?: number;
  /** How far machines' wall clocks may be wrong, either way. @default 0 */
  readonly clockSkewMs?: number;
  /** Rates of a slot's link. @default no limits */
  readonly linkOf?: (slot: string) => LinkConditions;
  /** Puts something between a machine and its agent: to watch, or to plant a fault. */
  readonly hostFor?: (host: SimHost, machine: FleetMachine) => Host;
}

/** Fleets by name: how runners of a kind behave. Chosen to be plausible, not measured. */
export const fleetPresets = {
  /** Processes of one machine. */
  process: { bootMs: [150, 600], exitKnownMs: [1, 20] },
  /**
   * EC2-like: a second or two for the call, half a minute or more from pending to the agent, state changes that
   * come late, now and then no capacity or an answer that is lost.
   */
  aws: {
    answerMs: { kind: 'log-normal', medianMs: 900, sigma: 0.5, mostMs: 10_000 },
    bootMs: { kind: 'log-normal', medianMs: 35_000, sigma: 0.35, mostMs: 180_000 },
    exitKnownMs: { kind: 'exponential', meanMs: 4_000, leastMs: 500, mostMs: 60_000 },
    stopMs: { kind: 'log-normal', medianMs: 15_000, sigma: 0.6, mostMs: 120_000 },
    launchFailureRate: 0.01,
    unknownOutcomeRate: 0.005,
    clockSkewMs: 20,
  },
} as const satisfies Record<string, FleetOptions>;

export type MachineState = 'booting' | 'alive' | 'exited';

/** One machine's life, from its launch on. */
export interface FleetMachine {
  /** What it is: as which it was launched, or of a spare that took a slot over, that slot's machine. */
  readonly ref: MachineRef;
  /** The name by which its launcher knows it, whatever it is. */
  readonly launchedAs: MachineRef;
  readonly name: string;
  /** Changes when a spare takes a slot over. */
  readonly address: string;
  readonly state: MachineState;
  /** Missing until it boots. */
  readonly host: SimHost | undefined;
  /** Missing while it lives. */
  readonly evidence: string | undefined;
  /** When launched, booted and ended: virtual ms. */
  readonly launchedAtMs: number;
  readonly exitedAtMs: number | undefined;
  /** When it last went down to come up again; missing if it never did. */
  readonly rebootedAtMs: number | undefined;
}

/** What changed; told as it happens, before anything else can. `moved`: a spare runs as another slot's machine now. */
export type FleetChange = 'launched' | 'booted' | 'moved' | 'exited';
export type FleetListener = (machine: FleetMachine, change: FleetChange) => void;

type Entry = { -readonly [K in keyof FleetMachine]: FleetMachine[K] } & {
  readonly request: LaunchRequest;
  /** Of a spare: what it is to be. */
  assigned: LaunchRequest | undefined;
  /** What it runs by, since it first did: its runner keeps that over a reboot. */
  config: AgentConfig | undefined;
  readonly log: string[];
  /** Of its present process; missing while that starts. */
  life: Life | undefined;
};

/**
 * Whether the runner fails what it is asked; or does it and loses the answer to launches; or loses that, and does
 * it much later, and twice.
 */
export type OutageWay = 'fail' | 'unknown' | 'late';

const keptLogLines = 200;
const spareNetwork = '10.200';

export class Fleet {
  readonly #world: SimWorld;
  readonly #options: FleetOptions;
  readonly random: RandomStream;
  /** By token; `called-off` for one that never will have a machine. */
  readonly #byToken = new Map<string, Entry | 'called-off'>();
  /** The last process at each address; its successor takes over disk and address. */
  readonly #hosts = new Map<string, SimHost>();
  /** By address, what a machine is like when nothing is done to it. */
  readonly #usual = new Map<string, Conditions>();
  readonly #listeners = new Set<FleetListener>();
  readonly #outages: { way: OutageWay; untilMs: number }[] = [];
  #count = 0;

  constructor(components: { world: SimWorld; seed: number | string }, options: FleetOptions = {}) {
    this.#world = components.world;
    this.#options = options;
    this.random = new RandomStream(components.seed, 'fleet');
  }

  get options(): FleetOptions {
    return this.#options;
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  /** Machines that live or are about to. */
  living(): readonly FleetMachine[] {
    return this.all().filter(({ state }) => state !== 'exited');
  }

  all(): readonly FleetMachine[] {
    return [...this.#byToken.values()].filter((entry) => entry !== 'called-off');
  }

  of(token: string): FleetMachine | 'called-off' | undefined {
    return this.#byToken.get(token);
  }

  onChange(listener: FleetListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** From now on, for a time, the runner's own API is away. */
  goOut(way: OutageWay, forMs: number): void {
    this.#outages.push({ way, untilMs: this.nowMs + forMs });
  }

  isOut(way: OutageWay): boolean {
    return this.#outages.some((outage) => outage.way === way && outage.untilMs > this.nowMs);
  }

  /** The token's machine, which boots in a while unless it was there already. */
  launch(request: LaunchRequest): FleetMachine | 'called-off' {
    const { machine } = request;
    const known = this.#byToken.get(machine.token);
    if (known !== undefined) return known;
    this.#count += 1;
    const entry: Entry = {
      ref: machine,
      launchedAs: machine,
      name: `sim-${this.#count}`,
      address: this.#addressFor(request.config.listen.host),
      state: 'booting',
      host: undefined,
      evidence: undefined,
      launchedAtMs: this.nowMs,
      exitedAtMs: undefined,
      rebootedAtMs: undefined,
      request,
      assigned: undefined,
      config: undefined,
      log: [],
      life: undefined,
    };
    this.#byToken.set(machine.token, entry);
    const bootMs = drawMs(this.random, this.#options.bootMs ?? [50, 1_500]);
    this.#world.at(this.nowMs + bootMs, () => this.#boot(entry));
    this.#tell(entry, 'launched');
    return entry;
  }

  /**
   * Readies what a spare's machine needs to be that of a slot. Undefined if there is no such machine any more, or it
   * is another slot's.
   */
  assign(token: string, request: LaunchRequest): AssignedDirectories | undefined {
    const entry = this.#byToken.get(token);
    if (entry === undefined || entry === 'called-off' || entry.state !== 'alive') return undefined;
    if (entry.assigned === undefined) {
      entry.assigned = request;
      if (request.emptyDisk) this.eraseDisk(request.config.listen.host);
    }
    return entry.assigned.machine.token === request.machine.token ? directoriesOf(request) : undefined;
  }

  /** The launch arrives late, and once more after that, as of a client that tried again without being asked to. */
  launchLate(request: LaunchRequest): void {
    const firstMs = this.random.between(200, 10_000);
    for (const afterMs of [firstMs, firstMs + this.random.between(0, 10_000)]) {
      this.#world.at(this.nowMs + afterMs, () => this.launch(request));
    }
  }

  /** From now on the token will have no machine, if it has none that booted. Says which it is. */
  callOff(token: string): FleetMachine | 'called-off' {
    const known = this.#byToken.get(token);
    if (known === undefined) this.#byToken.set(token, 'called-off');
    else if (known !== 'called-off' && known.state === 'booting') this.#exited(known, 'called off');
    return this.#byToken.get(token)!;
  }

  /** Asks the agent to end, as SIGTERM does: heard when the process runs, and the end of one still starting. */
  terminate(machine: FleetMachine): void {
    const entry = this.#entry(machine);
    entry.host?.clock.setTimer(0, () => {
      if (entry.life === undefined) this.crash(entry);
      else entry.life.stop();
    });
  }

  /** Ends a machine as a failure would: its process alone, or with the power. */
  crash(machine: FleetMachine, kind: 'process' | 'machine' = 'process'): void {
    const entry = this.#entry(machine);
    if (entry.state === 'exited') return;
    const evidence = kind === 'process' ? 'killed by SIGKILL' : 'lost power';
    entry.host?.crash({ kind, unsyncedLossRate: kind === 'machine' ? 0.5 : 0 });
    this.#exited(entry, evidence);
  }

  /**
   * The machine loses power and comes up again, as the same machine: its agent is started anew as it was last,
   * on the disk that it had or on an empty one. Whoever launched it is told nothing.
   */
  reboot(machine: FleetMachine, disk: 'keep' | 'lose', downMs: number): void {
    const entry = this.#entry(machine);
    if (entry.state !== 'alive') return;
    entry.host!.crash({ kind: 'machine', unsyncedLossRate: 0.5 });
    entry.state = 'booting';
    entry.rebootedAtMs = this.nowMs;
    entry.life = undefined;
    if (disk === 'lose') this.eraseDisk(entry.address);
    this.#world.at(this.nowMs + downMs, () => this.#boot(entry));
  }

  /**
   * The runner loses sight of a machine: it says that it ended, and can do nothing more to it. It runs on, until it
   * ends itself or the next machine is given its address, without which nobody hears of it any more.
   */
  stray(machine: FleetMachine): void {
    const entry = this.#entry(machine);
    if (entry.state !== 'alive') return;
    this.#exited(entry, 'terminated, says the runner');
  }

  /** Whether a process runs at an address, known to the runner or not. */
  answersAt(address: string): boolean {
    return this.#hosts.get(address)?.state === 'running';
  }

  /** What the machine at an address is like when nothing is done to it. */
  usualAt(address: string): Conditions {
    return this.#usual.get(address) ?? {};
  }

  /** Whatever machine is at an address next finds nothing on its disk. */
  eraseDisk(address: string): void {
    this.#hosts.get(address)?.disk.erase();
  }

  /** The machine's code stands still until it is resumed; its kernel does not. */
  pause(machine: FleetMachine): void {
    machine.host?.pause();
  }

  resume(machine: FleetMachine): void {
    machine.host?.resume();
  }

  /** The last lines that a machine printed. */
  log(token: string): readonly string[] {
    const entry = this.#byToken.get(token);
    return entry === undefined || entry === 'called-off' ? [] : entry.log;
  }

  #entry(machine: FleetMachine): Entry {
    return machine as Entry;
  }

  /** The slot's own, unless a machine is there still: then another, as a cloud would give it. */
  #addressFor(address: string): string {
    const taken = this.living().some((machine) => machine.address === address);
    return taken ? `${spareNetwork}.${this.#count >> 8}.${this.#count & 255}` : address;
  }

  #boot(entry: Entry): void {
    if (entry.state !== 'booting') return;
    const { config, emptyDisk } = entry.request;
    if (emptyDisk && entry.config === undefined) this.eraseDisk(entry.address);
    const first = this.#hostAt(entry.address, entry.ref.slot);
    entry.host = first;
    entry.state = 'alive';
    entry.config ??= {
      ...config,
      listen: { ...config.listen, host: entry.address },
      ...directoriesOf(entry.request),
    };
    const whole = entry.config;
    const log = createLog(first.clock, (line) => {
      entry.log.push(line);
      if (entry.log.length > keptLogLines * 2) entry.log.splice(0, keptLogLines);
    });
    let present = first;
    const end = (evidence: string) => {
      // What a process that a reboot ended still says is not said of the one after it.
      if (entry.host !== present) return;
      present.crash();
      this.#exited(entry, evidence);
    };
    const hostFor = (of: AgentConfig): Host => {
      if (of !== whole) present = this.#move(entry, present, of);
      return this.#options.hostFor?.(present, entry) ?? present;
    };
    const failed = (error: unknown) => {
      log.warn('the agent could not run', { error: String(error) });
      end('exit code 1');
    };
    startLife({ hostFor, log }, whole).then((life) => {
      entry.life = life;
      life.ended.then((how) => end(how === 'refused' ? 'exit code 1' : 'exit code 0'), failed);
    }, failed);
    this.#tell(entry, 'booted');
  }

  /** The spare's process goes on at the address and on the disk of the slot that it takes over. */
  #move(entry: Entry, from: SimHost, config: AgentConfig): SimHost {
    const { assigned } = entry;
    const { listen } = config;
    if (assigned === undefined || this.living().some(({ address }) => address === listen.host)) {
      throw new HostError('address-in-use', `${listen.host} is not for ${entry.name} to have`);
    }
    from.crash();
    entry.address = listen.host;
    entry.ref = assigned.machine;
    entry.config = config;
    entry.host = this.#hostAt(listen.host, assigned.machine.slot);
    this.#tell(entry, 'moved');
    return entry.host;
  }

  /** The next process of the machine at an address. */
  #hostAt(address: string, slot: string): SimHost {
    const host = this.#hosts.get(address)?.restart() ?? this.#createHost(address, slot);
    this.#hosts.set(address, host);
    return host;
  }

  #createHost(address: string, slot: string): SimHost {
    const { clockSkewMs: furthestMs = 0, linkOf } = this.#options;
    const skewMs = furthestMs === 0 ? 0 : this.random.between(-furthestMs, furthestMs);
    const link = linkOf?.(slot) ?? {};
    this.#usual.set(address, { link, clock: { skewMs } });
    return this.#world.createHost({ address, clockSkewMs: skewMs, ...link });
  }

  #exited(entry: Entry, evidence: string): void {
    if (entry.state === 'exited') return;
    entry.state = 'exited';
    entry.evidence = evidence;
    entry.exitedAtMs = this.nowMs;
    entry.life = undefined;
    this.#tell(entry, 'exited');
  }

  #tell(entry: Entry, change: Parameters<FleetListener>[1]): void {
    for (const listener of [...this.#listeners]) listener(entry, change);
  }
}

function directoriesOf({ machine, ephemeral }: LaunchRequest): AssignedDirectories {
  const dataDirectory = `/data/${machine.slot}`;
  return { dataDirectory, ...(ephemeral ? { ephemeralDirectory: dataDirectory } : {}) };
}
