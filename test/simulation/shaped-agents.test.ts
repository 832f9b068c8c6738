/** Conditions from the API to the socket: the control API tells agents what to endure, and their hosts do it. */
import type { Fault } from '@skep/contract';
import { ClusterWorld, safetyInvariants } from '@skep/sim';
import { expect, test } from 'vitest';

const limitMs = 60_000;

/** A shaped cluster all of whose slots serve. */
async function serving(): Promise<ClusterWorld> {
  const cluster = await ClusterWorld.create({
    seed: 7,
    invariants: safetyInvariants(),
    spec: { bootstrap: 3, peers: 1, graceMs: 20_000, network: { latencyMs: 0 } },
  });
  while (cluster.unhealed() !== undefined && cluster.nowMs < 120_000) await pass(cluster, 200);
  expect(cluster.unhealed()).toBeUndefined();
  return cluster;
}

const pass = (cluster: ClusterWorld, forMs: number) => cluster.world.run({ untilMs: cluster.nowMs + forMs });

async function inject(cluster: ClusterWorld, fault: Fault): Promise<string> {
  const { id } = await cluster.world.complete(
    cluster.client.injectFault({ params: { cluster: cluster.spec.name }, body: fault }),
  );
  return id;
}

/** How long the peer's agent has not been heard of. */
async function silentMs(cluster: ClusterWorld): Promise<number> {
  const { host } = cluster.machineIn('peer-1')!;
  const { healthPort } = cluster.ledger.slots.get('peer-1')!.addresses;
  const asked = host!.http.fetch(`http://127.0.0.1:${healthPort}/metrics`).then((answer) => answer.text());
  const metrics = await cluster.world.complete(asked);
  return 1_000 * Number(/^skep_control_api_silence_seconds (.*)$/m.exec(metrics)?.[1]);
}

test(
  'a cut from the control API ends at its time by the machine’s own clock, and nobody is replaced',
  async () => {
    const cluster = await serving();
    await inject(cluster, {
      kind: 'partition',
      nodes: ['peer-1'],
      from: ['control-api'],
      way: 'both',
      forMs: 9_000,
    });
    await pass(cluster, 8_000);
    expect(await silentMs(cluster)).toBeGreaterThan(5_000);
    await pass(cluster, 6_000);
    expect(await silentMs(cluster)).toBeLessThan(3_000);
    expect(cluster.ledger.slots.get('peer-1')!.generation).toBe(1);
    expect(cluster.violations).toEqual([]);
  },
  limitMs,
);

test(
  'a fault that is called off is undone before its time',
  async () => {
    const cluster = await serving();
    const id = await inject(cluster, { kind: 'degrade', nodes: ['peer-1'], delayMs: 2_000, forMs: 600_000 });
    await pass(cluster, 10_000);
    expect(await silentMs(cluster)).toBeGreaterThan(1_000);
    const { name } = cluster.spec;
    await cluster.world.complete(cluster.client.cancelFault({ params: { cluster: name, fault: id } }));
    await pass(cluster, 12_000);
    const silences = [];
    for (let look = 0; look < 10; look++) {
      silences.push(await silentMs(cluster));
      await pass(cluster, 250);
    }
    expect(Math.max(...silences)).toBeLessThan(1_500);
    expect(cluster.violations).toEqual([]);
  },
  limitMs,
);
