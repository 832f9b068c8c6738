/** The first line at which two files part, read side by side: however long they are, a few lines are held. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Difference {
  /** Counted from 1. */
  readonly line: number;
  /** The last lines that both have. */
  readonly before: readonly string[];
  /** From that line on, in either; empty where a file has ended. */
  readonly a: readonly string[];
  readonly b: readonly string[];
}

export interface Comparison {
  /** Lines that both have, from the first on. */
  readonly equalLines: number;
  /** Missing if the files are identical. */
  readonly difference?: Difference;
}

const contextLines = 3;

/** Rejects with the system's error if a file cannot be read. */
export async function compareLines(pathA: string, pathB: string): Promise<Comparison> {
  const [a, b] = [linesOf(pathA), linesOf(pathB)];
  const before: string[] = [];
  let equalLines = 0;
  try {
    for (;;) {
      const [nextA, nextB] = await Promise.all([a.next(), b.next()]);
      if (nextA.done && nextB.done) return { equalLines };
      if (nextA.done || nextB.done || nextA.value !== nextB.value) {
        const [restA, restB] = await Promise.all([rest(nextA, a), rest(nextB, b)]);
        return { equalLines, difference: { line: equalLines + 1, before, a: restA, b: restB } };
      }
      equalLines += 1;
      before.push(nextA.value);
      if (before.length > contextLines) before.shift();
    }
  } finally {
    await Promise.all([a.return?.(), b.return?.()]);
  }
}

function linesOf(path: string): AsyncIterator<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Infinity })[Symbol.asyncIterator]();
}

async function rest(first: IteratorResult<string>, lines: AsyncIterator<string>): Promise<string[]> {
  const found: string[] = [];
  for (let next = first; !next.done && found.length < contextLines; next = await lines.next())
    found.push(next.value);
  return found;
}
