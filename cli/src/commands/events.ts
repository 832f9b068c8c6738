/** `skep events`: the journal of a cluster, what comes on with --follow, and the merged log of all its nodes. */
import { writeFileSync } from 'node:fs';
import { type ApiClient, type ClusterEvent, causesOf, mergedOrder, originOf } from '@skep/contract';
import { Command, Option } from 'commander';
import { absolutePath, parseWhole } from '../arguments.ts';
import type { Context, Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { followEvents } from '../daemon/event-stream.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { printable } from '../terminal/format.ts';
import type { Output } from '../terminal/output.ts';

interface EventsFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly merged?: boolean;
  readonly svg?: string;
  readonly after?: number;
}

const pageSize = 1_000;
const mostDrawn = 2_000;

export function eventsCommand(perform: Perform): Command {
  return withClusterOptions(new Command('events'))
    .description('Show what happened to a cluster; with --json one object a line')
    .option('-f, --follow', 'go on as events come, until Ctrl-C')
    .option('--after <sequence>', 'only events after this one', parseWhole(0, Number.MAX_SAFE_INTEGER))
    .addOption(
      new Option(
        '--merged',
        'in the one order in which they can have happened, by Lamport stamps; not as they were told',
      ).conflicts('follow'),
    )
    .addOption(
      new Option('--svg <file>', 'draw them as a space-time diagram into this file: the newest 2000 at most')
        .argParser(absolutePath)
        .conflicts('follow'),
    )
    .addHelpText('after', exitCodeHelp)
    .action((flags: EventsFlags) => perform(flags, (context) => showEvents(context, flags)));
}

async function showEvents(context: Context, flags: EventsFlags): Promise<undefined> {
  const { output, host, interrupts } = context;
  const connection = connect(context, flags);
  const { api } = connection;
  const { name: cluster } = await chooseCluster(connection, flags.cluster);
  const after = flags.after ?? 0;
  if (flags.follow) {
    const { clock } = host;
    const onEvent = (event: ClusterEvent) => show(output, event);
    await followEvents({ api, cluster, clock, signal: interrupts.signal, after, onEvent });
    return undefined;
  }
  if (flags.svg !== undefined) {
    await drawEvents(api, cluster, flags.after, flags.svg);
    output.note(`drawn into ${flags.svg}`);
  }
  if (flags.merged) {
    const events: ClusterEvent[] = [];
    for await (const event of eventsAfter(api, cluster, after)) events.push(event);
    for (const merged of mergedLog(events)) {
      output.result(merged);
      output.line(describeMerged(merged));
    }
  } else if (flags.svg !== undefined) {
    output.result({ ok: true, svg: flags.svg });
  } else {
    for await (const event of eventsAfter(api, cluster, after)) show(output, event);
  }
  return undefined;
}

function show(output: Output, event: ClusterEvent): void {
  output.result(event);
  output.line(describeEvent(event));
}

async function* eventsAfter(api: ApiClient, cluster: string, first: number): AsyncGenerator<ClusterEvent> {
  for (let after = first; ; ) {
    const events = await api.listEvents({ params: { cluster }, query: { after, limit: pageSize } });
    yield* events;
    const last = events.at(-1);
    if (last === undefined || events.length < pageSize) return;
    after = last.sequence;
  }
}

async function drawEvents(
  api: ApiClient,
  cluster: string,
  after: number | undefined,
  file: string,
): Promise<void> {
  const query = { limit: mostDrawn, ...(after === undefined ? {} : { after }) };
  const answer = await api.drawEvents({ params: { cluster }, query });
  writeFileSync(file, await answer.text());
}

/** An event of the merged log: by whom it was stamped, and the sequences of the events known to have caused it. */
export interface MergedEvent extends ClusterEvent {
  readonly origin: string;
  readonly causes: readonly number[];
}

/** The events in their one total order, whatever order they come in. */
export function mergedLog(events: readonly ClusterEvent[]): readonly MergedEvent[] {
  const ordered = mergedOrder(events);
  const causes = ordered.map((): number[] => []);
  for (const { from, to } of causesOf(ordered)) causes[to]!.push(ordered[from]!.sequence);
  return ordered.map((event, place) => ({ ...event, origin: originOf(event), causes: causes[place]! }));
}

export function describeEvent(event: ClusterEvent): string {
  return printable(`${timeOf(event.atMs)}  ${machineOf(event).padEnd(15)}  ${what(event)}`);
}

/** Its stamp, who stamped it, what it was, and when it happened by the control API's clock. */
export function describeMerged(event: MergedEvent): string {
  const { lamport, origin, happenedAtMs, atMs } = event;
  const machine = machineOf(event);
  const about = machine === '' || machine === origin ? '' : `${machine} `;
  const time = timeOf(happenedAtMs ?? atMs);
  return printable(`${String(lamport).padStart(7)}  ${time}  ${origin.padEnd(15)}  ${about}${what(event)}`);
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

function machineOf({ slot, generation }: ClusterEvent): string {
  if (slot === undefined) return '';
  return generation === undefined ? slot : `${slot}@${generation}`;
}

function what({ kind, data }: ClusterEvent): string {
  const facts = Object.entries(data).map(([key, value]) => `${key}=${value}`);
  return facts.length === 0 ? kind : `${kind}  ${facts.join(' ')}`;
}
