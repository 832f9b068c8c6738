/** How one content spreads, folded from what the control API shows of the nodes. Told the time; no I/O. */
import type { ContentPlan, DownloadSummary, NodeView } from '@skep/contract';
import type { ExperimentContent } from './content.ts';

/** One leech of a content, by its slot. */
interface Leech {
  readonly slot: string;
  /** Of the machine that was first seen to be told of the content. */
  readonly generation: number;
  /** When the content was to be had for it: when it was added, or when the slot came later. */
  readonly sinceMs: number;
  finished: { readonly generation: number; readonly tookMs: number } | undefined;
  wrong: boolean;
}

export interface SpreadStart {
  readonly plan: ContentPlan;
  readonly content: ExperimentContent;
  readonly seeds: readonly string[];
  /** `all`: every peer that is no seed, those that come later too. */
  readonly leeches: 'all' | readonly string[];
  readonly addedAtMs: number;
  /** What links allow at best; undefined without limits. */
  readonly boundMs: number | undefined;
}

export class Spread {
  readonly start: SpreadStart;
  readonly #leeches = new Map<string, Leech>();

  constructor(start: SpreadStart) {
    this.start = start;
  }

  observe(nodes: readonly NodeView[], nowMs: number): void {
    const isFirst = this.#leeches.size === 0;
    for (const node of nodes) {
      if (!this.#isLeech(node)) continue;
      let leech = this.#leeches.get(node.slot);
      if (leech === undefined) {
        const sinceMs = isFirst ? this.start.addedAtMs : nowMs;
        leech = { slot: node.slot, generation: node.generation, sinceMs, finished: undefined, wrong: false };
        this.#leeches.set(node.slot, leech);
      }
      this.#observeOne(leech, node, nowMs);
    }
  }

  get leeches(): readonly Readonly<Leech>[] {
    return [...this.#leeches.values()];
  }

  get isComplete(): boolean {
    return this.#leeches.size > 0 && this.leeches.every(({ finished }) => finished !== undefined);
  }

  summary(): DownloadSummary {
    const { plan, content, boundMs } = this.start;
    const finished = this.leeches
      .flatMap(({ slot, finished }) => (finished === undefined ? [] : [{ slot, ...finished }]))
      .sort((one, other) => one.tookMs - other.tookMs || (one.slot < other.slot ? -1 : 1));
    const times = finished.map(({ tookMs }) => tookMs);
    const some = (share: number) => (times.length === 0 ? undefined : quantile(times, share));
    return withoutGaps({
      content: plan.name,
      infoHash: content.infoHash,
      lengthBytes: content.lengthBytes,
      leeches: this.#leeches.size,
      complete: finished.length,
      medianMs: some(0.5),
      p95Ms: some(0.95),
      lastMs: times.at(-1),
      boundMs: boundMs === undefined ? undefined : Math.round(boundMs),
      finished,
    });
  }

  /** How far all leeches are together. */
  progress(nodes: readonly NodeView[]): {
    content: string;
    leeches: number;
    complete: number;
    fraction: number;
  } {
    const { plan, content } = this.start;
    let haveBytes = 0;
    let complete = 0;
    for (const leech of this.#leeches.values()) {
      if (leech.finished === undefined) haveBytes += this.#haveBytes(leech.slot, nodes);
      else complete += 1;
    }
    const leeches = this.#leeches.size;
    const fraction = leeches === 0 ? 0 : (complete + haveBytes / content.lengthBytes) / leeches;
    return { content: plan.name, leeches, complete, fraction };
  }

  #haveBytes(slot: string, nodes: readonly NodeView[]): number {
    const node = nodes.find((candidate) => candidate.slot === slot);
    return this.#holdingOf(node)?.haveBytes ?? 0;
  }

  #holdingOf(node: NodeView | undefined): NodeView['torrents'][number] | undefined {
    const { infoHash } = this.start.content;
    return node?.torrents.find((torrent) => torrent.infoHash === infoHash);
  }

  #isLeech({ role, slot }: NodeView): boolean {
    const { seeds, leeches } = this.start;
    if (role !== 'peer' || seeds.includes(slot)) return false;
    return leeches === 'all' || leeches.includes(slot);
  }

  #observeOne(leech: Leech, node: NodeView, nowMs: number): void {
    if (leech.finished !== undefined) return;
    const { sha256 } = this.start.content;
    const holding = this.#holdingOf(node);
    if (holding?.sha256 === undefined || holding.seconds === undefined) return;
    if (holding.sha256 !== sha256) {
      leech.wrong = true;
      return;
    }
    // A node's own measure is exact, but a replaced one's begins with the replacement.
    const own = node.generation === leech.generation && leech.sinceMs === this.start.addedAtMs;
    const tookMs = own ? holding.seconds * 1_000 : nowMs - leech.sinceMs;
    leech.finished = { generation: node.generation, tookMs: Math.round(tookMs) };
  }
}

/** The value that so large a share of the sorted values is not above (nearest rank). */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

function withoutGaps<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
