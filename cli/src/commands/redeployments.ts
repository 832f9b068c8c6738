/** `skep redeployments`: how machines were replaced, and giving that up; `skep nodes redeploy` asks for it. */
import type { RedeploymentTimes, RedeploymentView } from '@skep/contract';
import { Command } from 'commander';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { formatDuration, formatTable, printable } from '../terminal/format.ts';

type Flags = ClusterFlags & { json?: boolean };

export function redeploymentsCommand(perform: Perform): Command {
  return (
    withClusterOptions(new Command('redeployments'))
      .description('List how machines were replaced, newest first, or give one up')
      .addHelpText('after', exitCodeHelp)
      // Options after a word of its own are that word's.
      .enablePositionalOptions()
      .addCommand(cancelCommand(perform))
      .action((flags: Flags) =>
        perform(flags, async (context) => {
          const { output, host } = context;
          const connection = connect(context, flags);
          const { name: cluster } = await chooseCluster(connection, flags.cluster);
          const views = await connection.api.listRedeployments({ params: { cluster } });
          output.result(views);
          if (views.length === 0) output.line('no redeployment: every machine is its slot’s first');
          else {
            const rows = views.map((view) => rowOf(view, host.clock.wallTime()));
            for (const line of formatTable(header, rows)) output.line(line);
          }
          return undefined;
        }),
      )
  );
}

function cancelCommand(perform: Perform): Command {
  return withClusterOptions(new Command('cancel'))
    .description('Give up a redeployment that is not complete; the slot stays empty')
    .argument('<id>', 'for instance bootstrap-2@3')
    .addHelpText('after', exitCodeHelp)
    .action((redeployment: string, flags: Flags) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const view = await connection.api.cancelRedeployment({ params: { cluster, redeployment } });
        context.output.result(view);
        context.output.line(
          view.state === 'cancelled'
            ? `${view.id} is cancelled; \`skep nodes redeploy ${view.slot}\` fills the slot again`
            : `${view.id} is ${view.state} already`,
        );
        return undefined;
      }),
    );
}

export function redeployNodeCommand(perform: Perform): Command {
  return withClusterOptions(new Command('redeploy'))
    .description('Replace the machine of a node, whatever its state; a living one is told to stop first')
    .argument('<node>', 'for instance bootstrap-2')
    .addHelpText('after', exitCodeHelp)
    .action((slot: string, flags: Flags) =>
      perform(flags, async (context) => {
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const view = await connection.api.redeployNode({ params: { cluster, slot } });
        context.output.result(view);
        context.output.line(`${view.id} is ${view.state}; \`skep redeployments\` shows how it goes on`);
        return undefined;
      }),
    );
}

const header = ['ID', 'STATE', 'CAUSE', 'ASKED BY', 'ASKED', 'ATTEMPTS', 'SPARE', 'SINCE THEN'];

function rowOf(view: RedeploymentView, nowMs: number): string[] {
  const { id, state, cause, askedBy, attempts, spare, times } = view;
  const agoMs = Math.max(0, nowMs - times.askedMs);
  return [
    id,
    state,
    cause,
    printable(askedBy),
    `${formatDuration(agoMs)} ago`,
    String(attempts),
    spare ?? '-',
    course(times),
  ];
}

/** `accepted 0 ms, gone 12 ms, launched 630 ms, …, complete 1.21 s` */
function course({ askedMs, ...times }: RedeploymentTimes): string {
  return Object.entries(times)
    .sort(([, one], [, other]) => one - other)
    .map(([step, atMs]) => `${step.replace(/Ms$/, '')} ${formatDuration(atMs - askedMs)}`)
    .join(', ');
}
