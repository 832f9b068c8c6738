/**
 * The demonstration, phase by phase: a cluster, a real file through it, the ring's leader killed and
 * replaced, a newcomer served through the replacement alone. Each phase says what it awaits, and until when.
 */
import { ApiError, type ClusterEvent, type ClusterView, type NodeView } from '@skep/contract';
import { toHex } from '@skep/p2p-core/bytes';
import type { Host } from '@skep/p2p-core/host';
import { encodeMetainfo } from '@skep/p2p-core/metainfo';
import { followEvents } from '../daemon/event-stream.ts';
import type { PrivateSession } from '../daemon/private-session.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError, isPassing } from '../failure.ts';
import type { Board } from '../terminal/board.ts';
import { formatBytes, formatDuration } from '../terminal/format.ts';
import { until, within } from '../timing.ts';
import { type DemoContent, readContent, requireSpace } from './content.ts';
import { type Download, downloadOf, downloadRows, obstacleOf, shortfall } from './downloads.ts';
import { advanceHealing, beginHealing, type Healing } from './healing.ts';
import { lookUpThrough } from './lookup.ts';

export interface DemoOptions {
  /** What each node is, in a word: a process, a container. */
  readonly kind: string;
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
  readonly session: PrivateSession;
  readonly board: Board;
  /** Aborted by Ctrl-C, and when the control API cannot be kept running. */
  readonly signal: AbortSignal;
}

/** The cluster's name. */
export const clusterName = 'demo';

const servingMs = 60_000;
const healingMs = 90_000;
const lookupMs = 30_000;
/** Downloads take as long as the content is large; this is for the slowest disk and a busy machine. */
const downloadBaseMs = 120_000;
const slowestBytesPerMs = 1_000;
const pollMs = 150;
const orphanMs = 20_000;
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
  #infoHash = '';

  constructor(parts: DemoParts, options: DemoOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Runs every phase; resolves when all of it held, rejects with a sentence about what did not. */
  async run(): Promise<void> {
    const { session, signal } = this.#parts;
    const following = new AbortController();
    try {
      await session.start();
      const [content] = await Promise.all([this.#prepareContent(), this.#createCluster()]);
      this.#content = content;
      this.#infoHash = toHex(content.metainfo.info.infoHash);
      const events = followEvents({
        api: session.api,
        cluster: clusterName,
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
      await this.#lookUp(replaced);
      await this.#serveNewcomer(replaced);
      this.result.ok = true;
    } finally {
      following.abort();
    }
  }

  async #prepareContent(): Promise<DemoContent> {
    const { host, session, signal } = this.#parts;
    const content = await readContent(host, this.#options.contentPath, {
      signal,
      onProgress: () => undefined,
    });
    const { info } = content.metainfo;
    // Every leech makes a copy, and so does the newcomer.
    requireSpace(session.directory, info.length * this.#options.peers);
    this.result.bytes = info.length;
    this.#say(
      `torrent of ${info.name}: ${formatBytes(info.length)}, ${info.pieceCount} pieces of ${formatBytes(info.pieceLength)}`,
    );
    return content;
  }

  async #createCluster(): Promise<void> {
    const { session } = this.#parts;
    const { bootstrap, index, peers, spares } = this.#options;
    this.#say(`control API at ${session.url}`);
    session.expectCluster();
    await this.#insist('the control API to take the cluster', async () => {
      try {
        await session.api.createCluster({
          body: {
            name: clusterName,
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
      `${bootstrap} bootstrap nodes${indexing}, 1 seed and ${peers - 1} leeches${idle}, each a ${this.#options.kind} of its own`,
    );
  }

  async #awaitServing(): Promise<void> {
    const started = this.#now();
    const waiting = () =>
      this.#nodes
        .filter((node) => node.state !== 'serving')
        .map((node) => `${node.slot} (${node.state})`)
        .join(', ') || 'a first leader of the ring';
    await this.#poll(servingMs, waiting, async () => {
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
    const { session } = this.#parts;
    const { metainfo, contentRoot } = this.#content;
    await this.#insist('the control API to take the torrent', async () => {
      try {
        await session.api.addTorrent({
          params: { cluster: clusterName },
          body: {
            metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
            seeds: [{ slot: seedSlot, contentRoot }],
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
    const timeoutMs = downloadBaseMs + (length * slots.length) / slowestBytesPerMs;
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
    const { session, host } = this.#parts;
    const { leader, term } = await this.#poll(
      servingMs,
      () => 'a leader of the ring',
      async () => leaderOf(await this.#cluster()),
    );
    const [slot = '', generation = ''] = leader.split('@');
    this.#say(`kills ${slot}, the leader of term ${term}, with SIGKILL`);
    const kill = { slot, generation: Number(generation), atMs: host.clock.wallTime(), term };
    this.#healing = beginHealing(kill);
    await this.#insist(`the control API to kill ${slot}`, async () => {
      const victim = (await session.nodes()).find((node) => node.slot === slot);
      // A lost answer must not lead to the replacement being killed too.
      if (victim?.generation === kill.generation && victim.state !== 'dead') {
        await session.api.killNode({ params: { cluster: clusterName, slot } });
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
    const firstLookupMs = host.clock.wallTime() - this.#healing!.kill.atMs;
    this.result.healing.firstLookupMs = firstLookupMs;
    this.#tell('first lookup', firstLookupMs, `peers found through ${replaced.slot} alone`);
  }

  async #serveNewcomer(replaced: NodeView): Promise<void> {
    const { session } = this.#parts;
    const known = new Set(this.#nodes.map((node) => node.slot));
    const newcomer = await this.#insist('the control API to add a leech', async () => {
      const added = (await session.nodes()).find((node) => !known.has(node.slot));
      if (added !== undefined) return added;
      return session.api.addNode({ params: { cluster: clusterName }, body: { bootstrap: [replaced.slot] } });
    });
    this.#say(`${newcomer.slot} joins, and knows of ${replaced.slot} alone`);
    await this.#awaitDownloads([newcomer.slot]);
  }

  // ---------------------------------------------------------------- seeing and saying

  async #look(): Promise<NodeView[]> {
    this.#nodes = await this.#parts.session.nodes();
    this.result.nodes = this.#nodes.length;
    return this.#nodes;
  }

  #cluster(): Promise<ClusterView> {
    return this.#parts.session.api.getCluster({ params: { cluster: clusterName } });
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
    return this.#poll(servingMs, () => awaited, work);
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
