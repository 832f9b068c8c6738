/** `skep fault FAULT`: harm on demand, that ends by itself; `skep faults` shows and ends it. */
import { Fault, type FaultView } from '@skep/contract';
import { Command } from 'commander';
import * as yaml from 'yaml';
import { parseWhole } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp, exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { formatDuration, formatTable, printable } from '../terminal/format.ts';

const mostFaultBytes = 1_000_000;
const mostShownNodes = 4;

const faultHelp = `
FAULT is YAML or JSON in braces, or a file that holds it. Times are in milliseconds; nodes are slots, or control-api.
  {kind: crash, nodes: [peer-1]}                             ends at once; \`power: true\` where the runner can
  {kind: pause, nodes: [bootstrap-2], forMs: 5000}           stands still
  {kind: restart, nodes: [peer-1], disk: lose}               or keep
  {kind: partition, nodes: [bootstrap-1], way: both, forMs: 20000}    or in, out; \`from\` names the other side
  {kind: degrade, nodes: [peer-1], forMs: 20000, delayMs: 100, lossRate: 0.05, upBytesPerSecond: 100000}
  {kind: clock, nodes: [peer-1], skewMs: -60000, forMs: 20000}
  {kind: disk, nodes: [peer-1], full: true, forMs: 20000}    or delayMs, readErrorRate, corruptReadRate, ...
The last four need a cluster whose spec has \`network\`, if only {}.
`;

export function faultCommand(perform: Perform): Command {
  return withClusterOptions(new Command('fault'))
    .description('Do a fault to nodes of a cluster')
    .argument('<fault>', "for instance '{kind: pause, nodes: [peer-1], forMs: 5000}'")
    .addHelpText('after', faultHelp + exitCodeHelp)
    .action((text: string, flags: ClusterFlags & { json?: boolean }) =>
      perform(flags, async (context) => {
        const body = await readFault(context, text);
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        const view = await connection.api.injectFault({ params: { cluster }, body });
        context.output.result(view);
        const end =
          view.state === 'active'
            ? ` ends in ${formatDuration(view.untilMs - view.injectedAtMs)}; \`skep faults --end ${view.id}\` ends it now`
            : ' is done; `skep events -f` shows what follows';
        context.output.line(`fault ${view.id}, ${describe(view)},${end}`);
        return undefined;
      }),
    );
}

export function faultsCommand(perform: Perform): Command {
  return withClusterOptions(new Command('faults'))
    .description('List the faults of a cluster, newest first')
    .option('--end <id>', 'end this one before its time', parseWhole(1, 999_999_999))
    .addHelpText('after', exitCodeHelp)
    .action((flags: ClusterFlags & { json?: boolean; end?: number }) =>
      perform(flags, async (context) => {
        const { output, host } = context;
        const connection = connect(context, flags);
        const { name: cluster } = await chooseCluster(connection, flags.cluster);
        if (flags.end !== undefined) {
          const params = { cluster, fault: String(flags.end) };
          const view = await connection.api.cancelFault({ params });
          output.result(view);
          output.line(`fault ${view.id} is ${view.state}`);
          return undefined;
        }
        const views = await connection.api.listFaults({ params: { cluster } });
        output.result(views);
        if (views.length === 0) output.line('no fault: `skep fault` does one');
        else
          for (const line of formatTable(
            header,
            views.map((view) => rowOf(view, host.clock.wallTime())),
          ))
            output.line(line);
        return undefined;
      }),
    );
}

const header = ['ID', 'FAULT', 'STATE', 'SINCE'];

function rowOf(view: FaultView, nowMs: number): string[] {
  const leftMs = Math.max(0, view.untilMs - nowMs);
  const state = view.state === 'active' ? `active, ${formatDuration(leftMs)} left` : view.state;
  return [view.id, describe(view), state, `${formatDuration(Math.max(0, nowMs - view.injectedAtMs))} ago`];
}

/** `pause of peer-1, peer-2` */
function describe({ fault: { kind, nodes } }: FaultView): string {
  const more = nodes.length > mostShownNodes ? ` and ${nodes.length - mostShownNodes} more` : '';
  return printable(`${kind} of ${nodes.slice(0, mostShownNodes).join(', ')}${more}`);
}

async function readFault({ host }: Context, text: string): Promise<Fault> {
  const inline = text.trimStart().startsWith('{');
  const source = inline ? text : new TextDecoder().decode(await host.files.read(text, mostFaultBytes));
  const fault = Fault.safeParse(parseYaml(source));
  if (fault.success) return fault.data;
  const [issue] = fault.error.issues;
  const place = issue?.path.join('.');
  throw new CliError(
    'bad-fault',
    exitCodes.usage,
    `The fault is wrong${place ? ` at ${place}` : ''}: ${issue?.message ?? 'unknown'}; \`skep fault --help\` shows some.`,
  );
}

function parseYaml(text: string): unknown {
  try {
    // Few aliases: a small file must not unfold to a huge one.
    return yaml.parse(text, { maxAliasCount: 20 });
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split('\n');
    throw new CliError('bad-fault', exitCodes.usage, `The fault is neither YAML nor JSON: ${reason}`);
  }
}
