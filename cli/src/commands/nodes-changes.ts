/** `skep nodes add` and `skep nodes remove NODE`: a cluster's slots come and go. */
import { WorkingRole } from '@skep/contract';
import { Command, Option } from 'commander';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';

export function addNodeCommand(perform: Perform): Command {
  return withClusterOptions(new Command('add'))
    .description('Add a node; a bootstrap node joins the ring, which grows by one at a time')
    .addOption(
      new Option('--role <role>', 'what the node is for').choices(WorkingRole.options).default('peer'),
    )
    .addHelpText('after', exitCodeHelp)
    .action((flags: ClusterFlags & { json?: boolean; role: WorkingRole }) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const node = await connection.api.addNode({ params: { cluster }, body: { role: flags.role } });
        context.output.result(node);
        const votes =
          node.role === 'bootstrap' ? ', and votes once it serves with the ring’s configuration' : '';
        context.output.line(`${node.slot} is launched${votes}; \`skep events -f\` shows what follows`);
        return undefined;
      }),
    );
}

export function removeNodeCommand(perform: Perform): Command {
  return withClusterOptions(new Command('remove'))
    .description(
      'Remove a node: it finishes and ends, and its slot is gone; the ring shrinks by one at a time',
    )
    .argument('<node>', 'for instance bootstrap-4')
    .addHelpText('after', exitCodeHelp)
    .action((slot: string, flags: ClusterFlags & { json?: boolean }) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const node = await connection.api.removeNode({ params: { cluster, slot } });
        context.output.result(node);
        context.output.line(`${slot} is leaving; \`skep events -f\` shows what follows`);
        return undefined;
      }),
    );
}
