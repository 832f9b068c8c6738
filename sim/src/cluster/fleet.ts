/**
 * The machines that launchers made in one simulated world, and what outlives every control API: which token
 * has which machine, how it ended, what it printed. A machine is a process on the SimHost of its slot's
 * address, and runs the agent's production entry point; nothing else of the agent is touched.
 */
import type { AgentConfig } from '@skep/contract';
import type { LaunchRequest, MachineRef } from '@skep/control-api';
import { type Agent, createLog, startAgent } from '@skep/node-agent';
import type { SimHost, SimWorld } from '../host/index.ts';
import { RandomStream } from '../host/index.ts';

export interface FleetOptions {
  /** From the launch to the first line of the agent. @default 50 to 1500 */
  readonly bootMs?: readonly [number, number];
  /** From a machine's end to its being known. @default 20 to 2000 */
  readonly exitKnownMs?: readonly [number, number];
  /** From being asked to stop a machine to doing so, as clouds take their time. @default 0 to 0 */
  readonly stopMs?: readonly [number, number];
  /** Share of launches that fail and start nothing. */
  readonly launchFailureRate?: number;
  /** Share of launches that are said to have failed although the machine boots. */
  readonly unknownOutcomeRate?: number;
  /** How far machines' wall clocks may be wrong, either way. @default 0 */
  readonly clockSkewMs?: number;
}

export type MachineState = 'booting' | 'alive' | 'exited';

/** One machine's life, from its launch on. */
export interface FleetMachine {
  readonly ref: MachineRef;
  readonly name: string;
  readonly address: string;
  readonly state: MachineState;
  /** Missing until it boots. */
  readonly host: SimHost | undefined;
  /** Missing while it lives. */
  readonly evidence: string | undefined;
  /** When launched, booted and ended: virtual ms. */
  readonly launchedAtMs: number;
  readonly exitedAtMs: number | undefined;
}

/** What changed; told as it happens, before anything else can. */
export type FleetListener = (machine: FleetMachine, change: 'launched' | 'booted' | 'exited') => void;

type Entry = { -readonly [K in keyof FleetMachine]: FleetMachine[K] } & {
  readonly log: string[];
  agent: Agent | undefined;
};

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
  readonly #listeners = new Set<FleetListener>();
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

  /** The token's machine, which boots in a while unless it was there already. */
  launch(request: LaunchRequest): FleetMachine | 'called-off' {
    const { machine } = request;
    const known = this.#byToken.get(machine.token);
    if (known !== undefined) return known;
    this.#count += 1;
    const entry: Entry = {
      ref: machine,
      name: `sim-${this.#count}`,
      address: this.#addressFor(request.config.listen.host),
      state: 'booting',
      host: undefined,
      evidence: undefined,
      launchedAtMs: this.nowMs,
      exitedAtMs: undefined,
      log: [],
      agent: undefined,
    };
    this.#byToken.set(machine.token, entry);
    const [soonest, latest] = this.#options.bootMs ?? [50, 1_500];
    this.#world.at(this.nowMs + this.random.between(soonest, latest), () => this.#boot(entry, request));
    this.#tell(entry, 'launched');
    return entry;
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
      if (entry.agent === undefined) this.crash(entry);
      else entry.agent.stop();
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

  #boot(entry: Entry, { machine, config, ephemeral }: LaunchRequest): void {
    if (entry.state !== 'booting') return;
    const before = this.#hosts.get(entry.address);
    const skewMs = this.#options.clockSkewMs ?? 0;
    const clockSkewMs = skewMs === 0 ? 0 : this.random.between(-skewMs, skewMs);
    const host = before?.restart() ?? this.#world.createHost({ address: entry.address, clockSkewMs });
    this.#hosts.set(entry.address, host);
    entry.host = host;
    entry.state = 'alive';
    const dataDirectory = `/data/${machine.slot}`;
    const whole: AgentConfig = {
      ...config,
      listen: { ...config.listen, host: entry.address },
      dataDirectory,
      ...(ephemeral ? { ephemeralDirectory: dataDirectory } : {}),
    };
    const log = createLog(host.clock, (line) => {
      entry.log.push(line);
      if (entry.log.length > keptLogLines * 2) entry.log.splice(0, keptLogLines);
    });
    const end = (evidence: string) => {
      host.crash();
      this.#exited(entry, evidence);
    };
    startAgent({ host, log }, whole).then(
      (agent) => {
        entry.agent = agent;
        agent.ended.then((how) => end(how === 'refused' ? 'exit code 1' : 'exit code 0'));
      },
      (error) => {
        log.warn('the agent could not run', { error: String(error) });
        end('exit code 1');
      },
    );
    this.#tell(entry, 'booted');
  }

  #exited(entry: Entry, evidence: string): void {
    if (entry.state === 'exited') return;
    entry.state = 'exited';
    entry.evidence = evidence;
    entry.exitedAtMs = this.nowMs;
    entry.agent = undefined;
    this.#tell(entry, 'exited');
  }

  #tell(entry: Entry, change: Parameters<FleetListener>[1]): void {
    for (const listener of [...this.#listeners]) listener(entry, change);
  }
}
