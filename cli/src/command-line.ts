/** The process behind `skep`: streams, exit status, and the end of the process. Importing it runs the command. */
import { CommanderError } from 'commander';
import { type Outcome, performer } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import { createProgram } from './program.ts';
import type { Interrupts } from './terminal/interrupts.ts';
import { createOutput } from './terminal/output.ts';

const outcome: Outcome = { exitCode: exitCodes.ok };
let running: Interrupts | undefined;

// A reader that went away (`skep events | head`) ends the command; a lost terminal sends SIGHUP by itself.
process.stdout.on('error', () => running?.trigger('SIGPIPE'));
process.stderr.on('error', () => {});

// The shim's channel: it closes when the shim is killed.
if (process.channel) {
  process.channel.unref();
  process.on('disconnect', () => running?.trigger('SIGHUP'));
}

const perform = performer({ stdout: process.stdout, stderr: process.stderr }, outcome, (interrupts) => {
  running = interrupts;
});
try {
  await createProgram(perform).parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  outcome.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error.exitCode !== 0) {
    // The options could not be read, so --json is looked for in the words themselves.
    const output = createOutput(process, { json: process.argv.includes('--json'), env: process.env });
    const { code, message } = describeFailure(error);
    output.result({ ok: false, error: { code, message } });
  }
}

// What was written must be out before the process ends, and nothing left open may keep it from ending.
process.stdout.write('', () => process.stderr.write('', () => process.exit(outcome.exitCode)));
