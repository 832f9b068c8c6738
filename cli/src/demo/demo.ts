/**
 * The demonstration, phase by phase: a cluster, a real file through it, the ring's leader killed and
 * replaced, a newcomer served through the replacement alone. Each phase says what it awaits, and until when.
 */
import { type ApiClient, ApiError, type ClusterEvent, type ClusterView, type NodeView } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { encodeMetainfo } from '@skep/p2p-core/metainfo';
import { followEvents } from '../daemon/event-stream.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError, isPassing } from '../failure.ts';
import type { Board } from '../terminal/board.ts';
import { formatBytes, formatDuration } from '../terminal/format.ts';
import { until, within } from '../timing.ts';
import { type DemoContent, readContent } from './content.ts';
import { type Download, downloadOf, downloadRows, holdingOf, obstacleOf, shortfall } from './downloads.ts';
import { advanceHealing, beginHealing, type Healing } from './healing.ts';
import { lookUpThrough } from './lookup.ts';

/** Where the story plays: what differs between machines of this computer and machines elsewhere. */
export interface DemoStage {
  readonly session: DemoSession;
  /** Name of the cluster. */
  readonly cluster: string;
  /** What each node is, in words: a process. */
  readonly nodeIs: string;
  /** How one is killed, in words: with SIGKILL. */
  readonly howKilled: string;
  /** How long nodes may take to serve, and a dead one to be replaced. */
  readonly servingMs: number;
  readonly healingMs: number;
  /** An agent that could not reach the control API for this long ends itself. */
  readonly orphanMs: number;
  /** Whether this computer reaches the nodes' addresses. */
  readonly reachesNodes: boolean;
  /** Brings the content to where the seed can have it. Rejects with CliError if so many copies have no room. */
  offer(content: DemoContent, copies: number): Promise<OfferedContent>;
}

export type OfferedContent = { readonly contentRoot: string } | { readonly contentUrl: string };

/** A control API, and a cluster on it that is this command's own. */
export interface DemoSession {
  readonly url: string;
  readonly api: ApiClient;
  readonly isEphemeral: boolean;
  start(): Promise<void>;
  expectCluster(): void;
  nodes(): Promise<NodeView[]>;
}

export interface DemoOptions {
  readonly contentPath: string;
  readonly bootstrap: number;
  /** One seeds, the others fetch. */
  readonly peers: number;
  readonly index: number;
  /** Launched and idle, to take over from nodes that die. */
  readonly spares: number;
}

/** What --json prints; grows as the phases pass. */
export interface DemoResult {
  nodes: number;
  bytes: number;
  downloads: Download[];
  healing: { detectedMs?: number; electedMs?: number; redeployedMs?: number; firstLookupMs?: number };
  ok: boolean;
}

export interface DemoParts {
  readonly host: Host;
  readonly stage: DemoStage;
  readonly board: Board;
  /** Aborted by Ctrl-C, and when the control API cannot be kept running. */
  readonly signal: AbortSignal;
}

const lookupMs = 30_000;
/** Downloads take as long as the content is large; this is for the slowest disk and a busy machine. */
const downloadBaseMs = 120_000;
const slowestBytesPerMs = 1_000;
const pollMs = 150;
/** Often enough for bars that move. */
const reportIntervalMs = 400;
const seedSlot = 'peer-1';

export class Demo {
  readonly result: DemoResult = { nodes: 0, bytes: 0, downloads: [], healing: {}, ok: false };
  readonly #parts: DemoParts;
  readonly #options: DemoOptions;
  #healing: Healing | undefined;
  #nodes: NodeView[] = [];
  #content!: DemoContent;
  #offered!: OfferedContent;
  #infoHash = '';

