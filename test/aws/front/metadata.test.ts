/** Version 2 of instance metadata: sessions of one instance, for a time; nothing without one. */
import { describe, expect, it } from 'vitest';
import type { Instance } from './instances.ts';
import { Metadata } from './metadata.ts';

const instance = (more: Partial<Instance['launch']> = {}): Instance => ({
  instanceId: 'i-1',
  launch: {
    imageId: 'ami-1',
    instanceType: 't3.small',
    subnetId: 'subnet-1',
    securityGroupIds: [],
    userData: Buffer.from('#cloud-config\n').toString('base64'),
    instanceProfile: 'Fleet',
    shutdownBehavior: 'terminate',
    instanceTags: [],
    interfaceTags: [],
    ...more,
  },
  subnet: { subnetId: 'subnet-1', vpcId: 'vpc-1', zone: 'eu-central-1b', cidr: '10.64.16.0/20' },
  address: '10.64.16.9',
  networkInterfaceId: 'eni-1',
  launchedAt: new Date(0),
  state: 'running',
});

function world() {
  const clock = { nowMs: 1_000 };
  const metadata = new Metadata({ region: 'eu-central-1', account: '0', nowMs: () => clock.nowMs });
  const begin = (of: Instance, seconds = '60', headers = {}) =>
    metadata.answer(of, {
      method: 'PUT',
      path: '/latest/api/token',
      headers: { 'x-aws-ec2-metadata-token-ttl-seconds': seconds, ...headers },
    });
  const get = (of: Instance, path: string, token?: string) =>
    metadata.answer(of, { method: 'GET', path, headers: { 'x-aws-ec2-metadata-token': token } });
  return { clock, metadata, begin, get };
}

describe('metadata', () => {
  it('tells an instance what it is', () => {
    const { begin, get } = world();
    const token = begin(instance()).body;
    const answers = {
      '/latest/user-data': '#cloud-config\n',
      '/latest/meta-data/instance-id': 'i-1',
      '/latest/meta-data/local-ipv4': '10.64.16.9',
      '/latest/meta-data/placement/availability-zone': 'eu-central-1b',
      '/latest/meta-data/iam/security-credentials/': 'Fleet',
    };
    for (const [path, body] of Object.entries(answers)) {
      expect(get(instance(), path, token)).toEqual({ status: 200, body });
    }
    const document = JSON.parse(get(instance(), '/latest/dynamic/instance-identity/document', token).body);
    expect(document).toMatchObject({ instanceId: 'i-1', region: 'eu-central-1', privateIp: '10.64.16.9' });
    const credentials = get(instance(), '/latest/meta-data/iam/security-credentials/Fleet', token).body;
    expect(JSON.parse(credentials)).toMatchObject({ Code: 'Success', Type: 'AWS-HMAC' });
  });

  it('has nothing of what an instance was not given', () => {
    const { begin, get } = world();
    const bare = { ...instance(), launch: { ...instance().launch } } as Instance;
    delete (bare.launch as { userData?: string }).userData;
    delete (bare.launch as { instanceProfile?: string }).instanceProfile;
    const token = begin(bare).body;
    for (const path of [
      '/latest/user-data',
      '/latest/meta-data/iam/security-credentials/',
      '/latest/other',
    ]) {
      expect(get(bare, path, token).status).toBe(404);
    }
  });

  it('is refused without a session, with another’s, and when that is over', () => {
    const { clock, begin, get } = world();
    const path = '/latest/meta-data/instance-id';
    const token = begin(instance()).body;
    expect(get(instance(), path).status).toBe(401);
    expect(get({ ...instance(), instanceId: 'i-2' }, path, token).status).toBe(401);
    clock.nowMs += 59_999;
    expect(get(instance(), path, token).status).toBe(200);
    clock.nowMs += 1;
    expect(get(instance(), path, token).status).toBe(401);
  });

  it('begins no session without a length, for too long, or for a proxy', () => {
    const { begin } = world();
    for (const seconds of ['', '0', '21601', 'long']) expect(begin(instance(), seconds).status).toBe(400);
    expect(begin(instance(), '60', { 'x-forwarded-for': '10.0.0.1' }).status).toBe(403);
  });
});
