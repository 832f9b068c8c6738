/** A node that is told to stop, in a whole simulated cluster. */
import { formatMachineId, originOf } from '@skep/contract';
import { ClusterWorld } from '@skep/sim';
import { expect, it } from 'vitest';

it.each([1, 2, 3])(
  'a leader that is told to stop goes when it has been succeeded (seed %i)',
  async (seed) => {
    const world = await ClusterWorld.create({ seed, spec: { bootstrap: 3, peers: 0 } });
    await world.world.run({ untilMs: 60_000, until: () => world.unhealed() === undefined });
    const leader = world.machineIn(world.leader!)!;
    const name = formatMachineId(leader.ref);
    const toldMs = world.nowMs;
    world.fleet.terminate(leader);
    await world.world.run({ untilMs: toldMs + 5_000, until: () => leader.state === 'exited' });
    expect(leader.evidence).toBe('exit code 0');
    // Its farewell tells whom it gave way to, and that it came to be so.
    const told = world.ledger.events.filter((event) => originOf(event) === name);
    const { to } = told.find(({ kind }) => kind === 'leader-transfer')!.data;
    const { leader: successor } = told.findLast(({ kind }) => kind === 'leader-changed')!.data;
    expect(successor).toBe(to);
    await world.world.run({ untilMs: toldMs + 5_000, until: () => world.leader !== leader.ref.slot });
    expect(world.ledger.lease!.holder).toBe(successor);
    expect(world.nowMs - toldMs).toBeLessThan(1_000);
  },
);
