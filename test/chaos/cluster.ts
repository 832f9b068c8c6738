/**
 * A cluster of real processes to do harm to: control API and machines each a process of its own, in a
 * directory that nothing of may be left at the end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type ApiClient,
  ApiError,
  type ClusterEvent,
  type ClusterSpec,
  type ClusterView,
  createApiClient,
  type NodeView,
  type RedeploymentView,
} from '@skep/contract';
import { createNodeHost, type NodeHost } from '@skep/p2p-core/host/node';
import {
  identifyProcess,
  isAlive,
  type ProcessIdentity,
  signalProcess,
} from '@skep/p2p-core/process-identity';
import type * as z from 'zod';
import { type MachineProcess, machinesBelow } from './processes.ts';
import { until } from './waiting.ts';

const name = 'chaos';
const callTimeoutMs = 5_000;
const eventPage = 1_000;

export type Spec = Partial<Omit<z.input<typeof ClusterSpec>, 'name'>>;

/** What is left of a cluster that has ended; both must be empty. */
export interface Remains {
  readonly processes: readonly MachineProcess[];
  readonly files: readonly string[];
}

export class ChaosCluster {
  /** Never replaced while tests run: content to share, logs. Removed by `end`. */
  readonly scratch = mkdtempSync(join(tmpdir(), 'skep-chaos-'));
  readonly host: NodeHost = createNodeHost({ workers: 1 });
  /** All that the control API and the machines write. They remove it. */
  readonly directory = join(this.scratch, 'cluster');
  readonly events: ClusterEvent[] = [];
  uid = '';
  #port = 0;
  #apiProcess: { readonly child: ChildProcess; readonly exited: Promise<unknown> } | undefined;
  #api: ApiClient | undefined;
  readonly #preload: string | undefined;
  readonly #seen = new Map<string, MachineProcess>();

  private constructor(preload: string | undefined) {
    this.#preload = preload;
  }

  /**
   * A cluster whose nodes all serve, and whose ring has a leader. `preload`: a module, beside this one, that the
   * control API loads before its own.
   */
  static async start(spec: Spec, { preload }: { preload?: string } = {}): Promise<ChaosCluster> {
    const cluster = new ChaosCluster(preload);
    mkdirSync(cluster.directory);
    try {
      await cluster.startApi();
      const created = await cluster.api.createCluster({ body: { name, ephemeral: true, ...spec } });
      cluster.uid = created.uid;
      await cluster.awaitServing();
      await cluster.awaitLeader();
    } catch (error) {
      await cluster.end();
      throw error;
    }
    return cluster;
  }

  // ---------------------------------------------------------------- the control API

