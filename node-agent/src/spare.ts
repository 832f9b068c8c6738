/**
 * A warm spare: a machine that runs no node. It has joined, reports, and waits until it is told which slot's
 * machine to become; then it ends as a spare, and its process goes on as that one (`life.ts`).
 */
import type { AgentConfig, Command, Report } from '@skep/contract';
import type { Host, HttpServer } from '@skep/p2p-core/host';
import { LamportClock } from '@skep/p2p-core/ring';
import type { Agent } from './agent.ts';
import { ControlLink, lineOf } from './control-link.ts';
import { type AgentEnd, endAs } from './ending.ts';
import { type Endurance, enduring } from './endurance.ts';
import { serveHealth } from './health.ts';
import type { Log } from './log.ts';

const farewellMs = 1_000;

export class SpareMachine implements Agent {
  readonly ended: Promise<AgentEnd>;
  /** What is told on the machine itself is told whatever the machine endures. */
  readonly #healthHost: Host;
  readonly #log: Log;
  readonly #config: AgentConfig;
  readonly #lamport = new LamportClock();
  readonly #link: ControlLink;
  readonly #endurance: Endurance | undefined;
  #resolveEnded!: (end: AgentEnd) => void;
  #health!: HttpServer;
  #state: Report['state'] = 'joined';
  #becomes: AgentConfig | undefined;

  constructor(host: Host, log: Log, config: AgentConfig) {
    this.#healthHost = host;
    ({ host, endurance: this.#endurance } = enduring(host, config.shaped === true));
    this.#log = log;
    this.#config = config;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#link = new ControlLink(
      { host, subject: this, lamport: this.#lamport },
      {
        ...lineOf(config),
        onEnd: (end, why) => this.#end(end, why),
        onTrouble: (what, message) => log.warn(`${what}; trying on`, { message }),
      },
    );
  }

  get becomes(): AgentConfig | undefined {
    return this.#becomes;
  }

  async start(): Promise<void> {
    const { slot, generation, healthPort } = this.#config;
    this.#health = await serveHealth(
      this.#healthHost,
      { host: '127.0.0.1', port: healthPort },
      { slot, generation, report: () => this.report(), controlSilentMs: () => this.#link.silentMs },
    );
    this.#log.info('spare', { slot, generation });
    this.#link.start();
  }

  stop(): void {
    this.#end('stopped', 'told to stop');
  }

  // ---- LinkSubject

  report() {
    return { state: this.#state, lamport: this.#lamport.time, dhtNodes: 0, torrents: [], events: [] };
  }

  answered(_eventsTaken: number, lamport: number): void {
    this.#lamport.merge(lamport);
  }

  reachable(): void {
    // Nothing here rests on it.
  }

  async obey(commands: readonly Command[]): Promise<void> {
    const stop = commands.find((command) => command.kind === 'stop');
    if (stop !== undefined) return this.#end(stop.reason, 'told by the control API');
    const become = commands.find((command) => command.kind === 'become');
    if (become !== undefined) return this.#become(become.config);
    this.#endurance?.obey(commands.find((command) => command.kind === 'endure'));
    if (this.#state !== 'joined') return;
    this.#state = 'serving';
    this.#link.nudge();
  }

  // ---- the end

  #become(config: AgentConfig): void {
    this.#becomes ??= config;
    const { slot, generation } = config;
    this.#end('assigned', `assigned as ${slot}@${generation}`);
  }

  #end(end: AgentEnd, why: string): void {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    endAs(end, why, this.#log, (missed) => this.#shutDown(missed)).then(this.#resolveEnded);
  }

  async #shutDown(missed: boolean): Promise<void> {
    this.#endurance?.close();
    if (missed) await this.#link.farewell(farewellMs);
    else await this.#link.close();
    await this.#health.close();
  }
}
