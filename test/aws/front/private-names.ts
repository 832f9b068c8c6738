/**
 * Names in hosted zones as an instance's resolver answers them: A records of Route 53, and nothing of the world outside.
 * MiniStack keeps records that nobody resolves.
 * https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/hosted-zones-private.html
 */
import {
  ListHostedZonesCommand,
  ListResourceRecordSetsCommand,
  type Route53Client,
} from '@aws-sdk/client-route-53';
import { AUTHORITATIVE_ANSWER, decode, encode, type Question } from 'dns-packet';

const notExisting = 3;

export class PrivateNames {
  readonly #route53: Route53Client;

  constructor({ route53 }: { route53: Route53Client }) {
    this.#route53 = route53;
  }

  /** An answer's datagram for a question's. Throws if that is none. */
  async answer(datagram: Uint8Array): Promise<Uint8Array> {
    const { id, questions = [] } = decode(Buffer.from(datagram));
    const question = questions[0];
    if (question === undefined) throw new Error('a DNS message without a question');
    const records = await this.#recordsOf(question.name);
    return encode({
      type: 'response',
      id,
      flags: AUTHORITATIVE_ANSWER | (records === undefined ? notExisting : 0),
      questions,
      answers: (records ?? []).flatMap(({ ttl, addresses }) => answersTo(question, ttl, addresses)),
    });
  }

  /** Undefined if there is no such name. */
  async #recordsOf(name: string): Promise<{ ttl: number; addresses: string[] }[] | undefined> {
    const wanted = `${name.toLowerCase()}.`;
    const { HostedZones = [] } = await this.#route53.send(new ListHostedZonesCommand({}));
    const zone = HostedZones.find(({ Name = '' }) => wanted === Name || wanted.endsWith(`.${Name}`));
    if (zone === undefined) return undefined;
    const { ResourceRecordSets = [] } = await this.#route53.send(
      new ListResourceRecordSetsCommand({ HostedZoneId: zone.Id! }),
    );
    const found = ResourceRecordSets.filter(({ Name }) => Name === wanted);
    if (found.length === 0) return undefined;
    return found
      .filter(({ Type }) => Type === 'A')
      .map(({ TTL = 0, ResourceRecords = [] }) => ({
        ttl: TTL,
        addresses: ResourceRecords.map(({ Value }) => Value!),
      }));
  }
}

function answersTo({ name, type }: Question, ttl: number, addresses: readonly string[]) {
  return type === 'A' ? addresses.map((data) => ({ type: 'A' as const, name, ttl, data })) : [];
}
