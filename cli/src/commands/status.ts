/** `skep status`: the clusters, who leads them, and how their nodes are. */
import type { ClusterView, NodeView, RedeploymentView } from '@skep/contract';
import { Command } from 'commander';
import type { Perform } from '../context.ts';
import { type ApiFlags, connect, withApiOptions } from '../daemon/connect.ts';
import { exitCodeHelp } from '../exit-codes.ts';

export function statusCommand(perform: Perform): Command {
  return withApiOptions(new Command('status'))
    .description('Show the clusters: their nodes by state, and who leads')
    .argument('[name]', 'only this cluster')
    .addHelpText('after', exitCodeHelp)
    .action((name: string | undefined, flags: ApiFlags & { json?: boolean }) =>
      perform(flags, async (context) => {
        const { api, url } = connect(context, flags);
        const clusters =
          name === undefined
            ? await api.listClusters({})
            : [await api.getCluster({ params: { cluster: name } })];
        const healing = await Promise.all(
          clusters.map((cluster) => api.listRedeployments({ params: { cluster: cluster.name } })),
        );
        context.output.result({ api: url, clusters });
        context.output.line(`control API  ${url}`);
        if (clusters.length === 0) context.output.line('no cluster: `skep up` creates one');
        for (const [index, cluster] of clusters.entries()) {
          for (const line of describeCluster(cluster, healing[index] ?? [])) context.output.line(line);
        }
        return undefined;
      }),
    );
}

function describeCluster(
  { name, state, lease, nodes }: ClusterView,
  redeployments: readonly RedeploymentView[],
): string[] {
  const spares = nodes.filter(({ role }) => role === 'spare');
  const leader = lease.held && lease.holder !== undefined ? lease.holder : 'nobody';
  return [
    `${name}  ${state}`,
    `  nodes   ${byState(nodes.filter(({ role }) => role !== 'spare'))}`,
    ...(spares.length === 0 ? [] : [`  spares  ${byState(spares)}`]),
    `  leader  ${leader}, term ${lease.term}`,
    ...redeployments
      .filter((each) => each.state !== 'complete' && each.state !== 'cancelled')
      .map((each) => `  healing ${each.id}: ${each.state}, attempt ${each.attempts}`),
    ...nodes
      .filter((node) => node.held)
      .map(({ slot }) => `  held    ${slot}: \`skep nodes redeploy ${slot}\` fills it`),
  ];
}

/** `5: 4 serving, 1 launching` */
function byState(nodes: readonly NodeView[]): string {
  const counts = new Map<string, number>();
  for (const { state } of nodes) counts.set(state, (counts.get(state) ?? 0) + 1);
  const states = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
  return `${nodes.length}${states === '' ? '' : `: ${states}`}`;
}
