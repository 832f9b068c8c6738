/**
 * The agent's line to the control API: it joins, reports at an interval, hands over the commands that ride
 * back, and keeps trying while the API is away. It decides one thing by itself: that the machine is over,
 * because its generation has been replaced, its cluster is gone, or nobody has answered for too long.
 */
import {
  type AgentConfig,
  type ApiClient,
  ApiError,
  type Command,
  createApiClient,
  type Fetch,
  lamportHeader,
  lamportOf,
  type MachineId,
  type Report,
} from '@skep/contract';
import { toHex as hex } from '@skep/p2p-core/bytes';
import type { Files, Host, Random, Timer } from '@skep/p2p-core/host';
import type { LamportClock } from '@skep/p2p-core/ring';
import { sleep } from './sleep.ts';

/** Why a link ended by itself. */
export type LinkEnd = 'over' | 'orphaned' | 'refused';

/** What the link needs of the node it speaks for. */
export interface LinkSubject {
  /** The report of this moment. */
  report(): Omit<Report, 'machine' | 'attempt' | 'revision' | 'waitMs'>;
  /** Makes the standing commands so. A rejection leaves the revision as it was, and they come again. */
  obey(commands: readonly Command[]): Promise<void>;
  answered(eventsTaken: number, lamport: number): void;
  reachable(reachable: boolean): void;
}

export interface ControlLinkOptions {
  readonly apiUrl: string;
  readonly cluster: string;
  readonly machine: MachineId;
  readonly attempt: number;
  readonly joinSecret: string;
  /** Where the machine keeps the token that it made for itself. */
  readonly tokenPath: string;
  readonly reportIntervalMs: number;
  readonly orphanMs: number;
  readonly onEnd: (end: LinkEnd, why: string) => void;
  /** `what` does not succeed and is tried on; `message` says why. Told once until it succeeds. */
  readonly onTrouble: (what: string, message: string) => void;
}

/** What a machine's configuration says of its line. */
export function lineOf(config: AgentConfig): Omit<ControlLinkOptions, 'onEnd' | 'onTrouble'> {
  const { slot, generation, attempt } = config;
  return {
    apiUrl: config.apiUrl,
    cluster: config.cluster,
    machine: { slot, generation },
    attempt,
    joinSecret: config.joinSecret,
    tokenPath: `${config.dataDirectory}/agent/${generation}.${attempt}/token`,
    reportIntervalMs: config.reportIntervalMs,
    orphanMs: config.orphanMs,
  };
}

const firstRetryMs = 50;
const longestRetryMs = 1_000;
/** How long an answer may be late beyond the time it was allowed to be held. */
const answerMarginMs = 5_000;
/** A machine that was paused finds its clock far ahead: it must also have failed this often to be an orphan. */
const orphanFailures = 4;
/** Gathers what happens at nearly one time into one report. */
const nudgeDelayMs = 5;
const tokenBytes = 32;