  constructor(parts: DemoParts, options: DemoOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Runs every phase; resolves when all of it held, rejects with a sentence about what did not. */
  async run(): Promise<void> {
    const { stage, signal } = this.#parts;
    const { session, cluster } = stage;
    const following = new AbortController();
    try {
      await session.start();
      const [content] = await Promise.all([this.#prepareContent(), this.#createCluster()]);
      this.#content = content;
      this.#infoHash = toHex(content.metainfo.info.infoHash);
      const events = followEvents({
        api: session.api,
        cluster,
        clock: this.#parts.host.clock,
        signal: AbortSignal.any([signal, following.signal]),
        after: 0,
        onEvent: (event) => this.#onEvent(event),
      });
      // An API that refuses the events shows in the phase that waits for them.
      events.catch(() => undefined);
      await this.#awaitServing();
      await this.#spread();
      const replaced = await this.#killLeader();
      if (stage.reachesNodes) await this.#lookUp(replaced);
      await this.#serveNewcomer(replaced);
      this.result.ok = true;
    } finally {
      following.abort();
    }
  }

  async #prepareContent(): Promise<DemoContent> {
    const { host, signal } = this.#parts;
    const content = await readContent(host, this.#options.contentPath, {
      signal,
      onProgress: () => undefined,
    });
    const { info } = content.metainfo;
    // Every leech makes a copy, and so does the newcomer.
    this.#offered = await this.#stage.offer(content, this.#options.peers);
    this.result.bytes = info.length;
    this.#say(
      `torrent of ${info.name}: ${formatBytes(info.length)}, ${info.pieceCount} pieces of ${formatBytes(info.pieceLength)}`,
    );
    return content;
  }

