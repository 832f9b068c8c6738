/**
 * Instance metadata, version 2 alone: a session's token first, then what an instance asks of itself. Who asks is told by
 * the address of the connection. MiniStack has the same metadata for all, and no user data.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
 */
import { randomBytes } from 'node:crypto';
import type { Instance } from './instances.ts';

export interface MetadataRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface MetadataAnswer {
  readonly status: number;
  readonly body: string;
}

export interface MetadataOptions {
  readonly region: string;
  readonly account: string;
  readonly nowMs: () => number;
}

const tokenHeader = 'x-aws-ec2-metadata-token';
const lifeHeader = 'x-aws-ec2-metadata-token-ttl-seconds';
const longestLifeSeconds = 21_600;
const credentialsLifeMs = 6 * 3_600_000;
const tokenBytes = 42;

const badRequest: MetadataAnswer = { status: 400, body: '' };
const unauthorized: MetadataAnswer = { status: 401, body: '' };
const forbidden: MetadataAnswer = { status: 403, body: '' };
const notFound: MetadataAnswer = { status: 404, body: '' };
const notAllowed: MetadataAnswer = { status: 405, body: '' };

interface Session {
  readonly instanceId: string;
  readonly endsAtMs: number;
}

export class Metadata {
  readonly #options: MetadataOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(options: MetadataOptions) {
    this.#options = options;
  }

  answer(instance: Instance, { method, path, headers }: MetadataRequest): MetadataAnswer {
    if (path === '/latest/api/token') return method === 'PUT' ? this.#begin(instance, headers) : notAllowed;
    if (method !== 'GET') return notAllowed;
    const session = this.#sessions.get(String(headers[tokenHeader]));
    const isGood = session?.instanceId === instance.instanceId && this.#options.nowMs() < session.endsAtMs;
    if (!isGood) return unauthorized;
    const found = this.#categories(instance)[path.replace(/(?<=.)\/$/, '')];
    return found === undefined ? notFound : { status: 200, body: found };
  }

  /** A session that a proxy asks for is refused, for it would be an open one's. */
  #begin(instance: Instance, headers: MetadataRequest['headers']): MetadataAnswer {
    if (headers['x-forwarded-for'] !== undefined) return forbidden;
    const lifeSeconds = Number(headers[lifeHeader]);
    if (!(lifeSeconds >= 1 && lifeSeconds <= longestLifeSeconds)) return badRequest;
    const token = randomBytes(tokenBytes).toString('base64url');
    const endsAtMs = this.#options.nowMs() + lifeSeconds * 1_000;
    this.#sessions.set(token, { instanceId: instance.instanceId, endsAtMs });
    return { status: 200, body: token };
  }

  #categories({
    instanceId,
    launch,
    subnet,
    address,
  }: Instance): Readonly<Record<string, string | undefined>> {
    const { region, account } = this.#options;
    const { instanceProfile, userData } = launch;
    return {
      '/latest/user-data':
        userData === undefined ? undefined : Buffer.from(userData, 'base64').toString('utf8'),
      '/latest/meta-data/instance-id': instanceId,
      '/latest/meta-data/ami-id': launch.imageId,
      '/latest/meta-data/instance-type': launch.instanceType,
      '/latest/meta-data/local-ipv4': address,
      '/latest/meta-data/placement/availability-zone': subnet.zone,
      '/latest/meta-data/placement/region': region,
      '/latest/dynamic/instance-identity/document': JSON.stringify({
        instanceId,
        region,
        accountId: account,
        availabilityZone: subnet.zone,
        imageId: launch.imageId,
        instanceType: launch.instanceType,
        privateIp: address,
        version: '2017-09-30',
      }),
      '/latest/meta-data/iam/security-credentials': instanceProfile,
      ...(instanceProfile === undefined
        ? {}
        : { [`/latest/meta-data/iam/security-credentials/${instanceProfile}`]: this.#credentials() }),
    };
  }

  /** MiniStack takes whichever, for it refuses nobody. */
  #credentials(): string {
    const nowMs = this.#options.nowMs();
    return JSON.stringify({
      Code: 'Success',
      Type: 'AWS-HMAC',
      LastUpdated: new Date(nowMs).toISOString(),
      Expiration: new Date(nowMs + credentialsLifeMs).toISOString(),
      AccessKeyId: 'ASIAEMULATEDINSTANCE',
      SecretAccessKey: 'of-the-instance',
      Token: 'of-the-instance',
    });
  }
}