export class ControlLink {
  readonly #host: Host;
  readonly #lamport: LamportClock;
  readonly #subject: LinkSubject;
  readonly #options: ControlLinkOptions;
  readonly #closing = new AbortController();
  #client: ApiClient;
  #revision = '';
  /** Given up by a nudge, and by the end. */
  #heldPoll: AbortController | undefined;
  #nudgeTimer: Timer | undefined;
  #nudged = false;
  readonly #startedAtMs: number;
  #lastHeardMs: number;
  #failures = 0;
  #disobeyed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    components: { host: Host; subject: LinkSubject; lamport: LamportClock },
    options: ControlLinkOptions,
  ) {
    this.#host = components.host;
    this.#lamport = components.lamport;
    this.#subject = components.subject;
    this.#options = options;
    this.#client = this.#clientWith(undefined);
    this.#startedAtMs = components.host.clock.now();
    this.#lastHeardMs = this.#startedAtMs;
  }

  /** The client with this machine's token, for what else is asked of the control API. */
  get client(): ApiClient {
    return this.#client;
  }

  /** Milliseconds since the control API last answered. */
  get silentMs(): number {
    return this.#host.clock.now() - this.#lastHeardMs;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Something worth knowing happened: reports at once instead of waiting for the held answer. */
  nudge(): void {
    this.#nudged = true;
    this.#nudgeTimer ??= this.#host.clock.setTimer(nudgeDelayMs, () => {
      this.#nudgeTimer = undefined;
      this.#heldPoll?.abort();
    });
  }

  /** One last report, sent without waiting to be answered for longer than `timeoutMs`. */
  async farewell(timeoutMs: number): Promise<void> {
    await this.close();
    await this.#client
      .report({ params: { cluster: this.#options.cluster }, body: this.#body(0), timeoutMs })
      .catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#nudgeTimer?.cancel();
    this.#heldPoll?.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let joined = false;
    while (!this.#closing.signal.aborted) {
      try {
        if (!joined) {
          await this.#join();
          joined = true;
        }
        await this.#reportOnce();
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (error instanceof ApiError && error.status === 401 && joined) joined = false;
        else if (this.#endsWith(error)) return;
        await this.#backOff(error);
      }
    }
  }

  /** Makes and saves the token before it is offered, so that a lost answer can be asked for again. */
  async #join(): Promise<void> {
    const host = this.#host;
    const token = await savedToken(host.files, host.random, this.#options.tokenPath);
    await this.#client.join({
      params: { cluster: this.#options.cluster },
      body: {
        machine: this.#options.machine,
        attempt: this.#options.attempt,
        joinSecret: this.#options.joinSecret,
        tokenSha256: hex(host.compute.hash('sha256', new TextEncoder().encode(token))),
        runningMs: host.clock.now() - this.#startedAtMs,
      },
      timeoutMs: answerMarginMs,
      signal: this.#closing.signal,
    });
    this.#client = this.#clientWith(token);
  }

  /** Resolves without an answer if something worth reporting at once came between. */
  async #reportOnce(): Promise<void> {
    const waitMs = this.#nudged ? 0 : this.#options.reportIntervalMs;
    this.#nudged = false;
    const poll = waitMs > 0 ? new AbortController() : undefined;
    this.#heldPoll = poll;
    try {
      const answer = await this.#client.report({
        params: { cluster: this.#options.cluster },
        body: this.#body(waitMs),
        timeoutMs: waitMs + answerMarginMs,
        signal: (poll ?? this.#closing).signal,
      });
      this.#heldPoll = undefined;
      this.#lastHeardMs = this.#host.clock.now();
      this.#failures = 0;
      this.#subject.reachable(true);
      this.#subject.answered(answer.eventsTaken, answer.lamport);
      if (answer.commands !== undefined) await this.#obey(answer.commands, answer.revision);
    } catch (error) {
      const interrupted = poll?.signal.aborted && !(error instanceof ApiError);
      if (!interrupted) throw error;
    } finally {
      this.#heldPoll = undefined;
    }
  }

  /** Commands that could not be made so come again; that is a trouble of this machine, not of the line. */
  async #obey(commands: readonly Command[], revision: string): Promise<void> {
    try {
      await this.#subject.obey(commands);
      this.#revision = revision;
      this.#disobeyed = false;
    } catch (error) {
      if (!this.#disobeyed) this.#options.onTrouble('the commands cannot be obeyed', messageOf(error));
      this.#disobeyed = true;
      await sleep(this.#host.clock, longestRetryMs, this.#closing.signal);
    }
  }

  #body(waitMs: number): Report {
    const { machine, attempt } = this.#options;
    return { ...this.#subject.report(), machine, attempt, revision: this.#revision, waitMs };
  }

  /** Whether an error says that this machine is over; tells the owner if so. */
  #endsWith(error: unknown): boolean {
    if (!(error instanceof ApiError)) return false;
    const code = error.problem?.code;
    if (code === 'generation-over' || (error.status === 404 && code === 'not-found')) {
      this.#options.onEnd('over', error.message);
      return true;
    }
    if (code === 'join-refused' || code === 'forbidden') {
      this.#options.onEnd('refused', error.message);
      return true;
    }
    return false;
  }

  async #backOff(error: unknown): Promise<void> {
    this.#failures += 1;
    this.#subject.reachable(false);
    // One that answers with a problem, such as a full disk of its own, is in trouble but not away.
    if (error instanceof ApiError && error.problem !== undefined) this.#lastHeardMs = this.#host.clock.now();
    if (this.#failures === 1) {
      this.#options.onTrouble('the control API does not take reports', messageOf(error));
    }
    if (this.silentMs >= this.#options.orphanMs && this.#failures >= orphanFailures) {
      this.#closing.abort();
      this.#options.onEnd('orphaned', `the control API has not answered for ${Math.round(this.silentMs)} ms`);
      return;
    }
    const ceiling = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(this.#failures, 10));
    await sleep(this.#host.clock, ceiling * (0.5 + this.#host.random.float() / 2), this.#closing.signal);
  }

  /** What the control API does at a call is stamped after the call, and what this machine does next after that. */
  async #stampedFetch(url: string, init: Parameters<Fetch>[1]): Promise<Response> {
    const headers = { ...init.headers, [lamportHeader]: String(this.#lamport.tick()) };
    const response = await this.#host.http.fetch(url, { ...init, headers });
    const seen = lamportOf(response.headers);
    if (seen !== undefined) this.#lamport.merge(seen);
    return response;
  }

  #clientWith(token: string | undefined): ApiClient {
    return createApiClient({
      baseUrl: this.#options.apiUrl,
      fetch: (url, init) => this.#stampedFetch(url, init),
      ...(token === undefined ? {} : { token }),
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function savedToken(files: Files, random: Random, path: string): Promise<string> {
  const known = await files.stat(path);
  if (known !== undefined) return new TextDecoder().decode(await files.read(path, 1_024));
  const token = hex(random.bytes(tokenBytes));
  await files.writeAtomic(path, new TextEncoder().encode(token));
  return token;
}