  async #createCluster(): Promise<void> {
    const { session, cluster, orphanMs, nodeIs } = this.#stage;
    const { bootstrap, index, peers, spares } = this.#options;
    this.#say(`control API at ${session.url}`);
    session.expectCluster();
    await this.#insist('the control API to take the cluster', async () => {
      try {
        await session.api.createCluster({
          body: {
            name: cluster,
            bootstrap,
            index,
            peers,
            spares,
            ephemeral: session.isEphemeral,
            orphanMs,
            reportIntervalMs,
          },
        });
      } catch (error) {
        if (!(error instanceof ApiError && error.problem?.code === 'cluster-exists')) throw error;
      }
      return true;
    });
    const idle = spares === 0 ? '' : `, ${spares} warm ${spares === 1 ? 'spare' : 'spares'}`;
    const indexing = index === 0 ? '' : `, ${index} index ${index === 1 ? 'node' : 'nodes'}`;
    this.#say(
      `${bootstrap} bootstrap nodes${indexing}, 1 seed and ${peers - 1} leeches${idle}, each ${nodeIs} of its own`,
    );
  }

  async #awaitServing(): Promise<void> {
    const started = this.#now();
    const waiting = () =>
      this.#nodes
        .filter((node) => node.state !== 'serving')
        .map((node) => `${node.slot} (${node.state})`)
        .join(', ') || 'a first leader of the ring';
    await this.#poll(this.#stage.servingMs, waiting, async () => {
      const nodes = await this.#look();
      const serving = nodes.filter((node) => node.state === 'serving').length;
      this.#parts.board.show([
        {
          label: 'nodes',
          fraction: serving / Math.max(1, nodes.length),
          detail: `${serving} of ${nodes.length} serve`,
        },
      ]);
      if (serving < nodes.length || nodes.length === 0) return undefined;
      return leaderOf(await this.#cluster());
    });
    this.#parts.board.settle();
    this.#say(`all nodes serve after ${formatDuration(this.#now() - started)}`);
  }

  async #spread(): Promise<void> {
    const { session, cluster } = this.#stage;
    const { metainfo } = this.#content;
    await this.#insist('the control API to take the torrent', async () => {
      try {
        await session.api.addTorrent({
          params: { cluster },
          body: {
            metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
            seeds: [{ slot: seedSlot, ...this.#offered }],
            leeches: 'all',
          },
        });
      } catch (error) {
        if (!(error instanceof ApiError && error.problem?.code === 'torrent-exists')) throw error;
      }
      return true;
    });
    const leeches = this.#nodes
      .filter((node) => node.role === 'peer' && node.slot !== seedSlot)
      .map((node) => node.slot);
    this.#say(`${seedSlot} seeds; the leeches have its magnet link and nothing else`);
    await this.#awaitDownloads(leeches);
  }

  async #awaitDownloads(slots: readonly string[]): Promise<void> {
    const { length } = this.#content.metainfo.info;
    const { sha256 } = this.#content;
    // A newcomer's machine has yet to start.
    const timeoutMs = this.#stage.servingMs + downloadBaseMs + (length * slots.length) / slowestBytesPerMs;
    const missing = () => `the downloads of ${shortfall(this.#nodes, slots, this.#infoHash)}`;
    const downloads = await this.#poll(timeoutMs, missing, async () => {
      const nodes = await this.#look();
      this.#parts.board.show(downloadRows(nodes, slots, this.#infoHash, sha256));
      const obstacle = obstacleOf(nodes, this.#infoHash);
      if (obstacle !== undefined) throw new CliError('download', exitCodes.failed, obstacle);
      const done = nodes
        .filter((node) => slots.includes(node.slot))
        .map((node) => downloadOf(node, this.#infoHash, sha256));
      return done.length === slots.length && done.every((each) => each !== undefined) ? done : undefined;
    });
    this.#parts.board.settle();
    this.result.downloads.push(...downloads);
    const wrong = downloads.filter((download) => !download.sha256Ok).map((download) => download.node);
    if (wrong.length > 0) {
      throw new CliError(
        'sha256',
        exitCodes.failed,
        `What ${wrong.join(', ')} downloaded is not the original: its SHA-256 differs.`,
      );
    }
  }

  /** Kills the machine that holds the lease; gives the node that took its slot over. */
  async #killLeader(): Promise<NodeView> {
    const { host } = this.#parts;
    const { session, cluster, servingMs, healingMs } = this.#stage;
    const { leader, term } = await this.#poll(
      servingMs,
      () => 'a leader of the ring',
      async () => leaderOf(await this.#cluster()),
    );
    const [slot = '', generation = ''] = leader.split('@');
    this.#say(`kills ${slot}, the leader of term ${term}, ${this.#stage.howKilled}`);
    const kill = { slot, generation: Number(generation), atMs: host.clock.wallTime(), term };
    this.#healing = beginHealing(kill);
    await this.#insist(`the control API to kill ${slot}`, async () => {
      const victim = (await session.nodes()).find((node) => node.slot === slot);
      // A lost answer must not lead to the replacement being killed too.
      if (victim?.generation === kill.generation && victim.state !== 'dead') {
        await session.api.killNode({ params: { cluster, slot } });
      }
      return true;
    });
    const awaited = () => {
      const { detectedMs, electedMs, refusal } = this.#healing!;
      if (detectedMs === undefined) return `somebody to notice that ${slot} is dead`;
      if (electedMs === undefined) return 'a new leader';
      return `the redeployment of ${slot}${refusal === undefined ? '' : ` (last refused: ${refusal})`}`;
    };
    return this.#poll(healingMs, awaited, async () => {
      if (this.#healing?.redeployedMs === undefined || this.#healing.electedMs === undefined)
        return undefined;
      const nodes = await this.#look();
      return nodes.find(
        (node) => node.slot === slot && node.generation > kill.generation && node.state === 'serving',
      );
    });
  }

  #onEvent(event: ClusterEvent): void {
    const before = this.#healing;
    if (before === undefined) return;
    const after = advanceHealing(before, event);
    if (after === before) return;
    this.#healing = after;
    const { detectedMs, electedMs, redeployedMs, kill } = after;
    Object.assign(this.result.healing, definedOnly({ detectedMs, electedMs, redeployedMs }));
    if (before.detectedMs !== detectedMs) this.#tell('detected', detectedMs, `by ${after.detectedBy}`);
    if (before.electedMs !== electedMs)
      this.#tell('elected', electedMs, `${after.leader} leads in term ${after.term}`);
    if (before.redeployedMs !== redeployedMs) {
      this.#tell(
        'redeployed',
        redeployedMs,
        `${kill.slot} serves again, as generation ${after.newGeneration}`,
      );
    }
  }

  async #lookUp(replaced: NodeView): Promise<void> {
    const { host, signal } = this.#parts;
    const expected = this.#nodes.filter((node) => node.role === 'peer').map((node) => node.address);
    const { infoHash } = this.#content.metainfo.info;
    await within(
      {
        clock: host.clock,
        signal,
        timeoutMs: lookupMs,
        awaited: () => `a DHT lookup through ${replaced.slot} alone`,
      },
      (limited) => lookUpThrough(host, { through: replaced.address, infoHash, expected, signal: limited }),
    );
    this.#lookedUp(replaced);
  }

  /** Who joins through the replacement, and finds by it what it fetches. */
  async #serveNewcomer(replaced: NodeView): Promise<void> {
    const { session, cluster, reachesNodes, servingMs } = this.#stage;
    const known = new Set(this.#nodes.map((node) => node.slot));
    const newcomer = await this.#insist('the control API to add a leech', async () => {
      const added = (await session.nodes()).find((node) => !known.has(node.slot));
      if (added !== undefined) return added;
      return session.api.addNode({ params: { cluster }, body: { bootstrap: [replaced.slot] } });
    });
    this.#say(`${newcomer.slot} joins, and knows of ${replaced.slot} alone`);
    if (!reachesNodes) {
      await this.#poll(
        servingMs,
        () => `a DHT lookup of ${newcomer.slot} through ${replaced.slot} alone`,
        async () => {
          const node = (await this.#look()).find(({ slot }) => slot === newcomer.slot);
          return node && holdingOf(node, this.#infoHash)?.firstPeerMs;
        },
      );
      this.#lookedUp(replaced);
    }
    await this.#awaitDownloads([newcomer.slot]);
  }

  #lookedUp(through: NodeView): void {
    const firstLookupMs = this.#parts.host.clock.wallTime() - this.#healing!.kill.atMs;
    this.result.healing.firstLookupMs = firstLookupMs;
    this.#tell('first lookup', firstLookupMs, `peers found through ${through.slot} alone`);
  }

  get #stage(): DemoStage {
    return this.#parts.stage;
  }

  // ---------------------------------------------------------------- seeing and saying

  async #look(): Promise<NodeView[]> {
    this.#nodes = await this.#stage.session.nodes();
    this.result.nodes = this.#nodes.length;
    return this.#nodes;
  }

  #cluster(): Promise<ClusterView> {
    const { session, cluster } = this.#stage;
    return session.api.getCluster({ params: { cluster } });
  }

  #poll<T>(timeoutMs: number, awaited: () => string, look: () => Promise<T | undefined>): Promise<T> {
    const { host, signal } = this.#parts;
    return until({ clock: host.clock, signal, timeoutMs, everyMs: pollMs, awaited }, async () => {
      try {
        return await look();
      } catch (error) {
        // The control API may be on its way back; what does not come back ends by the time limit.
        if (isPassing(error)) return undefined;
        throw error;
      }
    });
  }

  #insist<T>(awaited: string, work: () => Promise<T>): Promise<T> {
    return this.#poll(this.#stage.servingMs, () => awaited, work);
  }

  #now(): number {
    return this.#parts.host.clock.now();
  }

  #say(text: string): void {
    this.#parts.board.print(text);
  }

  #tell(what: string, afterMs: number | undefined, how: string): void {
    this.#say(`  ${what.padEnd(13)} ${`+${formatDuration(afterMs ?? 0)}`.padStart(9)}  ${how}`);
  }
}

/** The machine that holds the lease now; the watchdog is no machine. */
function leaderOf({ lease }: ClusterView): { leader: string; term: number } | undefined {
  const { held, holder, term } = lease;
  return held && holder?.includes('@') ? { leader: holder, term } : undefined;
}

function definedOnly<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
