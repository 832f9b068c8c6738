/**
 * One machine of a cluster: a BitTorrent node in its role, its line to the control API, its seat in the ring.
 * This is the production entry point; every runner, the simulator included, starts nodes here.
 */
import type { AgentConfig, Command, Report } from '@skep/contract';
import { createNode, type Node } from '@skep/p2p-core';
import { fromHex } from '@skep/p2p-core/bytes';
import type { Address, Host, HttpServer, Timer } from '@skep/p2p-core/host';
import { LamportClock, type RingEvent } from '@skep/p2p-core/ring';
import { ControlLink, lineOf } from './control-link.ts';
import { type AgentEnd, endAs } from './ending.ts';
import { type Endurance, enduring } from './endurance.ts';
import { EventOutbox } from './event-outbox.ts';
import { serveHealth } from './health.ts';
import type { Log } from './log.ts';
import { RingSeat, type SeatEvent } from './ring-seat.ts';
import { SelfTest } from './self-test.ts';
import { SpareMachine } from './spare.ts';
import { TorrentHoldings } from './torrent-holdings.ts';

export interface Agent {
  readonly ended: Promise<AgentEnd>;
  /** What the process is to be once this has ended as `assigned`. */
  readonly becomes?: AgentConfig | undefined;
  /** Finishes cleanly: says so to the ring and the control API, saves what was verified. */
  stop(): void;
}

/** How long a node waits for its first DHT neighbours before it serves without: all others may be dead. */
const lonelyMs = 1_500;
const neighbourPollMs = 20;
const farewellMs = 1_000;

/** Ring facts that the control API should hear at once, not at the next report. */
const urgent: ReadonlySet<RingEvent['type']> = new Set([
  'member-dead',
  'elected',
  'lease-granted',
  'lease-lost',
  'leader-changed',
]);

/**
 * Starts a machine. Rejects with HostError if its addresses can't be had; whatever happens later is told by
 * `ended`.
 */
export async function startAgent(components: { host: Host; log: Log }, config: AgentConfig): Promise<Agent> {
  const { host, log } = components;
  const machine =
    config.role === 'spare' ? new SpareMachine(host, log, config) : new Machine(host, log, config);
  await machine.start();
  return machine;
}

class Machine implements Agent {
  readonly ended: Promise<AgentEnd>;
  readonly #host: Host;
  /** What is told on the machine itself is told whatever the machine endures. */
  readonly #healthHost: Host;
  readonly #log: Log;
  readonly #config: AgentConfig;
  readonly #lamport = new LamportClock();
  readonly #outbox = new EventOutbox();
  readonly #link: ControlLink;
  readonly #ring: RingSeat | undefined;
  /** Of a shaped machine. */
  readonly #endurance: Endurance | undefined;
  #resolveEnded!: (end: AgentEnd) => void;
  #node!: Node;
  #holdings!: TorrentHoldings;
  #selfTest!: SelfTest;
  /** As last told. */
  #bootstraps: readonly Address[] = [];
  #health!: HttpServer;
  #state: Report['state'] = 'joined';
  #isFirst = false;
  /** When the first commands came. */
  #commandedAtMs: number | undefined;
  #readyTimer: Timer | undefined;

  constructor(host: Host, log: Log, config: AgentConfig) {
    this.#healthHost = host;
    // All that the machine says to others goes through it, to the control API too.
    ({ host, endurance: this.#endurance } = enduring(host, config.shaped === true));
    this.#host = host;
    this.#log = log;
    this.#config = config;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    const { slot, generation, cluster, clusterUid } = config;
    const self = { slot, generation };
    this.#link = new ControlLink(
      { host, subject: this, lamport: this.#lamport },
      {
        ...lineOf(config),
        onEnd: (end, why) => this.#end(end, why),
        onTrouble: (what, message) => log.warn(`${what}; trying on`, { message }),
      },
    );
    if (config.role === 'bootstrap' && config.ringKey !== undefined && config.ringPort !== undefined) {
      this.#ring = new RingSeat(host, {
        cluster,
        clusterUid,
        self,
        local: { host: config.listen.host, port: config.ringPort },
        ringKey: fromHex(config.ringKey)!,
        stateDirectory: `${config.dataDirectory}/ring`,
        graceMs: config.graceMs,
        lamport: this.#lamport,
        client: () => this.#link.client,
        onEvent: (event) => this.#onRingEvent(event),
      });
    }
  }

