/** `skep logs NODE`: the end of what a node's machine wrote. */
import { Command, Option } from 'commander';
import { parseSize, parseWhole } from '../arguments.ts';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';

interface LogsFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly tail: number;
  readonly generation?: number;
}

const mostTailBytes = 4_194_304;

export function logsCommand(perform: Perform): Command {
  return withClusterOptions(new Command('logs'))
    .description("Show the end of a node's log")
    .argument('<node>', 'for instance peer-1')
    .addOption(
      new Option('--tail <bytes>', 'how much of its end')
        .argParser((text) => parseWhole(1, mostTailBytes)(String(parseSize(text))))
        .default(65_536, '64K'),
    )
    .option('--generation <n>', 'an earlier machine of the slot', parseWhole(1, 1_000_000_000))
    .addHelpText('after', exitCodeHelp)
    .action((slot: string, flags: LogsFlags) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const cluster = await chooseCluster(connection, flags.cluster);
        const response = await connection.api.nodeLogs({
          params: { cluster: cluster.name, slot },
          query: {
            tailBytes: flags.tail,
            ...(flags.generation === undefined ? {} : { generation: flags.generation }),
          },
        });
        const log = await response.text();
        context.output.result({ node: slot, log });
        context.output.line(log.replace(/\n$/, ''));
        return undefined;
      }),
    );
}
