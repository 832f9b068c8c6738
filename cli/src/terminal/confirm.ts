/** A question before something that costs or destroys: asked on the terminal, answered beforehand by --yes. */
import { createInterface } from 'node:readline/promises';
import type { Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export interface Question {
  readonly text: string;
  /** The answer is given: nobody is asked. */
  readonly yes: boolean;
}

/** Resolves if the answer is yes. Rejects with CliError if it is no, or if nobody is there to be asked. */
export async function confirm({ interrupts }: Context, { text, yes }: Question): Promise<void> {
  if (yes) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new CliError(
      'usage',
      exitCodes.usage,
      'Nobody can be asked here: give --yes if this is to be done.',
    );
  }
  const dialogue = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await dialogue.question(`${text} [y/N] `, { signal: interrupts.signal });
    if (/^y(es)?$/i.test(answer.trim())) return;
  } catch (error) {
    throw interrupts.signal.aborted ? interrupts.signal.reason : error;
  } finally {
    dialogue.close();
  }
  throw new CliError('declined', exitCodes.refused, 'Nothing was done.');
}