  get api(): ApiClient {
    if (this.#api === undefined) throw new Error('the control API was not started');
    return this.#api;
  }

  readonly params = { cluster: name };

  /** On the same state, and the same port as before. */
  async startApi(): Promise<void> {
    const log = openSync(join(this.scratch, 'control-api.log'), 'a');
    const program = fileURLToPath(import.meta.resolve('@skep/control-api/main'));
    const before = this.#preload === undefined ? [] : ['--import', import.meta.resolve(this.#preload)];
    const child = spawn(process.execPath, [...before, program], {
      stdio: ['pipe', 'pipe', log],
      env: {
        ...process.env,
        SKEP_STATE_DIRECTORY: join(this.directory, 'state'),
        SKEP_LISTEN: `127.0.0.1:${this.#port}`,
        SKEP_EXIT_WITH_PARENT: '1',
        SKEP_EPHEMERAL_ROOT: this.directory,
        NODE_COMPILE_CACHE: join(this.scratch, 'compiled'),
      },
    });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    this.#apiProcess = { child, exited };
    const line = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stdout?.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
        if (text.includes('\n')) resolve(text);
      });
      exited.then(() => reject(new Error(`the control API did not start:\n${this.apiLog()}`)));
    });
    const { url, adminTokenFile } = JSON.parse(line) as { url: string; adminTokenFile: string };
    this.#port = Number(new URL(url).port);
    this.#api = this.client(readFileSync(adminTokenFile, 'utf8').trim());
  }

  /** A client of the control API with any token. */
  client(token: string): ApiClient {
    return createApiClient({
      baseUrl: `http://127.0.0.1:${this.#port}`,
      token,
      fetch: (url, init) => this.host.http.fetch(url, { timeoutMs: callTimeoutMs, ...init }),
    });
  }

  /** kill -9; resolves when it is gone. */
  async killApi(): Promise<void> {
    this.#apiProcess?.child.kill('SIGKILL');
    await this.#apiProcess?.exited;
    this.#apiProcess = undefined;
  }

  apiLog(): string {
    return readFileSync(join(this.scratch, 'control-api.log'), 'utf8');
  }

  // ---------------------------------------------------------------- what the control API says

  view(): Promise<ClusterView> {
    return this.api.getCluster({ params: this.params });
  }

  /** Undefined while the control API is away. */
  async nodes(): Promise<NodeView[] | undefined> {
    try {
      return await this.api.listNodes({ params: this.params });
    } catch (error) {
      if (error instanceof ApiError && error.status !== 503) throw error;
      return undefined;
    }
  }

  redeployments(): Promise<RedeploymentView[]> {
    return this.api.listRedeployments({ params: this.params });
  }

  async log(slot: string, generation: number): Promise<string> {
    const response = await this.api.nodeLogs({ params: { ...this.params, slot }, query: { generation } });
    return response.text();
  }

  /** Adds what is new to `events`, which has all of them in order. */
  async readEvents(): Promise<readonly ClusterEvent[]> {
    for (;;) {
      const after = this.events.at(-1)?.sequence ?? 0;
      const page = await this.api.listEvents({ params: this.params, query: { after, limit: eventPage } });
      this.events.push(...page);
      if (page.length < eventPage) return this.events;
    }
  }

  /** The first event that fits, past or to come; `after` is a sequence. */
  event(awaited: string, fits: (event: ClusterEvent) => boolean, after = 0): Promise<ClusterEvent> {
    const look = async () => (await this.readEvents()).find((event) => event.sequence > after && fits(event));
    return until(awaited, look, { state: () => this.describe() });
  }

  /** The sequence of the newest event. */
  async newest(): Promise<number> {
    return (await this.readEvents()).at(-1)?.sequence ?? 0;
  }

  awaitServing(): Promise<NodeView[]> {
    const look = async () => {
      const nodes = await this.nodes();
      return nodes?.every((node) => node.state === 'serving') && nodes;
    };
    return until('every node to serve', look, { state: () => this.describe() });
  }

  /** The machine that leads, by the lease. */
  awaitLeader(aboveTerm = 0): Promise<{ slot: string; generation: number; term: number }> {
    const look = async () => {
      const { lease } = await this.view();
      const [slot = '', generation] = lease.holder?.split('@') ?? [];
      const leads = lease.held && generation !== undefined && lease.term > aboveTerm;
      return leads && { slot, generation: Number(generation), term: lease.term };
    };
    return until('a leader of the ring', look, { state: () => this.describe() });
  }

  /** What a failed wait is told with. */
  async describe(): Promise<string> {
    const nodes = (await this.nodes()) ?? [];
    const states = nodes.map((node) => `${node.slot}@${node.generation} ${node.state} ${node.reason ?? ''}`);
    const events = await this.readEvents().catch(() => this.events);
    const told = events.slice(-60).map((event) => JSON.stringify(event));
    return [...states, ...told, this.apiLog().slice(-4_000)].join('\n');
  }

  // ---------------------------------------------------------------- processes

  /**
   * Living machines by the process list, and not by what anybody says. Those seen before count until they are
   * gone: a process that is ending loses its environment, by which it was found, some time before that.
   */
  machines(slot?: string): MachineProcess[] {
    for (const machine of machinesBelow(join(this.directory, 'state/machines'))) {
      this.#seen.set(`${machine.process.pid}/${machine.process.startTime}`, machine);
    }
    const living = [...this.#seen.values()].filter(({ process }) => isAlive(process));
    return slot === undefined ? living : living.filter((machine) => machine.slot === slot);
  }

  /** The process in a slot, as the control API names it; undefined between two of them. */
  async processOf(slot: string): Promise<ProcessIdentity | undefined> {
    const node = (await this.nodes())?.find((candidate) => candidate.slot === slot);
    const alive = this.machines(slot).find(({ process }) => String(process.pid) === node?.machine);
    return alive?.process;
  }

  /** Sends a signal to the process in a slot and gives who it was. */
  async signal(slot: string, signal: NodeJS.Signals): Promise<ProcessIdentity> {
    const [target] = await this.signalAll([slot], signal);
    return target!;
  }

  /** To all of them in one instant: between two calls of `signal` the ring may have elected and healed. */
  async signalAll(slots: readonly string[], signal: NodeJS.Signals): Promise<ProcessIdentity[]> {
    const targets = await Promise.all(slots.map((slot) => this.processOf(slot)));
    return targets.map((target, index) => {
      if (target === undefined || !signalProcess(target, signal))
        throw new Error(`nothing lives in ${slots[index]}`);
      return target;
    });
  }

  awaitGone(process: ProcessIdentity): Promise<true> {
    return until(`process ${process.pid} to be gone`, () => !isAlive(process));
  }

  /** Where a slot keeps its data, whichever machine is in it. */
  dataOf(slot: string): string {
    return join(this.directory, 'state/machines', this.uid, slot, 'data');
  }

  /** A client as the machine itself is one, by the token that it keeps. */
  clientOf(slot: string, generation: number): ApiClient {
    return this.client(readFileSync(join(this.dataOf(slot), `agent/${generation}.1/token`), 'utf8'));
  }

  // ---------------------------------------------------------------- the end

  /**
   * Ends the control API as a user would, if it lives, and tells what is left then; whatever that is goes
   * too, so that one failed test does not spoil the next.
   */
  async end(): Promise<Remains> {
    this.machines();
    const api = this.#apiProcess;
    if (api !== undefined) {
      const itself = identifyProcess(api.child.pid!);
      api.child.kill('SIGTERM');
      await until('the control API to end', () => itself === undefined || !isAlive(itself)).catch(() =>
        api.child.kill('SIGKILL'),
      );
      await api.exited;
    }
    this.machines();
    const processes = [...this.#seen.values()].filter(({ process }) => isAlive(process));
    for (const { process } of processes) signalProcess(process, 'SIGKILL');
    const files = existsSync(this.directory) ? [this.directory] : [];
    await this.host.close();
    rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5 });
    return { processes, files };
  }
}
