/**
 * A control API and one cluster that are a command's own (demo, run): a directory, a control API that is
 * started again if it dies, an ephemeral cluster. Whatever happens, `end` leaves no machine and no file.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiClient, ApiError, type NodeView } from '@skep/contract';
import { type Clock, type Host, sleep } from '@skep/p2p-core/host';
import { identifyProcess } from '@skep/p2p-core/process-identity';
import { exitCodes } from '../exit-codes.ts';
import { CliError, describeFailure } from '../failure.ts';
import { type RunnerChoice, runnerEnvironment } from '../runners/choice.ts';
import { type OwnMachines, ownMachines } from '../runners/own-machines.ts';
import { saveClusterLogs, saveTo } from './cluster-logs.ts';
import { apiClient } from './connect.ts';
import { type ControlApiProcess, startControlApi } from './control-api-process.ts';
import { newToken, writePrivately } from './daemon.ts';

/** A control API that dies more often than this is broken, not unlucky. */
const mostRestarts = 5;
const restartPauseMs = 100;
const deleteMs = 20_000;
const exitMs = 5_000;

export interface SessionOptions {
  /** Name of the cluster; the directory is named after it too. */
  readonly cluster: string;
  /** Leave the directory, with the logs, where it is. */
  readonly keep: boolean;
  readonly runner: RunnerChoice;
  readonly note: (text: string) => void;
}

export class PrivateSession {
  readonly directory: string;
  /** For content of the command's own: all machines can read what is in it. */
  readonly contentDirectory: string;
  readonly viewerToken = newToken();
  readonly #host: Host;
  readonly #options: SessionOptions;
  readonly #adminToken = newToken();
  readonly #failure = new AbortController();
  readonly #machines: OwnMachines;
  #process: ControlApiProcess | undefined;
  #api: ApiClient | undefined;
  #restarts = 0;
  #ending = false;
  #clusterAsked = false;

