/**
 * The cluster that an experiment is done on, through the control API's client: asked again where asking again
 * is harmless, and given up with one sentence where the platform does not do its part.
 */
import {
  type ApiClient,
  ApiError,
  type ClusterSpec,
  type ClusterView,
  type Fault,
  type RunEvent,
} from '@skep/contract';
import { type Clock, sleep } from '@skep/p2p-core/host';
import type { ExperimentContent } from './content.ts';

/** The platform could not do its part: nothing can be said of the subject. */
export class BrokenRun extends Error {
  override readonly name = 'BrokenRun';
}

const retryMs = 250;
/** How long the control API may be away. */
const patienceMs = 60_000;
const eventPage = 1_000;

export interface SubjectComponents {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class Subject {
  readonly #parts: SubjectComponents;
  readonly #cluster: string;
  #eventsRead = 0;

  constructor(components: SubjectComponents, cluster: string) {
    this.#parts = components;
    this.#cluster = cluster;
  }

  async create(spec: Omit<ClusterSpec, 'name'>): Promise<void> {
    await this.#insist('create the cluster', async () => {
      await this.#parts.api
        .createCluster({ body: { name: this.#cluster, ...spec } })
        .catch(unless('cluster-exists'));
    });
  }

  /** As it is now; undefined if the control API does not answer just now. */
  async look(): Promise<ClusterView | undefined> {
    const { api, signal } = this.#parts;
    try {
      return await api.getCluster({ params: this.#params });
    } catch (error) {
      signal.throwIfAborted();
      if (isRefusal(error)) throw new BrokenRun(`The cluster cannot be looked at: ${sentenceOf(error)}`);
      return undefined;
    }
  }

  async addTorrent(
    content: ExperimentContent,
    seeds: readonly string[],
    leeches: 'all' | readonly string[],
  ): Promise<void> {
    const { metainfo, contentRoot } = content;
    const body = {
      metainfo,
      seeds: seeds.map((slot) => ({ slot, contentRoot })),
      leeches: leeches === 'all' ? leeches : [...leeches],
    };
    await this.#insist('add the content', async () => {
      await this.#parts.api.addTorrent({ params: this.#params, body }).catch(unless('torrent-exists'));
    });
  }

  /** Adds peers until there are `total`: a lost answer adds none twice. */
  async addPeersUpTo(total: number): Promise<void> {
    const { api } = this.#parts;
    await this.#insist('add peers', async () => {
      const nodes = await api.listNodes({ params: this.#params });
      for (let peers = nodes.filter(({ role }) => role === 'peer').length; peers < total; peers++) {
        await api.addNode({ params: this.#params, body: {} });
      }
    });
  }

  /** Not asked again, since it could be done twice. */
  async inject(fault: Fault): Promise<void> {
    try {
      await this.#parts.api.injectFault({ params: this.#params, body: fault });
    } catch (error) {
      this.#parts.signal.throwIfAborted();
      throw new BrokenRun(`The fault ${fault.kind} could not be injected: ${sentenceOf(error)}`);
    }
  }

  /** What the journal has that was not read before; with times of the control API's wall clock. */
  async newEvents(): Promise<Omit<RunEvent, 'source'>[]> {
    const events: Omit<RunEvent, 'source'>[] = [];
    for (;;) {
      const page = await this.#parts.api
        .listEvents({ params: this.#params, query: { after: this.#eventsRead, limit: eventPage } })
        .catch((error) => {
          this.#parts.signal.throwIfAborted();
          if (isRefusal(error)) throw new BrokenRun(`The events cannot be read: ${sentenceOf(error)}`);
          return [];
        });
      for (const { sequence, atMs, kind, slot, generation, data } of page) {
        this.#eventsRead = sequence;
        events.push({
          atMs,
          kind,
          ...(slot === undefined ? {} : { slot }),
          ...(generation === undefined ? {} : { generation }),
          data,
        });
      }
      if (page.length < eventPage) return events;
    }
  }

  /** Deletes the cluster and waits until it is gone. */
  async remove(): Promise<void> {
    const { api, clock, signal } = this.#parts;
    const params = this.#params;
    await this.#insist('delete the cluster', async () => {
      await api.deleteCluster({ params }).catch(unless('not-found', 'cluster-deleting'));
    });
    const giveUpAtMs = clock.now() + patienceMs;
    for (;;) {
      const isGone = await api.getCluster({ params }).then(
        () => false,
        (error) => error instanceof ApiError && error.status === 404,
      );
      if (isGone) return;
      if (clock.now() >= giveUpAtMs)
        throw new BrokenRun('The cluster was not gone a minute after it was deleted.');
      await sleep(clock, retryMs, signal);
    }
  }

  get #params(): { cluster: string } {
    return { cluster: this.#cluster };
  }

  async #insist(what: string, work: () => Promise<void>): Promise<void> {
    const { clock, signal } = this.#parts;
    const giveUpAtMs = clock.now() + patienceMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (isRefusal(error) || clock.now() >= giveUpAtMs) {
          throw new BrokenRun(`The control API did not ${what}: ${sentenceOf(error)}`);
        }
      }
      await sleep(clock, retryMs, signal);
    }
  }
}

/** An answer that stays the same however often it is asked for. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status < 500 && error.problem?.code !== 'no-free-address';
}

/** Swallows the refusal that says it has been done already. */
function unless(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof ApiError && codes.includes(error.problem?.code ?? '')) return undefined;
    throw error;
  };
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
