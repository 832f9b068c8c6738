/** The name that a control API sets in its private zone, and that it is gone before the zone is to go: against moto. */
import {
  ChangeResourceRecordSetsCommand,
  CreateHostedZoneCommand,
  DeleteHostedZoneCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PrivateNames } from '../../lambdas/src/lifecycle/private-names.ts';
import type { Emulator } from './emulator.ts';
import { hasMoto, startMoto } from './moto.ts';

const name = 'control.bees.internal';

describe.skipIf(!hasMoto() && process.env.SKEP_TEST_ALL !== '1')('the private name', () => {
  let moto: Emulator;
  let route53: Route53Client;
  let names: PrivateNames;
  beforeAll(async () => {
    moto = await startMoto();
    route53 = new Route53Client({
      endpoint: moto.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    names = new PrivateNames({ route53 });
  }, 120_000);
  afterAll(() => moto?.stop());

  const newZone = async (): Promise<string> => {
    const { HostedZone } = await route53.send(
      new CreateHostedZoneCommand({ Name: 'bees.internal', CallerReference: crypto.randomUUID() }),
    );
    return HostedZone!.Id!.replace('/hostedzone/', '');
  };
  const point = (zone: string, record: string, address: string) =>
    route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: zone,
        ChangeBatch: {
          Changes: [
            {
              Action: 'UPSERT',
              ResourceRecordSet: { Name: record, Type: 'A', TTL: 5, ResourceRecords: [{ Value: address }] },
            },
          ],
        },
      }),
    );
  const namesOf = async (zone: string) => {
    const { ResourceRecordSets = [] } = await route53.send(
      new ListResourceRecordSetsCommand({ HostedZoneId: zone }),
    );
    return ResourceRecordSets.filter(({ Type }) => Type === 'A').map((record) => record.Name);
  };

  it('is removed with whatever address it has, and the zone can go', async () => {
    const zone = await newZone();
    await point(zone, name, '10.83.48.4');
    await point(zone, name, '10.83.48.9');
    await expect(route53.send(new DeleteHostedZoneCommand({ Id: zone }))).rejects.toThrow(
      'resource records that are not SOA or NS',
    );
    await names.remove(zone, name);
    expect(await namesOf(zone)).toEqual([]);
    await route53.send(new DeleteHostedZoneCommand({ Id: zone }));
  });

  it('may never have been set, or be removed already', async () => {
    const zone = await newZone();
    await names.remove(zone, name);
    await point(zone, name, '10.83.48.4');
    await names.remove(zone, name);
    await names.remove(zone, name);
    expect(await namesOf(zone)).toEqual([]);
  });

  it('is not taken for the next one in the zone', async () => {
    const zone = await newZone();
    await point(zone, 'other.bees.internal', '10.83.48.4');
    await names.remove(zone, name);
    expect(await namesOf(zone)).toEqual(['other.bees.internal.']);
  });
});
