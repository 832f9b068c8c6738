/** A machine that is stopped by others than the control API leaves in good order, and is replaced all the same. */
import { ClusterWorld, safetyInvariants } from '@skep/sim';
import { expect, it } from 'vitest';

it.each(['leader', 'follower', 'peer'] as const)('a %s that is told to end by its host', async (who) => {
  const cluster = await ClusterWorld.create({
    seed: 1,
    invariants: safetyInvariants(),
    spec: { bootstrap: 3, peers: 1 },
  });
  const pass = async (isOver: () => boolean) => {
    const deadlineMs = cluster.nowMs + 60_000;
    while (!isOver() && cluster.nowMs < deadlineMs) await cluster.world.run({ untilMs: cluster.nowMs + 200 });
    expect(isOver()).toBe(true);
  };
  await pass(() => cluster.unhealed() === undefined);
  const leader = cluster.leader;
  const victim = cluster.fleet.living().find(({ ref }) => {
    if (who === 'peer') return ref.slot === 'peer-1';
    return ref.slot.startsWith('bootstrap') && (ref.slot === leader) === (who === 'leader');
  })!;
  cluster.fleet.terminate(victim);
  await pass(() => victim.state === 'exited');
  expect(victim.evidence).toBe('exit code 0');
  await pass(() => cluster.ledger.slots.get(victim.ref.slot)!.generation === 2);
  await pass(() => cluster.unhealed() === undefined);
  expect(cluster.violations).toEqual([]);
});