  async start(): Promise<void> {
    const host = this.#host;
    const config = this.#config;
    this.#node = await createNode(
      { host },
      {
        listen: config.listen,
        dht: { bootstrap: [] },
        dataDirectory: config.dataDirectory,
        uploadBytesPerSecond: config.uploadBytesPerSecond || Infinity,
        downloadBytesPerSecond: config.downloadBytesPerSecond || Infinity,
      },
    );
    this.#holdings = new TorrentHoldings(
      { host, node: this.#node },
      { dataDirectory: config.dataDirectory, onEvent: (kind, data) => this.#tell(kind, data) },
    );
    this.#selfTest = new SelfTest(
      { host, node: this.#node, ring: this.#ring },
      {
        self: { slot: config.slot, generation: config.generation },
        dataDirectory: config.dataDirectory,
        bootstraps: () => this.#bootstraps,
        controlTime: async (signal) => (await this.#link.client.health({ signal })).wallTimeMs,
        onDone: () => this.#link.nudge(),
      },
    );
    this.#health = await serveHealth(
      this.#healthHost,
      { host: '127.0.0.1', port: config.healthPort },
      {
        slot: config.slot,
        generation: config.generation,
        report: () => this.report(),
        controlSilentMs: () => this.#link.silentMs,
      },
    );
    this.#log.info('listening', {
      slot: config.slot,
      generation: config.generation,
      port: config.listen.port,
    });
    this.#link.start();
  }

  stop(): void {
    this.#end('stopped', 'told to stop');
  }

  // ---- LinkSubject

  report() {
    const selfTest = this.#selfTest.report();
    return {
      state: this.#state,
      lamport: this.#lamport.time,
      dhtNodes: this.#dhtNodes(),
      torrents: this.#holdings.report(),
      events: this.#outbox.next(this.#host.clock.now()),
      ...(selfTest === undefined ? {} : { selfTest }),
      ...(this.#ring?.formed ? { ring: this.#ring.report()! } : {}),
    };
  }

  answered(eventsTaken: number, lamport: number): void {
    this.#outbox.taken(eventsTaken);
    this.#lamport.merge(lamport);
    if (this.#outbox.size > 0) this.#link.nudge();
  }

  reachable(reachable: boolean): void {
    this.#ring?.controlReachable(reachable);
  }

  async obey(commands: readonly Command[]): Promise<void> {
    const stop = commands.find((command) => command.kind === 'stop');
    if (stop !== undefined) return this.#end(stop.reason, 'told by the control API');
    this.#endurance?.obey(commands.find((command) => command.kind === 'endure'));
    for (const command of commands) {
      if (command.kind === 'bootstrap-from') this.#bootstrapFrom(command.addresses);
      else if (command.kind === 'form-ring') await this.#ring?.form(command);
      else if (command.kind === 'heed-deaths') this.#ring?.heed(command);
    }
    await this.#holdings.obey(commands.filter((command) => command.kind === 'hold-torrent'));
    this.#selfTest.obey(commands.find((command) => command.kind === 'self-test'));
    this.#serveIfReady();
  }

  #bootstrapFrom(addresses: readonly Address[]): void {
    this.#bootstraps = addresses;
    this.#node.dht?.addNodes(addresses);
    // The first of all bootstrap nodes finds nobody; a peer waits for one.
    this.#isFirst = this.#config.role === 'bootstrap' && addresses.length === 0;
    this.#commandedAtMs ??= this.#host.clock.now();
    this.#awaitNeighbours();
  }

  /** The table fills within milliseconds; looking is simpler than a callback through all layers. */
  #awaitNeighbours(): void {
    this.#readyTimer?.cancel();
    this.#serveIfReady();
    if (this.#state !== 'joined') return;
    this.#readyTimer = this.#host.clock.setTimer(neighbourPollMs, () => this.#awaitNeighbours());
  }

  #serveIfReady(): void {
    if (this.#state !== 'joined' || this.#commandedAtMs === undefined) return;
    if (this.#ring !== undefined && !this.#ring.formed) return;
    const lonely = this.#isFirst || this.#host.clock.now() - this.#commandedAtMs >= lonelyMs;
    if (this.#dhtNodes() === 0 && !lonely) return;
    this.#state = 'serving';
    this.#log.info('serving');
    this.#link.nudge();
  }

  // ---- events

  #onRingEvent(event: SeatEvent): void {
    const { type, lamport, atMs, ...rest } = event;
    this.#outbox.add({ kind: type, lamport, data: flat(rest) }, atMs);
    this.#log.info(type, flat(rest));
    if (type === 'generation-over') this.#end('over', 'a newer generation has the slot');
    else if (urgent.has(type)) this.#link.nudge();
  }

  #tell(kind: string, data: Record<string, string | number | boolean>): void {
    this.#outbox.add({ kind, lamport: this.#lamport.tick(), data }, this.#host.clock.now());
    this.#log.info(kind, data);
    this.#link.nudge();
  }

  #dhtNodes(): number {
    return this.#node.dht?.stats().nodes ?? 0;
  }

  // ---- the end

  #end(end: AgentEnd, why: string): void {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    endAs(end, why, this.#log, (missed) => this.#shutDown(missed)).then(this.#resolveEnded);
  }

  async #shutDown(missed: boolean): Promise<void> {
    this.#readyTimer?.cancel();
    this.#endurance?.close();
    await this.#selfTest.close();
    if (missed) await this.#ring?.leave();
    await this.#ring?.close();
    this.#holdings.close();
    await this.#node.close();
    if (missed) await this.#link.farewell(farewellMs);
    else await this.#link.close();
    await this.#health.close();
  }
}

type Flat = Record<string, string | number | boolean>;

/** A ring fact as an event's data: one level, so that every reader can show it. */
function flat(fact: object): Flat {
  const data: Flat = {};
  for (const [key, value] of Object.entries(fact)) {
    if (typeof value === 'string') data[key] = value.slice(0, 400);
    else if (typeof value === 'number' || typeof value === 'boolean') data[key] = value;
    else if (value !== null && typeof value === 'object' && 'slot' in value && 'generation' in value) {
      data[key] = `${value.slot}@${value.generation}`;
    }
  }
  return data;
}
