/** `skep demo`, which `npm start` runs: the whole story on this machine, then a cluster to look at. */
import { Command } from 'commander';
import { absolutePath, parseWhole } from '../arguments.ts';
import { type AppContext, costlyContext, parseContext } from '../aws/app-context.ts';
import { ownHours } from '../aws/aws-session.ts';
import { costOf } from '../aws/cost.ts';
import { costLines } from '../aws/cost-table.ts';
import { meantDeployment } from '../aws/deployment.ts';
import { deploymentSize } from '../aws/deployment-size.ts';
import { type AwsFlags, withOptionalStack } from '../aws/flags.ts';
import { priceTable } from '../aws/price-table.ts';
import type { Context, Perform } from '../context.ts';
import { requireContent, requireReadable } from '../demo/content.ts';
import { Demo } from '../demo/demo.ts';
import { awsStage, localStage, type Staged } from '../demo/stages.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError, describeFailure } from '../failure.ts';
import { type RunnerChoice, type RunnerFlags, runnerChoice, withRunnerOptions } from '../runners/choice.ts';
import { readSpec } from '../spec-file.ts';
import { createBoard } from '../terminal/board.ts';
import { confirm } from '../terminal/confirm.ts';
import { Interrupted } from '../terminal/interrupts.ts';
import { aborted } from '../timing.ts';

interface DemoFlags extends Omit<RunnerFlags, 'runner'>, AwsFlags {
  readonly runner?: RunnerChoice['name'] | 'aws';
  /** On AWS: the deployment to play on. */
  readonly stack?: string;
  readonly context?: AppContext;
  readonly yes?: boolean;
  readonly content?: string;
  readonly bootstrap: number;
  readonly index: number;
  readonly peers: number;
  readonly spares: number;
  readonly exit?: boolean;
  readonly keep?: boolean;
}

export function demoCommand(perform: Perform): Command {
  return withOptionalStack(withRunnerOptions(new Command('demo'), { aws: 'an EC2 instance' }))
    .description('Stand up a cluster, spread a real file, kill the leader and watch it heal')
    .option('--content <path>', 'file or folder to spread (default: the running Node binary)', absolutePath)
    .option(
      '--bootstrap <n>',
      'bootstrap nodes; from 3 on the others outvote a dead one',
      parseWhole(1, 99),
      3,
    )
    .option('--index <n>', 'index nodes', parseWhole(0, 100), 0)
    .option('--peers <n>', 'peers; the first seeds', parseWhole(2, 1_000), 5)
    .option('--spares <n>', 'warm spares; one takes over from the killed leader', parseWhole(0, 32), 0)
    .option('--exit', 'end the cluster when the story is told, instead of on Ctrl-C')
    .option('--keep', 'leave the logs on disk')
    .option('--context <key=value>', 'on AWS: as of skep deploy; may be repeated', parseContext)
    .option('-y, --yes', 'on AWS: do not ask whether it may cost')
    .option('--json', 'print one JSON object last, all else to standard error')
    .addHelpText('after', awsHelp + exitCodeHelp)
    .action((flags: DemoFlags) => perform(flags, (context) => demonstrate(context, flags)));
}

const awsHelp = `
With --runner aws and --stack the story plays as a cluster of its own on that deployment; without
--stack a platform is deployed for it, which is destroyed when it ends.
`;

async function demonstrate(context: Context, flags: DemoFlags): Promise<undefined> {
  const { host, output, interrupts } = context;
  const contentPath = requireContent(flags.content ?? process.execPath);
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  const stage = await stageOf(context, flags, contentPath, (text) => board.print(text));
  const { session } = stage;
  const signal = AbortSignal.any([interrupts.signal, session.failure]);
  const demo = new Demo(
    { host, stage, board, signal },
    {
      contentPath,
      bootstrap: flags.bootstrap,
      index: flags.index,
      peers: flags.peers,
      spares: flags.spares,
    },
  );
  let failure: { readonly code: string; readonly message: string } | undefined;
  try {
    await demo.run();
    output.note('');
    output.note('All of it held.');
    if (!flags.exit) await stayUp(context, stage, signal);
    return undefined;
  } catch (error) {
    board.settle();
    failure = describeFailure(error);
    if (!(error instanceof Interrupted) && !flags.keep)
      output.note(`the logs are in ${await session.saveLogs()}`);
    throw error;
  } finally {
    if (interrupts.signal.aborted) output.note('stopping the cluster; Ctrl-C again kills it');
    const kept = flags.keep ? await session.saveLogs() : undefined;
    await session.end(interrupts.hurry);
    if (kept !== undefined) output.note(`the logs are in ${kept}`);
    if (failure === undefined) output.result(demo.result);
    else
      output.result({ ...demo.result, ok: false, error: { code: failure.code, message: failure.message } });
  }
}

/** Rejects with CliError if the story cannot be played there, or is not to be paid for. */
async function stageOf(
  context: Context,
  flags: DemoFlags,
  contentPath: string,
  note: (text: string) => void,
): Promise<Staged> {
  if (flags.runner !== 'aws') {
    const runner = runnerChoice({ ...flags, runner: flags.runner ?? 'process' }, [contentPath]);
    if (runner.name === 'docker') requireReadable(contentPath);
    return localStage(context, { runner, keep: flags.keep === true, note });
  }
  if (flags.spares > 0) {
    throw new CliError('usage', exitCodes.usage, 'There are no warm spares on AWS: leave --spares out.');
  }
  const stage = awsStage(context, { flags, note });
  if (flags.stack === undefined) await agreeToCost(context, flags);
  return stage;
}

async function agreeToCost(context: Context, flags: DemoFlags): Promise<void> {
  const { bootstrap, index, peers } = flags;
  const spec = await readSpec(context.host, undefined, { bootstrap, index, peers });
  const { region } = await meantDeployment(context, { ...flags, stack: '' });
  const cost = costOf(
    priceTable,
    deploymentSize(spec, { region, hours: ownHours, ...costlyContext(flags.context ?? {}) }),
  );
  for (const line of costLines(cost, priceTable)) context.output.note(line);
  await confirm(context, {
    text: `Deploy that to ${region} for the story, and destroy it afterwards?`,
    yes: flags.yes === true,
  });
}

/** Until Ctrl-C, which is the good end here; rejects if the control API fails for good. */
async function stayUp(
  { output, interrupts }: Context,
  { session, cluster }: Staged,
  signal: AbortSignal,
): Promise<void> {
  output.note('The cluster stays up until Ctrl-C:');
  output.note(`  live page  ${session.url}/#token=${session.viewerToken}&cluster=${cluster}`);
  output.note(`  API        ${session.url}`);
  output.note(`  documents  ${session.url}/docs`);
  await aborted(signal);
  if (!interrupts.signal.aborted) throw signal.reason;
}
