/**
 * Keeps one cluster in step with the compose project that the control API runs in: makes it once the project's
 * containers are there, adds and removes nodes as they are scaled, and has the first peer seed the content.
 */
import { type ApiClient, ApiError, type ClusterView } from '@skep/contract';
import type { Host, Timer } from '@skep/p2p-core/host';
import { createMetainfo, encodeMetainfo } from '@skep/p2p-core/metainfo';
import {
  type Counts,
  type Differences,
  differencesOf,
  sizeChanges,
  workingRoles,
} from '../launchers/compose-size.ts';

export interface ComposeFollowerComponents {
  readonly host: Host;
  readonly client: ApiClient;
  /** How many containers of the project are, or wait to be, nodes of a role. */
  readonly count: (role: string) => Promise<number>;
}

export interface ComposeFollowerOptions {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Folder whose files and folders are seeded, a torrent each; or, where it is empty, the one file to seed instead. */
  readonly contentRoot: string;
  readonly contentInstead: string;
  readonly onTrouble: (message: string) => void;
}

const lookMs = 1_000;
/** So often the same number of containers is seen before the cluster is made of them. */
const steadyLooks = 4;
const seedSlot = 'peer-1';

export class ComposeFollower {
  readonly #components: ComposeFollowerComponents;
  readonly #options: ComposeFollowerOptions;
  #timer: Timer | undefined;
  #stopped = false;
  #differences: Differences = {};
  #seen: Counts | undefined;
  #looks = 0;
  #seeds = false;
  #trouble = '';

  constructor(components: ComposeFollowerComponents, options: ComposeFollowerOptions) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = this.#components.host.clock.setTimer(lookMs, () => {
      this.#look()
        .catch((error) => this.#tell(error instanceof Error ? error.message : String(error)))
        .finally(() => this.#schedule());
    });
  }

  /** Once, however often the same is found. */
  #tell(trouble: string): void {
    if (trouble !== this.#trouble) this.#options.onTrouble(trouble);
    this.#trouble = trouble;
  }

  async #look(): Promise<void> {
    const counts = await this.#counts();
    const cluster = await this.#cluster();
    if (cluster === undefined) return this.#create(counts);
    if (cluster.state !== 'active') return;
    await this.#follow(cluster, counts);
    if (!this.#seeds && cluster.nodes.some((node) => node.slot === seedSlot && node.state === 'serving'))
      await this.#seed();
  }

  async #counts(): Promise<Counts> {
    const counts = workingRoles.map(async (role) => [role, await this.#components.count(role)] as const);
    return Object.fromEntries(await Promise.all(counts)) as Counts;
  }

  async #cluster(): Promise<ClusterView | undefined> {
    try {
      return await this.#components.client.getCluster({ params: { cluster: this.#options.cluster } });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  async #create(counts: Counts): Promise<void> {
    const isSame = workingRoles.every((role) => counts[role] === this.#seen?.[role]);
    this.#looks = isSame ? this.#looks + 1 : 1;
    this.#seen = counts;
    if (counts.bootstrap === 0 || this.#looks < steadyLooks) return;
    const { bootstrap, index, peer } = counts;
    await this.#components.client.createCluster({
      body: { name: this.#options.cluster, bootstrap, index, peers: peer },
    });
  }

  async #follow({ name, nodes }: ClusterView, counts: Counts): Promise<void> {
    const { client, host } = this.#components;
    const now = host.clock.now();
    this.#differences = differencesOf(this.#differences, counts, nodes, now);
    const { add, remove } = sizeChanges(this.#differences, counts, nodes, now);
    for (const role of add) await client.addNode({ params: { cluster: name }, body: { role } });
    for (const slot of remove) await client.removeNode({ params: { cluster: name, slot } });
  }

  async #seed(): Promise<void> {
    const { host, client } = this.#components;
    const { cluster, contentRoot, contentInstead } = this.#options;
    const entries = await host.files.list(contentRoot).catch(() => []);
    const paths =
      entries.length === 0 ? [contentInstead] : entries.map(({ name }) => `${contentRoot}/${name}`);
    for (const path of paths) {
      const metainfo = await createMetainfo(host, path, { createdBy: 'Skep' });
      try {
        await client.addTorrent({
          params: { cluster },
          body: {
            metainfo: Buffer.from(encodeMetainfo(metainfo)).toString('base64'),
            seeds: [{ slot: seedSlot, contentRoot: path.slice(0, path.lastIndexOf('/')) || '/' }],
            leeches: 'all',
          },
        });
      } catch (error) {
        if (!(error instanceof ApiError && error.problem?.code === 'torrent-exists')) throw error;
      }
    }
    this.#seeds = true;
  }
}
