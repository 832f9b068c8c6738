/**
 * What a process is from its launch to its end: one machine, or a spare and then the machine that it is assigned
 * to be. Whoever made the process knows it by its launch, whatever it becomes.
 */
import type { AgentConfig } from '@skep/contract';
import type { Host } from '@skep/p2p-core/host';
import { type Agent, startAgent } from './agent.ts';
import type { AgentEnd } from './ending.ts';
import type { Log } from './log.ts';

/** How a process comes to an end; what it was last is in `configs`. */
export type LifeEnd = Exclude<AgentEnd, 'assigned'>;

export interface Life {
  /** Rejects with HostError if a spare cannot be what it is assigned to be, as where its addresses can't be had. */
  readonly ended: Promise<LifeEnd>;
  /** Of what it has been, the present one last. */
  readonly configs: readonly AgentConfig[];
  stop(): void;
}

export interface LifeComponents {
  /** The host of the next machine, which has its own addresses. The one before is not used any more. */
  readonly hostFor: (config: AgentConfig) => Host | Promise<Host>;
  readonly log: Log;
}

/** Starts a machine and whatever it becomes. Rejects as `startAgent` does. */
export async function startLife(components: LifeComponents, config: AgentConfig): Promise<Life> {
  const life = new ProcessLife(components);
  await life.start(config);
  return life;
}

class ProcessLife implements Life {
  readonly #components: LifeComponents;
  readonly configs: AgentConfig[] = [];
  readonly ended: Promise<LifeEnd>;
  #settle!: { resolve: (end: LifeEnd) => void; reject: (error: unknown) => void };
  #agent: Agent | undefined;
  #stopped = false;

  constructor(components: LifeComponents) {
    this.#components = components;
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  async start(config: AgentConfig): Promise<void> {
    const { hostFor, log } = this.#components;
    this.configs.push(config);
    const agent = await startAgent({ host: await hostFor(config), log }, config);
    this.#agent = agent;
    // Told while it was starting.
    if (this.#stopped) agent.stop();
    agent.ended.then((end) => this.#goOn(agent, end)).catch(this.#settle.reject);
  }

  stop(): void {
    this.#stopped = true;
    this.#agent?.stop();
  }

  async #goOn({ becomes }: Agent, end: AgentEnd): Promise<void> {
    if (end !== 'assigned') this.#settle.resolve(end);
    else if (this.#stopped || becomes === undefined) this.#settle.resolve('stopped');
    else await this.start(becomes);
  }
}
