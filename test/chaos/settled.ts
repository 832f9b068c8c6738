/** A cluster that has healed, by what the control API says and by the process list alike. */
import type { NodeView } from '@skep/contract';
import { expect } from 'vitest';
import type { ChaosCluster } from './cluster.ts';
import { until } from './waiting.ts';

/** `slot@generation is pid` of everything, as the control API says. */
export function named(nodes: readonly NodeView[]): string[] {
  return nodes.map(({ slot, generation, machine }) => `${slot}@${generation} is ${machine}`).sort();
}

/** The same by the process list. */
function living(cluster: ChaosCluster): string[] {
  return cluster
    .machines()
    .map(({ slot, generation, process }) => `${slot}@${generation} is ${process.pid}`)
    .sort();
}

/** Every slot serves, everything replaced is gone, and the process list agrees. */
export async function settled(cluster: ChaosCluster): Promise<NodeView[]> {
  await until(
    'every redeployment to be over',
    async () =>
      (await cluster.redeployments()).every(
        ({ state, times }) => state === 'complete' && times.goneMs !== undefined,
      ),
    { state: () => cluster.describe() },
  );
  const nodes = await cluster.awaitServing();
  expect(living(cluster)).toEqual(named(nodes));
  return nodes;
}