  constructor(host: Host, options: SessionOptions) {
    this.#host = host;
    this.#options = options;
    this.#machines = ownMachines(options.runner, host.clock);
    this.directory = mkdtempSync(join(tmpdir(), `skep-${options.cluster}-`));
    this.contentDirectory = join(this.directory, 'content');
    mkdirSync(this.contentDirectory, { mode: 0o755 });
    // Agents that lose their control API look here for whether anybody still uses the directory.
    writePrivately(join(this.directory, 'owner.json'), JSON.stringify(identifyProcess(process.pid)));
    writePrivately(this.#adminTokenFile, this.#adminToken);
    writePrivately(this.#viewerTokenFile, this.viewerToken);
  }

  /** Starts the control API. Rejects with CliError. */
  async start(): Promise<void> {
    await this.#machines.prepare();
    await this.#startApi(0);
    this.#api = apiClient(this.#host, this.url, this.#adminToken);
  }

  /** Aborted with CliError when the control API cannot be kept running. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  get url(): string {
    if (this.#process === undefined) throw new Error('the session was not started');
    return this.#process.url;
  }

  get api(): ApiClient {
    if (this.#api === undefined) throw new Error('the session was not started');
    return this.#api;
  }

  get logFile(): string {
    return join(this.directory, 'control-api.log');
  }

  /** Nothing of the cluster outlives it, unless it is to be looked at afterwards. */
  get isEphemeral(): boolean {
    return !this.#options.keep;
  }

  /** Before the cluster is asked for, so that it is deleted even if the answer was lost. */
  expectCluster(): void {
    this.#clusterAsked = true;
  }

  /** The nodes as they are now; remembers their machines, for the end. */
  async nodes(): Promise<NodeView[]> {
    const nodes = await this.api.listNodes({ params: { cluster: this.#options.cluster } });
    this.#machines.remember(nodes);
    return nodes;
  }

  /** Copies what tells how it went to where the end of the cluster does not remove it. Gives the copy's path. */
  async saveLogs(): Promise<string> {
    const target = this.#options.keep
      ? join(this.directory, 'logs')
      : mkdtempSync(join(tmpdir(), `skep-${this.#options.cluster}-logs-`));
    mkdirSync(target, { recursive: true });
    await saveTo(target, 'control-api.log', () => this.#host.files.read(this.logFile, 64_000_000));
    await saveClusterLogs(this.api, this.#options.cluster, target);
    return target;
  }

  /**
   * Deletes the cluster, ends the control API, removes the directory. With `hurry` aborted it kills what
   * is left instead of waiting for it.
   */
  async end(hurry: AbortSignal): Promise<void> {
    this.#ending = true;
    const { clock } = this.#host;
    try {
      if (this.#clusterAsked && this.#api !== undefined) {
        await this.nodes().catch(() => undefined);
        await this.#deleteCluster(clock, hurry).catch(() => undefined);
      }
      await this.#stopApi(clock, hurry).catch(() => undefined);
    } finally {
      await this.#machines.endAll().catch((error) => this.#options.note(describeFailure(error).message));
      if (!this.#options.keep) rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  get #adminTokenFile(): string {
    return join(this.directory, 'admin-token');
  }

  get #viewerTokenFile(): string {
    return join(this.directory, 'viewer-token');
  }

  async #startApi(port: number): Promise<void> {
    const started = await startControlApi({
      stateDirectory: join(this.directory, 'state'),
      port,
      adminTokenFile: this.#adminTokenFile,
      viewerTokenFile: this.#viewerTokenFile,
      logFile: this.logFile,
      exitWithParent: true,
      runner: { ...this.#runnerEnvironment(), ...this.#machines.environment },
      ...(this.isEphemeral ? { ephemeralRoot: this.directory } : {}),
    });
    this.#process = started;
    if (this.#ending) started.child.kill('SIGKILL');
    started.child.once('exit', (code, signal) => {
      if (!this.#ending) void this.#restart(signal ?? `status ${code}`);
    });
    if (started.child.exitCode !== null && !this.#ending)
      void this.#restart(`status ${started.child.exitCode}`);
  }

  #runnerEnvironment() {
    const { runner } = this.#options;
    if (runner.name === 'process') return runnerEnvironment(runner);
    return runnerEnvironment({ ...runner, content: [...runner.content, this.contentDirectory] });
  }

  async #restart(how: string): Promise<void> {
    const { clock } = this.#host;
    this.#restarts += 1;
    if (this.#restarts > mostRestarts) {
      this.#failure.abort(
        new CliError(
          'control-api',
          exitCodes.failed,
          `The control API ends again and again (${how}): see ${this.logFile}.`,
        ),
      );
      return;
    }
    this.#options.note(`The control API ended (${how}); starting it again.`);
    try {
      await sleep(clock, restartPauseMs * this.#restarts, this.#failure.signal);
      if (!this.#ending) await this.#startApi(Number(new URL(this.url).port));
    } catch (error) {
      if (!this.#ending) await this.#restart(error instanceof Error ? error.message : String(error));
    }
  }

  async #deleteCluster(clock: Clock, hurry: AbortSignal): Promise<void> {
    const params = { cluster: this.#options.cluster };
    const call = { params, timeoutMs: 5_000, signal: hurry };
    const giveUpAt = clock.now() + deleteMs;
    try {
      await this.api.deleteCluster(call);
      while (clock.now() < giveUpAt) {
        await this.api.getCluster(call);
        await sleep(clock, 50, hurry);
      }
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  /** Its standard input ends, and it with it. */
  async #stopApi(clock: Clock, hurry: AbortSignal): Promise<void> {
    const child = this.#process?.child;
    if (child === undefined) return;
    child.stdin?.end();
    const killAt = clock.now() + exitMs;
    const gone = () => child.exitCode !== null || child.signalCode !== null;
    while (!gone() && clock.now() < killAt && !hurry.aborted) {
      await sleep(clock, 20, hurry).catch(() => undefined);
    }
    if (!gone()) child.kill('SIGKILL');
  }
}
