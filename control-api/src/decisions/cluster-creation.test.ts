import { ClusterSpec } from '@skep/contract';
import { expect, it } from 'vitest';
import { decideCreateCluster, slotCount, slotZones } from './cluster-creation.ts';

it('wants each address in the zone in which the slot that takes it is first launched', () => {
  const placement = { zones: ['a', 'b', 'c'] };
  const spec = ClusterSpec.parse({ name: 'bees', bootstrap: 3, index: 2, peers: 4, placement });
  const zones = slotZones(spec);
  expect(zones).toHaveLength(slotCount(spec));
  // An address that tells its zone.
  const addresses = zones.map((zone, at) => ({
    listen: { host: `10.${'abc'.indexOf(zone!)}.0.${at}`, port: 1 },
    ringPort: 2,
    healthPort: 3,
  }));
  const decided = decideCreateCluster(spec, 'u', addresses, 0);
  const rows = (table: string) =>
    ('changes' in decided ? (decided.changes ?? []) : []).filter((change) => change.table === table);
  const zoneOf = new Map(
    rows('slots').map(({ id, value }) => [
      id,
      (value as { addresses: (typeof addresses)[0] }).addresses.listen.host[3],
    ]),
  );
  const wanted = rows('machines').map(({ id, value }) => [
    id.split('@')[0],
    String('abc'.indexOf((value as { placement: { zone: string } }).placement.zone)),
  ]);
  expect(wanted).toHaveLength(9);
  expect(wanted).toEqual(wanted.map(([slot]) => [slot, zoneOf.get(slot!)]));
});

it('wants them nowhere where the spec says no zones', () => {
  expect(slotZones(ClusterSpec.parse({ name: 'bees', bootstrap: 1, peers: 1 }))).toEqual([
    undefined,
    undefined,
  ]);
});
