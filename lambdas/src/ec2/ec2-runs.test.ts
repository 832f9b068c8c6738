import { describe, expect, it } from 'vitest';
import { createVirtualHost } from '../../../control-api/src/testing/virtual-host.ts';
import { machineOrder } from '../testing/orders.ts';
import { ranInstance, refusal, type ScriptedAnswer, scriptedEc2 } from '../testing/scripted-ec2.ts';
import { Ec2Runs } from './ec2-runs.ts';
import type { RunParameters } from './instances.ts';

const { machine } = machineOrder({ slot: 'bootstrap-2', generation: 3, attempt: 2 });
const parameters: RunParameters = {
  machine,
  role: 'bootstrap',
  frozen: {
    launchTemplateId: 'lt-0abc',
    launchTemplateVersion: '7',
    image: 'registry/skep@sha256:0',
    subnetId: 'subnet-a',
    securityGroupId: 'sg-1',
    userDataSha256: '00',
    expiresAt: '2027-01-01T00:00:00Z',
  },
  address: '10.0.0.7',
  instanceType: 'm7g.medium',
  userData: '#cloud-config\n# ü\n',
};

function runsOver(answer: (request: number) => ScriptedAnswer | Promise<ScriptedAnswer>) {
  const virtual = createVirtualHost();
  const { client, requests } = scriptedEc2(answer);
  return {
    ...virtual,
    requests,
    runs: new Ec2Runs({ ec2: client, clock: virtual.host.clock }, { deployment: 'bees' }),
  };
}

describe('a call for an instance', () => {
  it('has the machine’s token, address, tags and user data, and is the same whenever it is made', async () => {
    const { runs, requests } = runsOver(() => ranInstance('i-0abc'));
    expect(await runs.run(parameters, 1_000)).toMatchObject({
      kind: 'instance',
      instance: { instanceId: 'i-0abc', state: 'pending', machine },
    });
    await runs.run(parameters, 5_000);
    expect(requests[1]).toEqual(requests[0]);
    expect(requests[0]).toMatchObject({
      Action: 'RunInstances',
      ClientToken: machine.token,
      MinCount: '1',
      MaxCount: '1',
      InstanceType: 'm7g.medium',
      'LaunchTemplate.LaunchTemplateId': 'lt-0abc',
      'LaunchTemplate.Version': '7',
      'NetworkInterface.1.DeviceIndex': '0',
      'NetworkInterface.1.SubnetId': 'subnet-a',
      'NetworkInterface.1.PrivateIpAddress': '10.0.0.7',
      'NetworkInterface.1.SecurityGroupId.1': 'sg-1',
      'NetworkInterface.1.DeleteOnTermination': 'true',
      'TagSpecification.1.ResourceType': 'instance',
      'TagSpecification.2.ResourceType': 'volume',
      'TagSpecification.3.ResourceType': 'network-interface',
    });
    const sent = requests[0]!;
    expect(Buffer.from(sent.UserData!, 'base64').toString()).toBe(parameters.userData);
    const tags = Object.fromEntries(
      Array.from({ length: 9 }, (_, index) => [
        sent[`TagSpecification.1.Tag.${index + 1}.Key`],
        sent[`TagSpecification.1.Tag.${index + 1}.Value`],
      ]),
    );
    expect(tags).toEqual({
      Name: 'bees bootstrap-2@3',
      'skep:cluster': 'bees',
      'skep:uid': machine.clusterUid,
      'skep:slot': 'bootstrap-2',
      'skep:role': 'bootstrap',
      'skep:generation': '3',
      'skep:attempt': '2',
      'skep:token': machine.token,
      'skep:expires-at': '2027-01-01T00:00:00Z',
    });
  });

  it.each([
    ['InsufficientInstanceCapacity', 500, 'no-capacity'],
    ['InsufficientReservedInstanceCapacity', 400, 'no-capacity'],
    ['SpotMaxPriceTooLow', 400, 'no-capacity'],
    ['MaxSpotInstanceCountExceeded', 400, 'no-capacity'],
    ['Unsupported', 400, 'no-capacity'],
    ['InstanceLimitExceeded', 400, 'no-capacity'],
    ['VcpuLimitExceeded', 400, 'no-capacity'],
    ['InvalidIPAddress.InUse', 400, 'no-free-address'],
    ['RequestLimitExceeded', 503, 'throttled'],
    ['Throttling', 400, 'throttled'],
    ['IdempotentParameterMismatch', 400, 'mismatch'],
    ['IdempotentInstanceTerminated', 400, 'terminated'],
    ['UnauthorizedOperation', 403, 'refused'],
    ['InvalidLaunchTemplateId.NotFound', 400, 'refused'],
    ['InternalError', 500, 'unknown'],
    ['SomethingNew', 500, 'unknown'],
    ['Unavailable', 503, 'unknown'],
  ])('that is refused with %s (%i) is %s', async (code, status, kind) => {
    const { runs } = runsOver(() => refusal(code, status));
    const outcome = await runs.run(parameters, 1_000);
    expect(outcome).toMatchObject({ kind });
    expect(outcome).toHaveProperty('message', expect.stringContaining(`${code}: as the test says`));
  });

  it('is of unknown outcome if the connection breaks, or the answer is none', async () => {
    const broken = runsOver(() =>
      Promise.reject(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })),
    );
    expect(await broken.runs.run(parameters, 1_000)).toMatchObject({
      kind: 'unknown',
      message: expect.stringContaining('socket hang up'),
    });
    const garbled = runsOver(() => ({ status: 200, body: '<html>' }));
    expect((await garbled.runs.run(parameters, 1_000)).kind).toBe('unknown');
  });

  it('is of unknown outcome if no answer comes in time', async () => {
    const { runs, advance, requests } = runsOver(() => new Promise(() => undefined));
    const outcome = runs.run(parameters, 1_000);
    await advance(1_000);
    expect(await outcome).toEqual({ kind: 'unknown', message: 'EC2 did not answer within 1000 ms' });
    expect(requests).toHaveLength(1);
  });
});
