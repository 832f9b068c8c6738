/**
 * Where a command's words go. With --json standard output carries one JSON object and nothing else, and all
 * that is meant for people goes to standard error.
 */

/** The part of a WriteStream that is needed, so that tests can listen. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface Output {
  readonly json: boolean;
  /** Where progress is drawn. */
  readonly progress: Sink;
  /** Whether people's output may be coloured. */
  readonly colour: boolean;
  /** For people, the command's answer: standard output, or with --json nothing. */
  line(text: string): void;
  /** For people, on the way: standard error. */
  note(text: string): void;
  /** For programs: one JSON value, with --json only. */
  result(value: unknown): void;
  /** Whether a result has been given. */
  readonly answered: boolean;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Colour follows https://no-color.org and `TERM=dumb`. */
export function createOutput(streams: { stdout: Sink; stderr: Sink }, options: OutputOptions): Output {
  const { json, env } = options;
  const progress = streams.stderr;
  let answered = false;
  return {
    json,
    progress,
    colour: progress.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
    line(text) {
      if (!json) streams.stdout.write(`${text}\n`);
    },
    note(text) {
      streams.stderr.write(`${text}\n`);
    },
    result(value) {
      if (!json) return;
      answered = true;
      streams.stdout.write(`${JSON.stringify(value)}\n`);
    },
    get answered() {
      return answered;
    },
  };
}
