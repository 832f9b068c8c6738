/** `skep nodes`: every slot of a cluster with the machine that is in it now; its words change them. */
import type { NodeView } from '@skep/contract';
import { formatAddress } from '@skep/p2p-core/host';
import { Command } from 'commander';
import type { Perform } from '../context.ts';
import { type ClusterFlags, chooseCluster, connect, withClusterOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';
import { formatDuration, formatPercent, formatTable, printable } from '../terminal/format.ts';
import { addNodeCommand, removeNodeCommand } from './nodes-changes.ts';
import { redeployNodeCommand } from './redeployments.ts';

export function nodesCommand(perform: Perform): Command {
  return (
    withClusterOptions(new Command('nodes'))
      .description('List the nodes of a cluster, add, remove and replace some')
      .addHelpText('after', exitCodeHelp)
      // Options after a word of its own are that word's.
      .enablePositionalOptions()
      .addCommand(addNodeCommand(perform))
      .addCommand(removeNodeCommand(perform))
      .addCommand(redeployNodeCommand(perform))
      .action((flags: ClusterFlags & { json?: boolean }) =>
        perform(flags, async (context) => {
          const cluster = await chooseCluster(connect(context, flags), flags.cluster);
          context.output.result(cluster.nodes);
          const rows = cluster.nodes.map(rowOf);
          for (const line of formatTable(header, rows)) context.output.line(line);
          return undefined;
        }),
      )
  );
}

const header = ['NODE', 'GEN', 'STATE', 'RING', 'ADDRESS', 'MACHINE', 'HEARD', 'DHT', 'TORRENTS'];

function rowOf(node: NodeView): string[] {
  const ring = node.ringRole === undefined ? '-' : `${node.ringRole} ${node.term ?? 0}`;
  const torrents = node.torrents.map(({ name, infoHash, state, haveBytes, lengthBytes }) => {
    const done = lengthBytes > 0 ? ` ${formatPercent(haveBytes / lengthBytes)}` : '';
    return `${printable(name ?? infoHash.slice(0, 8))} ${state}${done}`;
  });
  return [
    node.slot,
    String(node.generation),
    stateOf(node),
    node.moving === undefined ? ring : `${ring} (${node.moving})`,
    formatAddress(node.address),
    node.machine ?? '-',
    node.heardAgoMs === undefined ? '-' : `${formatDuration(node.heardAgoMs)} ago`,
    node.dhtNodes === undefined ? '-' : String(node.dhtNodes),
    torrents.join('; ') || '-',
  ];
}

function stateOf({ state, reason, held }: NodeView): string {
  const why = [held ? 'held' : [], reason === undefined ? [] : printable(reason)].flat().join(', ');
  return why === '' ? state : `${state} (${why})`;
}
