/** `skep kill NODE`: a failure on demand. */
import { Command } from 'commander';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';

export function killCommand(perform: Perform): Command {
  return withClusterOptions(new Command('kill'))
    .description('Kill a node abruptly, as a failure would; the cluster is not told and must notice')
    .argument('<node>', 'for instance bootstrap-2')
    .addHelpText('after', exitCodeHelp)
    .action((slot: string, flags: ClusterFlags & { json?: boolean }) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const cluster = await chooseCluster(connection, flags.cluster);
        const node = await connection.api.killNode({ params: { cluster: cluster.name, slot } });
        context.output.result(node);
        context.output.line(
          `${slot}, generation ${node.generation}, was killed; \`skep events -f\` shows what follows`,
        );
        return undefined;
      }),
    );
}
