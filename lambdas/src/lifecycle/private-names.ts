/** Records that a control API has set in its private zone, as they look from outside: there, or to be gone. */
import {
  ChangeResourceRecordSetsCommand,
  ListResourceRecordSetsCommand,
  type Route53Client,
} from '@aws-sdk/client-route-53';

export class PrivateNames {
  readonly #route53: Route53Client;

  constructor({ route53 }: { route53: Route53Client }) {
    this.#route53 = route53;
  }

  /** Harmless if there is none. Only a record's present value deletes it, so it is looked up first. */
  async remove(hostedZone: string, name: string): Promise<void> {
    const { ResourceRecordSets: [record] = [] } = await this.#route53.send(
      new ListResourceRecordSetsCommand({
        HostedZoneId: hostedZone,
        StartRecordName: name,
        StartRecordType: 'A',
        MaxItems: 1,
      }),
    );
    // The list begins with the first record that is not before the name.
    if (record?.Name !== `${name}.` || record.Type !== 'A') return;
    await this.#route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: hostedZone,
        ChangeBatch: { Changes: [{ Action: 'DELETE', ResourceRecordSet: record }] },
      }),
    );
  }
}
