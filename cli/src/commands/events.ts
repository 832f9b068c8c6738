/** `skep events`: the journal of a cluster, and what comes on with --follow. */
import type { ClusterEvent } from '@skep/contract';
import { Command } from 'commander';
import { parseWhole } from '../arguments.ts';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { followEvents } from '../daemon/event-stream.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { printable } from '../terminal/format.ts';

interface EventsFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly after: number;
}

const pageSize = 1_000;

export function eventsCommand(perform: Perform): Command {
  return withClusterOptions(new Command('events'))
    .description('Show what happened to a cluster; with --json one object a line')
    .option('-f, --follow', 'go on as events come, until Ctrl-C')
    .option('--after <sequence>', 'only events after this one', parseWhole(0, Number.MAX_SAFE_INTEGER), 0)
    .addHelpText('after', exitCodeHelp)
    .action((flags: EventsFlags) =>
      perform(flags, async (context) => {
        const { output, host, interrupts } = context;
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const show = (event: ClusterEvent) => {
          output.result(event);
          output.line(describeEvent(event));
        };
        if (flags.follow) {
          await followEvents({
            api: connection.api,
            cluster,
            clock: host.clock,
            signal: interrupts.signal,
            after: flags.after,
            onEvent: show,
          });
          return undefined;
        }
        for (let { after } = flags; ; ) {
          const events = await connection.api.listEvents({
            params: { cluster },
            query: { after, limit: pageSize },
          });
          events.forEach(show);
          const last = events.at(-1);
          if (last === undefined || events.length < pageSize) return undefined;
          after = last.sequence;
        }
      }),
    );
}

export function describeEvent(event: ClusterEvent): string {
  const time = new Date(event.atMs).toISOString().slice(11, 23);
  const machine =
    event.slot === undefined
      ? ''
      : `${event.slot}${event.generation === undefined ? '' : `@${event.generation}`}`;
  const data = Object.entries(event.data)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
  return printable(`${time}  ${machine.padEnd(15)}  ${event.kind}${data === '' ? '' : `  ${data}`}`);
}
