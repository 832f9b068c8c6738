/** The command line as a whole: which commands there are. */
import { Command } from 'commander';
import { buildCommand } from './commands/build.ts';
import { connectCommand } from './commands/connect.ts';
import { costCommand } from './commands/cost.ts';
import { demoCommand } from './commands/demo.ts';
import { deployCommand } from './commands/deploy.ts';
import { destroyCommand } from './commands/destroy.ts';
import { downCommand } from './commands/down.ts';
import { eventsCommand } from './commands/events.ts';
import { faultCommand, faultsCommand } from './commands/fault.ts';
import { getCommand } from './commands/get.ts';
import { killCommand } from './commands/kill.ts';
import { logsCommand } from './commands/logs.ts';
import { nodesCommand } from './commands/nodes.ts';
import { redeploymentsCommand } from './commands/redeployments.ts';
import { runCommand } from './commands/run.ts';
import { seedCommand } from './commands/seed.ts';
import { simCommand } from './commands/sim.ts';
import { statusCommand } from './commands/status.ts';
import { testCommand } from './commands/test.ts';
import { torrentCommand } from './commands/torrent.ts';
import { upCommand } from './commands/up.ts';
import type { Perform } from './context.ts';
import { exitCodeHelp } from './exit-codes.ts';
import { version } from './version.ts';

/** Parse with `parseAsync`; throws CommanderError for usage errors and after --help. */
export function createProgram(perform: Perform): Command {
  const program = new Command('skep')
    .description('Swarms of BitTorrent nodes on this machine, and a BitTorrent client')
    .version(version)
    // What follows a command is that command's, or a list's --json would be taken from the command below it.
    .enablePositionalOptions()
    .addHelpText('after', exitCodeHelp);
  const clusters = [
    demoCommand,
    upCommand,
    downCommand,
    statusCommand,
    nodesCommand,
    redeploymentsCommand,
    killCommand,
    faultCommand,
    faultsCommand,
    logsCommand,
    eventsCommand,
    testCommand,
  ];
  for (const make of clusters) program.addCommand(grouped(make(perform), 'Clusters:'));
  for (const make of [costCommand, deployCommand, connectCommand, buildCommand, destroyCommand]) {
    program.addCommand(grouped(make(perform), 'On AWS:'));
  }
  for (const make of [runCommand, simCommand]) program.addCommand(grouped(make(perform), 'Experiments:'));
  for (const make of [torrentCommand, seedCommand, getCommand]) {
    program.addCommand(grouped(make(perform), 'BitTorrent, without a cluster:'));
  }
  prepare(program);
  return program;
}

function grouped(command: Command, heading: string): Command {
  return command.helpGroup(heading);
}

/** Settings that commander hands down only to commands that it makes itself. */
function prepare(command: Command): void {
  command.exitOverride().showHelpAfterError('(--help shows what there is)').allowExcessArguments(false);
  command.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'skep: ')) });
  command.commands.forEach(prepare);
}
