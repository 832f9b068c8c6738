/** Shows a run while it goes on: bars of what spreads, how time passes, and what happened last. */
import type { RunEvent } from '@skep/contract';
import type { ExperimentProgress } from '@skep/control-api/experiments';
import type { Board, BoardRow } from '../terminal/board.ts';
import { formatDuration, printable } from '../terminal/format.ts';

/** Kinds of the cluster's events that are worth a line. */
const told: ReadonlySet<string> = new Set([
  'node-dead',
  'lease-granted',
  'redeployment-accepted',
  'redeployment-complete',
  'fault-over',
]);

export class RunBoard {
  readonly #board: Board;
  readonly #now: () => number;
  readonly #startedAtMs: number;

  /** `now`: real milliseconds. */
  constructor(board: Board, now: () => number) {
    this.#board = board;
    this.#now = now;
    this.#startedAtMs = now();
  }

  event(event: RunEvent): void {
    if (event.source === 'run' || told.has(event.kind)) this.#board.print(describeRunEvent(event));
  }

  /** `virtualMs`: since a simulated world began. */
  progress(progress: Partial<ExperimentProgress>, virtualMs?: number): void {
    const { phase = 'starting', nodes = 0, serving = 0, spreads = [] } = progress;
    const time = this.#time(progress.atMs ?? 0, virtualMs);
    const rows: BoardRow[] = [
      {
        label: 'nodes',
        fraction: nodes === 0 ? 0 : serving / nodes,
        detail: `${serving} of ${nodes} serve, ${phase}, ${time}`,
      },
      ...spreads.map(({ content, complete, leeches, fraction }) => ({
        label: content,
        fraction,
        detail: `${complete} of ${leeches} leeches complete`,
      })),
    ];
    this.#board.show(rows);
  }

  settle(): void {
    this.#board.settle();
  }

  #time(atMs: number, virtualMs: number | undefined): string {
    if (virtualMs === undefined) return formatDuration(atMs);
    const realMs = this.#now() - this.#startedAtMs;
    const ratio = virtualMs / Math.max(1, realMs);
    return `${formatDuration(virtualMs)} virtual in ${formatDuration(realMs)} (${ratio.toFixed(ratio < 10 ? 1 : 0)} times real time)`;
  }
}

export function describeRunEvent({ atMs, slot, generation, kind, data }: RunEvent): string {
  const machine = slot === undefined ? '' : `  ${slot}${generation === undefined ? '' : `@${generation}`}`;
  const facts = Object.entries(data).map(([key, value]) => `${key}=${String(value).slice(0, 60)}`);
  return printable(
    `  ${`${(atMs / 1_000).toFixed(1)}s`.padStart(8)}${machine}  ${kind}  ${facts.join(' ')}`.trimEnd(),
  );
}
