/** `skep run`: a scenario, in the simulator or on processes of this machine, and the bundle that it leaves. */
import { join } from 'node:path';
import { bundleName, RunnerName, type RunRecord, type ScenarioPlan } from '@skep/contract';
import type { TraceEntry } from '@skep/sim';
import { runInSim } from '@skep/sim';
import { Command, InvalidArgumentError, Option } from 'commander';
import { absolutePath } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { BundleWriter, LineFile } from '../run/bundle-writer.ts';
import { runOnMachines } from '../run/machine-runner.ts';
import { RunBoard } from '../run/run-board.ts';
import { mostScenarioBytes, parseScenario } from '../run/scenario-file.ts';
import { summaryLines } from '../run/summary.ts';
import { createBoard } from '../terminal/board.ts';
import { version } from '../version.ts';

interface RunFlags {
  readonly runner: RunnerName;
  readonly image?: string;
  readonly seed: string;
  readonly out: string;
  readonly json?: boolean;
  readonly trace?: string;
}

export function runCommand(perform: Perform): Command {
  return new Command('run')
    .description('Run a scenario and judge what it expects; leaves a bundle of what happened')
    .argument('<scenario>', 'YAML file that says what is done and what is expected', absolutePath)
    .addOption(new Option('--runner <name>', 'where it runs').choices(RunnerName.options).default('sim'))
    .option('--image <name>', `of containers, with the runner docker (default: "skep:${version}")`)
    .option('--seed <n>', 'decides all that chance decides', parseSeed, '1')
    .addOption(
      new Option('--out <dir>', 'where bundles go, as NAME-SEED-RUNNER')
        .argParser(absolutePath)
        .default(absolutePath('runs'), 'runs'),
    )
    .option(
      '--trace <file>',
      'write every entry of the simulated world’s trace there, one JSON object a line',
      absolutePath,
    )
    .option('--json', 'print the run’s record as one JSON object, all else to standard error')
    .addHelpText(
      'after',
      `\nThe exit status is 0 if all that is expected came, 1 if not, and 9 if the run could not be carried out.\n${exitCodeHelp}`,
    )
    .action((path: string, flags: RunFlags) =>
      perform(flags, async (context) => {
        const scenario = await context.host.files.read(path, mostScenarioBytes);
        const plan = parseScenario(path, scenario);
        requireRunnable(path, plan, flags);
        const record = await run(context, plan, scenario, flags);
        return record.verdict === 'passed' ? undefined : exitCodes[record.verdict];
      }),
    );
}

/** Text, so that no digit of it is ever rounded. */
function parseSeed(text: string): string {
  if (!/^[0-9]{1,20}$/.test(text))
    throw new InvalidArgumentError('Give a whole number of at most 20 digits.');
  return text;
}

function requireRunnable(path: string, { runners }: ScenarioPlan, { runner, trace }: RunFlags): void {
  const refuse = (message: string) => new CliError('usage', exitCodes.usage, message);
  if (runners?.includes(runner) === false) {
    throw refuse(`${path} says that it runs on ${runners.join(' and ')}: give --runner ${runners[0]}.`);
  }
  if (trace !== undefined && runner !== 'sim')
    throw refuse('Only the runner sim has a trace: leave --trace out.');
}

async function run(
  context: Context,
  plan: ScenarioPlan,
  scenario: Uint8Array,
  flags: RunFlags,
): Promise<RunRecord> {
  const { host, output, interrupts } = context;
  const { seed, runner } = flags;
  const now = () => host.clock.now();
  const terminal = createBoard({ sink: output.progress, colour: output.colour, now });
  const board = new RunBoard(terminal, now);
  const directory = join(flags.out, bundleName({ scenario: plan.name, seed, runner }));
  const bundle = new BundleWriter(directory, scenario);
  const trace = flags.trace === undefined ? undefined : new LineFile(flags.trace);
  const listener = {
    onEvent: (event: Parameters<BundleWriter['event']>[0]) => {
      bundle.event(event);
      board.event(event);
    },
    onSample: (sample: Parameters<BundleWriter['sample']>[0]) => bundle.sample(sample),
  };
  try {
    const record =
      runner === 'sim'
        ? await runInSim(plan, {
            ...listener,
            seed,
            version,
            signal: interrupts.signal,
            onProgress: (progress) => board.progress(progress, progress.virtualMs),
            ...(trace === undefined
              ? {}
              : { onTrace: (entry: TraceEntry) => trace.add(JSON.stringify(entry)) }),
          })
        : await runOnMachines(host, plan, {
            runner,
            ...(flags.image === undefined ? {} : { image: flags.image }),
            seed,
            version,
            interrupts,
            listener: { ...listener, onProgress: (progress) => board.progress(progress) },
            note: (text) => terminal.print(text),
          });
    bundle.finish(record);
    board.settle();
    for (const line of summaryLines(record)) output.line(line);
    output.line(`  bundle        ${directory}`);
    output.result({ ...record, bundle: directory });
    return record;
  } finally {
    board.settle();
    bundle.discard();
    trace?.close();
  }
}
