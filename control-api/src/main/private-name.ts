/**
 * The name by which machines of a deployment find their control API: a record in the deployment's private zone, which
 * the control API points at the instance that it finds itself on.
 */
import { ChangeResourceRecordSetsCommand, type Route53Client } from '@aws-sdk/client-route-53';
import { addressFamily, type Host, HostError, sleep } from '@skep/p2p-core/host';

export interface PrivateNameComponents {
  readonly host: Pick<Host, 'clock' | 'http'>;
  readonly route53: Route53Client;
}

export interface PrivateNameOptions {
  readonly hostedZone: string;
  readonly name: string;
  /** Of the instance metadata service. */
  readonly metadataUrl: string;
  readonly onTrouble: (message: string) => void;
}

export const defaultMetadataUrl = 'http://169.254.169.254';

/** How long a machine that has lost its control API may ask the one before. */
const timeToLiveSeconds = 5;
const retryMs = 5_000;
const metadataTimeoutMs = 5_000;
const sessionSeconds = 60;

/** Points the name here, trying until it is done or `signal` is aborted. */
export async function pointNameHere(
  components: PrivateNameComponents,
  options: PrivateNameOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const address = await ownAddress(components.host.http, options.metadataUrl);
      await components.route53.send(upsert(options, address), { abortSignal: signal });
      return;
    } catch (error) {
      if (signal.aborted) return;
      options.onTrouble(`${options.name} does not lead here yet, so no machine can report: ${String(error)}`);
      await sleep(components.host.clock, retryMs, signal).catch(() => undefined);
    }
  }
}

/** This instance's private IPv4 address, as the instance metadata service (version 2) says. Rejects HostError. */
export async function ownAddress({ fetch }: Host['http'], metadataUrl: string): Promise<string> {
  const ask = async (path: string, method: string, headers: Record<string, string>): Promise<string> => {
    const answer = await fetch(`${metadataUrl}${path}`, { method, headers, timeoutMs: metadataTimeoutMs });
    const text = await answer.text();
    if (answer.ok) return text.trim();
    throw new HostError('io', `the instance metadata service answered ${answer.status} to ${path}`);
  };
  const session = await ask('/latest/api/token', 'PUT', {
    'x-aws-ec2-metadata-token-ttl-seconds': String(sessionSeconds),
  });
  const address = await ask('/latest/meta-data/local-ipv4', 'GET', { 'x-aws-ec2-metadata-token': session });
  if (addressFamily(address) === 4) return address;
  throw new HostError('io', `the instance metadata service gave ${address} as this instance's address`);
}

function upsert({ hostedZone, name }: PrivateNameOptions, address: string): ChangeResourceRecordSetsCommand {
  return new ChangeResourceRecordSetsCommand({
    HostedZoneId: hostedZone,
    ChangeBatch: {
      Changes: [
        {
          Action: 'UPSERT',
          ResourceRecordSet: {
            Name: name,
            Type: 'A',
            TTL: timeToLiveSeconds,
            ResourceRecords: [{ Value: address }],
          },
        },
      ],
    },
  });
}
