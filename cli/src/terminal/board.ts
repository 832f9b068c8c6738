/**
 * A progress board: a bar a row that redraws in place on a terminal, and plain lines now and then where
 * there is none (a pipe, a log of CI). What is printed while it stands appears above it.
 */
import { formatDuration, formatPercent, printable } from './format.ts';
import type { Sink } from './output.ts';

export interface BoardRow {
  readonly label: string;
  /** 0 to 1; undefined while it is not known. */
  readonly fraction: number | undefined;
  readonly detail: string;
}

export interface Board {
  /** What is to be seen now. Cheap: it draws at most ten times a second. */
  show(rows: readonly BoardRow[]): void;
  /** A line for good, above the board. */
  print(line: string): void;
  /** Draws what was shown last and leaves it standing; the next `show` begins a new board. */
  settle(): void;
}

export interface BoardOptions {
  readonly sink: Sink;
  readonly colour: boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const redrawMs = 100;
const lineEveryMs = 2_000;
const leastBarWidth = 6;
/** Characters of two columns would make a line longer than it counts: it is cut off then, not broken. */
const wrapOff = '\u001b[?7l';
const wrapOn = '\u001b[?7h';

export function createBoard(options: BoardOptions): Board {
  return options.sink.isTTY === true ? terminalBoard(options) : lineBoard(options);
}

function terminalBoard({ sink, colour, now }: BoardOptions): Board {
  let rows: readonly BoardRow[] = [];
  let drawnLines = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;

  const erased = () => (drawnLines === 0 ? '' : `\u001b[${drawnLines}A\u001b[0J`);
  const draw = (above: string, isLast = false) => {
    const width = Math.max(20, (sink.columns ?? 80) - 1);
    const all = renderRows(rows, width, colour);
    const lines = isLast ? all : fitted(all, Math.max(2, (sink.rows ?? 24) - 1));
    const text = lines.map((line) => `${line}\n`).join('');
    sink.write(erased() + above + (text === '' ? '' : wrapOff + text + wrapOn));
    drawnLines = lines.length;
    drawnAt = now();
  };
  return {
    show(next) {
      rows = next;
      if (now() - drawnAt >= redrawMs) draw('');
    },
    print(line) {
      draw(`${line}\n`);
    },
    settle() {
      if (rows.length > 0) draw('', true);
      rows = [];
      drawnLines = 0;
      drawnAt = Number.NEGATIVE_INFINITY;
    },
  };
}

/** What has scrolled off the top cannot be redrawn: rows beyond the terminal's height are counted instead. */
function fitted(lines: readonly string[], height: number): readonly string[] {
  if (lines.length <= height) return lines;
  const shown = lines.slice(0, height - 1);
  return [...shown, `  … and ${lines.length - shown.length} more`];
}

function lineBoard({ sink, now }: BoardOptions): Board {
  let startedAt: number | undefined;
  let printedAt = 0;
  let pending: string | undefined;
  let last = '';
  const write = (line: string) => {
    if (line !== last) sink.write(`${line}\n`);
    last = line;
    pending = undefined;
  };
  return {
    show(rows) {
      startedAt ??= now();
      pending = rows.map((row) => `${row.label} ${fractionText(row.fraction)}`).join(', ');
      if (now() - Math.max(printedAt, startedAt) < lineEveryMs) return;
      printedAt = now();
      write(`  ${pending} (${formatDuration(printedAt - startedAt)})`);
    },
    print(line) {
      sink.write(`${line}\n`);
    },
    settle() {
      if (pending !== undefined) write(`  ${pending}`);
      startedAt = undefined;
      last = '';
    },
  };
}

const fractionText = (fraction: number | undefined): string =>
  fraction === undefined ? '-' : formatPercent(fraction);

/** Rows as lines of at most `width` columns, labels and bars aligned. */
export function renderRows(rows: readonly BoardRow[], width: number, colour: boolean): string[] {
  // A label may be the name of a torrent: bar and percentage stay visible beside any.
  const most = Math.max(4, width - leastBarWidth - 10);
  const labels = rows.map(({ label }) => (label.length > most ? `${label.slice(0, most - 1)}…` : label));
  const labelWidth = Math.max(...labels.map((label) => label.length), 0);
  const barWidth = Math.min(28, Math.max(leastBarWidth, width - labelWidth - 40));
  return rows.map(({ fraction, detail }, index) => {
    const bar = renderBar(fraction, barWidth);
    const head = `  ${labels[index]?.padEnd(labelWidth)} `;
    const tail = ` ${fractionText(fraction).padStart(4)}  ${printable(detail)}`;
    const room = width - head.length - barWidth;
    const cut = tail.length > room ? `${tail.slice(0, Math.max(0, room - 1))}…` : tail;
    return head + (colour ? `\u001b[${fraction === 1 ? 32 : 36}m${bar}\u001b[0m` : bar) + cut.trimEnd();
  });
}

function renderBar(fraction: number | undefined, width: number): string {
  const filled = Math.floor(Math.min(1, Math.max(0, fraction ?? 0)) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}
