/** The seat in the ring: where its addresses cannot be had at first, and what it tells of configurations. */
import { createApiClient, type SlotName } from '@skep/contract';
import { LamportClock } from '@skep/p2p-core/ring';
import { SimWorld } from '@skep/sim';
import { expect, it } from 'vitest';
import { RingSeat, type SeatEvent } from './ring-seat.ts';

const local = { host: '10.0.0.2', port: 7_000 };

function seatOf(world: SimWorld, onEvent: (event: SeatEvent) => void = () => undefined) {
  const host = world.createHost({ address: local.host });
  const seat = new RingSeat(host, {
    cluster: 'bees',
    clusterUid: 'u',
    self: { slot: 'bootstrap-1', generation: 1 },
    local,
    ringKey: new Uint8Array(32),
    stateDirectory: '/ring',
    graceMs: 6_000,
    lamport: new LamportClock(),
    client: () => createApiClient({ baseUrl: 'http://10.0.0.1:80', fetch: host.http.fetch }),
    onEvent,
  });
  return { host, seat };
}

function memberOf(slot: SlotName, generation: number) {
  const address = slot === 'bootstrap-1' ? local : { host: `10.0.1.${generation}`, port: local.port };
  return { slot, generation, address, voter: true, admittedAtTerm: 0 };
}

it('takes its seat at a later try if its port was in use at the first', async () => {
  const world = new SimWorld({ seed: 1 });
  const { host, seat } = seatOf(world);
  const members = [memberOf('bootstrap-1', 1)];
  const form = () => seat.form({ kind: 'form-ring', configuration: { version: 1, members } });
  const other = await world.complete(host.net.bindUdp(local, () => undefined));
  await expect(world.complete(form())).rejects.toMatchObject({ code: 'address-in-use' });
  other.close();
  await world.complete(form());
  expect(seat.formed).toBe(true);
  await world.complete(seat.close());
});

it('tells of each configuration who came and who went', async () => {
  const world = new SimWorld({ seed: 2 });
  const adopted: unknown[] = [];
  const { seat } = seatOf(world, ({ type, atMs: _, lamport: __, ...rest }) => {
    if (type === 'configuration-adopted') adopted.push(rest);
  });
  const form = async (version: number, ...others: [SlotName, number][]) => {
    const members = [
      memberOf('bootstrap-1', 1),
      ...others.map(([slot, generation]) => memberOf(slot, generation)),
    ];
    await world.complete(seat.form({ kind: 'form-ring', configuration: { version, members } }));
  };
  await form(1, ['bootstrap-2', 1], ['bootstrap-3', 1]);
  await form(2, ['bootstrap-2', 2], ['bootstrap-3', 1]);
  // One that was overtaken, and again the same.
  await form(1, ['bootstrap-2', 1], ['bootstrap-3', 1]);
  await form(2, ['bootstrap-2', 2], ['bootstrap-3', 1]);
  await form(4, ['bootstrap-2', 3], ['bootstrap-3', 2]);
  expect(adopted).toEqual([
    { version: 2, came: 'bootstrap-2@2', went: 'bootstrap-2@1' },
    { version: 4, came: 'bootstrap-2@3 bootstrap-3@2', went: 'bootstrap-2@2 bootstrap-3@1' },
  ]);
  await world.complete(seat.close());
});
