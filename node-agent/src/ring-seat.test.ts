/** The seat in the ring, where its addresses cannot be had at first. */
import { createApiClient } from '@skep/contract';
import { LamportClock } from '@skep/p2p-core/ring';
import { SimWorld } from '@skep/sim';
import { expect, it } from 'vitest';
import { RingSeat } from './ring-seat.ts';

const local = { host: '10.0.0.2', port: 7_000 };

it('takes its seat at a later try if its port was in use at the first', async () => {
  const world = new SimWorld({ seed: 1 });
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
    onEvent: () => undefined,
  });
  const member = {
    slot: 'bootstrap-1' as const,
    generation: 1,
    address: local,
    voter: true,
    admittedAtTerm: 0,
  };
  const form = () => seat.form({ kind: 'form-ring', configuration: { version: 1, members: [member] } });
  const other = await world.complete(host.net.bindUdp(local, () => undefined));
  await expect(world.complete(form())).rejects.toMatchObject({ code: 'address-in-use' });
  other.close();
  await world.complete(form());
  expect(seat.formed).toBe(true);
  await world.complete(seat.close());
});
