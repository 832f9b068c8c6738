/** `skep down`: the end of a cluster, and of the user's own control API with the last one. */
import { ApiError } from '@skep/contract';
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import type { Perform } from '../context.ts';
import { type ApiFlags, chooseCluster, connect, withApiOptions } from '../daemon/connect.ts';
import { readDaemonRecord, stateDirectory, stopDaemon } from '../daemon/daemon.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { until } from '../timing.ts';

interface DownFlags extends ApiFlags {
  readonly json?: boolean;
  readonly timeout: number;
}

export function downCommand(perform: Perform): Command {
  return withApiOptions(new Command('down'))
    .description('Delete a cluster: every node is stopped and its data removed')
    .argument('[name]', 'may be left out where there is only one')
    .option('--timeout <seconds>', 'how long to wait until it is gone', parseWhole(1, 86_400), 120)
    .addHelpText('after', exitCodeHelp)
    .action((named: string | undefined, flags: DownFlags) =>
      perform(flags, async (context) => {
        const { host, interrupts, output, env } = context;
        const connection = connect(context, flags);
        const { api } = connection;
        const { name } = await chooseCluster(connection, named);
        await api.deleteCluster({ params: { cluster: name } });
        let left = 'its nodes';
        await until(
          {
            clock: host.clock,
            signal: interrupts.signal,
            timeoutMs: flags.timeout * 1000,
            everyMs: 100,
            awaited: () => `${left} to stop (the deletion goes on: \`skep status\` shows it)`,
          },
          async () => {
            try {
              const cluster = await api.getCluster({ params: { cluster: name } });
              left = cluster.nodes.map((node) => node.slot).join(', ') || 'the cluster';
              return undefined;
            } catch (error) {
              if (error instanceof ApiError && error.status === 404) return true;
              throw error;
            }
          },
        );
        const clusters = await api.listClusters({});
        const directory = stateDirectory(env);
        const own = flags.api === undefined ? readDaemonRecord(directory) : undefined;
        const stopsDaemon = own !== undefined && clusters.length === 0;
        if (stopsDaemon) await stopDaemon(directory, own, host.clock, interrupts.signal);
        output.result({ cluster: name, controlApiStopped: stopsDaemon });
        output.line(
          `${name} is gone${stopsDaemon ? ', and the control API with it: it was the last one' : ''}`,
        );
        return undefined;
      }),
    );
}
