/**
 * What every command is given, and how every command ends: with its exit status, its interrupts heard, and
 * any error told as one sentence.
 */
import { type Host, sleep } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { describeFailure } from './failure.ts';
import { Interrupted, type Interrupts, listenForInterrupts } from './terminal/interrupts.ts';
import { createOutput, type Output, type Sink } from './terminal/output.ts';
import { aborted } from './timing.ts';

export interface Context {
  readonly host: Host;
  readonly output: Output;
  readonly interrupts: Interrupts;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The exit status, if it is not 0. */
export type Action = (context: Context) => Promise<number | undefined>;

/** Runs the action of a command. Never rejects. */
export type Perform = (options: { readonly json?: boolean }, action: Action) => Promise<void>;

export interface Outcome {
  exitCode: number;
}

const overdueMs = 5_000;

/** Performs with the process's own streams and signals, and keeps the exit status in `outcome`. */
export function performer(
  streams: { readonly stdout: Sink; readonly stderr: Sink },
  outcome: Outcome,
  onStart: (interrupts: Interrupts) => void,
): Perform {
  return async (options, action) => {
    const { env } = process;
    const output = createOutput(streams, { json: options.json === true, env });
    const host = createNodeHost();
    const interrupts = listenForInterrupts(process, () => host.clock.now());
    onStart(interrupts);
    try {
      const ending = action({ host, output, interrupts, env });
      outcome.exitCode = (await Promise.race([ending, overdue(host, interrupts)])) ?? 0;
    } catch (error) {
      outcome.exitCode = tell(error, output, env.SKEP_DEBUG === '1');
    } finally {
      interrupts.dispose();
    }
  };
}

/** Rejects when a command that was told twice to end does not: the process ends then without it. */
async function overdue({ clock }: Host, { hurry }: Interrupts): Promise<never> {
  await aborted(hurry);
  await sleep(clock, overdueMs, new AbortController().signal);
  throw hurry.reason;
}

function tell(error: unknown, output: Output, debug: boolean): number {
  const { code, exitCode, message } = describeFailure(error);
  // Who pressed Ctrl-C need not be told.
  if (!(error instanceof Interrupted)) output.note(`skep: ${message}`);
  if (debug && error instanceof Error) output.note(error.stack ?? '');
  if (!output.answered) output.result({ ok: false, error: { code, message } });
  return exitCode;
}
