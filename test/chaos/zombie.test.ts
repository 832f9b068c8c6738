/**
 * A machine that stands still where no launcher reaches it, is taken for gone and replaced elsewhere, and goes on:
 * a zombie. Nobody may heed it, and it ends itself.
 */
import { fromHex } from '@skep/p2p-core/bytes';
import { isAlive } from '@skep/p2p-core/process-identity';
import { afterEach, describe, expect, it } from 'vitest';
import { lookUpThrough } from '../../cli/src/demo/lookup.ts';
import { ChaosCluster } from './cluster.ts';
import { shareContent } from './content.ts';
import { refusalOf } from './refusal.ts';
import { until } from './waiting.ts';

const timeout = 180_000;
/** Deadline of what must come about at once. */
const soonMs = 10_000;

let cluster: ChaosCluster;

afterEach(async () => {
  expect(await cluster.end()).toEqual({ processes: [], files: [] });
});

describe('a leader that goes on after it was replaced elsewhere', () => {
  it('is heeded by nobody, and ends itself', { timeout }, async () => {
    cluster = await ChaosCluster.start(
      { bootstrap: 3, peers: 2, graceMs: 3_000, leaseMs: 2_000, reportIntervalMs: 200, orphanMs: 60_000 },
      { preload: './out-of-reach.ts' },
    );
    const { infoHash } = await shareContent(cluster, {
      name: 'sought.bin',
      length: 2 ** 20,
      seedSlot: 'peer-1',
    });
    await until('the content to be everywhere', async () =>
      (await cluster.nodes())?.every(({ role, torrents }) => role !== 'peer' || torrents[0]?.sha256),
    );
    const { slot, term } = await cluster.awaitLeader();
    const { address: oldAddress } = (await cluster.nodes())!.find((node) => node.slot === slot)!;
    const zombie = await cluster.signal(slot, 'SIGSTOP');
    await cluster.event(
      'its replacement',
      (event) => event.kind === 'redeployment-complete' && event.slot === slot,
    );
    const leader = await cluster.awaitLeader(term);

    // It counts as proven gone, and is not: two machines of one slot live, as only a network can have it.
    const [redeployment] = await cluster.redeployments();
    expect(redeployment!.times.goneMs).toBeDefined();
    expect(isAlive(zombie)).toBe(true);
    expect(
      cluster
        .machines(slot)
        .map(({ generation }) => generation)
        .sort(),
    ).toEqual([1, 2]);
    const present = (await cluster.nodes())!.find((node) => node.slot === slot)!;
    expect(present.address.host).not.toBe(oldAddress.host);

    const from = await cluster.newest();
    const asZombie = cluster.clientOf(slot, 1);
    process.kill(zombie.pid, 'SIGCONT');
    const { params } = cluster;
    const body = { slot: leader.slot, generation: 1, term, reason: 'asked by a zombie' };
    const holder = { slot, generation: 1 };
    expect(
      await Promise.all([
        refusalOf(asZombie.requestRedeployment({ params, body })),
        refusalOf(asZombie.requestLease({ params, body: { action: 'renew', holder, term } })),
        refusalOf(asZombie.requestLease({ params, body: { action: 'acquire', holder, term: term + 100 } })),
      ]),
    ).toEqual(['generation-over', 'generation-over', 'generation-over']);
    await until('the zombie to end itself', () => !isAlive(zombie), { timeoutMs: soonMs });
    // It was not made to: nobody sent it a signal but the one that let it go on.
    expect(await cluster.log(slot, 1)).toMatch(/"message":"ended","reason":"over"/);

    // A lookup through the new machine alone finds the content, and at the old address nobody answers any more.
    const expected = (await cluster.nodes())!
      .filter(({ role }) => role === 'peer')
      .map(({ address }) => address);
    const signal = AbortSignal.timeout(soonMs);
    const sought = { through: present.address, infoHash: fromHex(infoHash)!, expected, signal };
    expect(expected).toContainEqual(await lookUpThrough(cluster.host, sought));
    const socket = await cluster.host.net.bindUdp(oldAddress, () => undefined);
    socket.close();

    // Nothing that it said, and nobody who followed it, is in the journal.
    const since = (await cluster.readEvents()).filter(({ sequence }) => sequence > from);
    const name = `${slot}@1`;
    expect(since.filter((event) => event.slot === slot && event.generation === 1)).toEqual([]);
    expect(
      since.filter(({ data }) => [data.leader, data.holder, data.candidate, data.by].includes(name)),
    ).toEqual([]);
    expect(await cluster.awaitLeader()).toEqual(leader);
    expect(await cluster.redeployments()).toHaveLength(1);
    const living = cluster
      .machines()
      .map((machine) => `${machine.slot}@${machine.generation} is ${machine.process.pid}`);
    const told = (await cluster.awaitServing()).map(
      (node) => `${node.slot}@${node.generation} is ${node.machine}`,
    );
    expect(living.sort()).toEqual(told.sort());
  });
});
