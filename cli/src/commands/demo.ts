/** `skep demo`, which `npm start` runs: the whole story on this machine, then a cluster to look at. */
import { Command } from 'commander';
import { absolutePath, parseWhole } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { PrivateSession } from '../daemon/private-session.ts';
import { requireContent, requireReadable } from '../demo/content.ts';
import { clusterName, Demo } from '../demo/demo.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { describeFailure } from '../failure.ts';
import { type RunnerFlags, runnerChoice, withRunnerOptions } from '../runners/choice.ts';
import { createBoard } from '../terminal/board.ts';
import { Interrupted } from '../terminal/interrupts.ts';
import { aborted } from '../timing.ts';

interface DemoFlags extends RunnerFlags {
  readonly json?: boolean;
  readonly content?: string;
  readonly bootstrap: number;
  readonly index: number;
  readonly peers: number;
  readonly spares: number;
  readonly exit?: boolean;
  readonly keep?: boolean;
}

export function demoCommand(perform: Perform): Command {
  return withRunnerOptions(new Command('demo'))
    .description('Stand up a cluster here, spread a real file, kill the leader and watch it heal')
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
    .option('--json', 'print one JSON object last, all else to standard error')
    .addHelpText('after', exitCodeHelp)
    .action((flags: DemoFlags) => perform(flags, (context) => demonstrate(context, flags)));
}

async function demonstrate(context: Context, flags: DemoFlags): Promise<undefined> {
  const { host, output, interrupts } = context;
  const contentPath = requireContent(flags.content ?? process.execPath);
  const runner = runnerChoice(flags, [contentPath]);
  if (runner.name === 'docker') requireReadable(contentPath);
  const board = createBoard({ sink: output.progress, colour: output.colour, now: () => host.clock.now() });
  const session = new PrivateSession(host, {
    cluster: clusterName,
    keep: flags.keep === true,
    runner,
    note: (text) => board.print(text),
  });
  const signal = AbortSignal.any([interrupts.signal, session.failure]);
  const demo = new Demo(
    { host, session, board, signal },
    {
      contentPath,
      kind: runner.name === 'docker' ? 'container' : 'process',
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
    if (!flags.exit) await stayUp(context, session, signal);
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

/** Until Ctrl-C, which is the good end here; rejects if the control API fails for good. */
async function stayUp(
  { output, interrupts }: Context,
  session: PrivateSession,
  signal: AbortSignal,
): Promise<void> {
  output.note('The cluster stays up until Ctrl-C:');
  output.note(`  live page  ${session.url}/#token=${session.viewerToken}&cluster=${clusterName}`);
  output.note(`  API        ${session.url}`);
  output.note(`  documents  ${session.url}/docs`);
  await aborted(signal);
  if (!interrupts.signal.aborted) throw signal.reason;
}
