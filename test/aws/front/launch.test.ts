/** What a launch is made of: template and request, tokens, addresses, filters. */
import { describe, expect, it } from 'vitest';
import { takeAddress } from './addresses.ts';
import { ClientTokens } from './client-tokens.ts';
import { matches } from './filters.ts';
import { launchOf } from './launch.ts';
import { RunInstances } from './requests.ts';

const one = { MinCount: '1', MaxCount: '1' };
const refused = (code: string) => expect.objectContaining({ code });

describe('a launch', () => {
  const template = {
    ImageId: 'ami-1',
    InstanceType: 't3.small' as const,
    UserData: 'b25l',
    InstanceInitiatedShutdownBehavior: 'terminate' as const,
    IamInstanceProfile: { Arn: 'arn:aws:iam::0:instance-profile/Fleet' },
    SecurityGroupIds: ['sg-1'],
    TagSpecifications: [
      {
        ResourceType: 'instance' as const,
        Tags: [
          { Key: 'Name', Value: 'of the template' },
          { Key: 'a', Value: '1' },
        ],
      },
    ],
  };

  it('is the template’s where the request says nothing', () => {
    const request = RunInstances.parse({ ...one, SubnetId: 'subnet-1' });
    expect(launchOf(request, template)).toEqual({
      imageId: 'ami-1',
      instanceType: 't3.small',
      subnetId: 'subnet-1',
      securityGroupIds: ['sg-1'],
      userData: 'b25l',
      instanceProfile: 'Fleet',
      shutdownBehavior: 'terminate',
      instanceTags: [
        { Key: 'Name', Value: 'of the template' },
        { Key: 'a', Value: '1' },
      ],
      interfaceTags: [],
    });
  });

  it('is the request’s where that says something', () => {
    const request = RunInstances.parse({
      ...one,
      InstanceType: 'c7i.large',
      UserData: 'dHdv',
      NetworkInterface: [
        {
          DeviceIndex: '0',
          SubnetId: 'subnet-2',
          PrivateIpAddress: '10.0.0.9',
          SecurityGroupId: ['sg-2'],
        },
      ],
      TagSpecification: [
        { ResourceType: 'instance', Tag: [{ Key: 'Name', Value: 'of the request' }] },
        { ResourceType: 'network-interface', Tag: [{ Key: 'b', Value: '2' }] },
      ],
    });
    expect(launchOf(request, template)).toMatchObject({
      instanceType: 'c7i.large',
      subnetId: 'subnet-2',
      address: '10.0.0.9',
      securityGroupIds: ['sg-2'],
      userData: 'dHdv',
      instanceTags: [
        { Key: 'Name', Value: 'of the request' },
        { Key: 'a', Value: '1' },
      ],
      interfaceTags: [{ Key: 'b', Value: '2' }],
    });
  });

  it('stops at its own shutdown unless told otherwise, as EC2 has it', () => {
    const request = RunInstances.parse({ ...one, ImageId: 'ami-1', SubnetId: 'subnet-1' });
    expect(launchOf(request)).toMatchObject({ shutdownBehavior: 'stop', instanceType: 'm1.small' });
  });

  it('needs an image and a subnet', () => {
    const launch = (request: object) => () => launchOf(RunInstances.parse({ ...one, ...request }));
    expect(launch({ SubnetId: 'subnet-1' })).toThrow(refused('MissingParameter'));
    expect(launch({ ImageId: 'ami-1' })).toThrow(refused('MissingInput'));
  });
});

describe('client tokens', () => {
  const lives = () => false;
  const request = { InstanceType: 't3.small' };

  it('find what they made, for the same request', () => {
    const tokens = new ClientTokens();
    expect(tokens.find('one', request, lives)).toBeUndefined();
    tokens.keep('one', request, 'i-1');
    expect(tokens.find('one', { ...request }, lives)).toBe('i-1');
    expect(tokens.find('other', request, lives)).toBeUndefined();
  });

  it('are refused for another request, and when their instance is terminated', () => {
    const tokens = new ClientTokens();
    tokens.keep('one', request, 'i-1');
    const other = { InstanceType: 't3.large' };
    expect(() => tokens.find('one', other, lives)).toThrow(refused('IdempotentParameterMismatch'));
    expect(() => tokens.find('one', request, () => true)).toThrow(refused('IdempotentInstanceTerminated'));
  });
});

describe('addresses', () => {
  const subnet = { subnetId: 'subnet-1', vpcId: 'vpc-1', zone: 'eu-central-1a', cidr: '10.64.16.0/29' };

  it('are the wanted one, or the first that is free', () => {
    expect(takeAddress(subnet, new Set(), '10.64.16.6')).toBe('10.64.16.6');
    expect(takeAddress(subnet, new Set(['10.64.16.4']))).toBe('10.64.16.5');
  });

  it('are refused if they are taken, AWS’s own, or elsewhere', () => {
    const take =
      (address: string, taken: string[] = []) =>
      () =>
        takeAddress(subnet, new Set(taken), address);
    expect(take('10.64.16.4', ['10.64.16.4'])).toThrow(refused('InvalidIPAddress.InUse'));
    for (const address of ['10.64.16.3', '10.64.16.7', '10.64.17.4']) {
      expect(take(address)).toThrow(refused('InvalidParameterValue'));
    }
  });

  it('run out', () => {
    const taken = new Set(['10.64.16.4', '10.64.16.5', '10.64.16.6']);
    expect(() => takeAddress(subnet, taken)).toThrow(refused('InsufficientFreeAddressesInSubnet'));
  });
});

describe('filters', () => {
  const tags = [{ Key: 'skep:slot', Value: 'peer-1' }];
  const fields = { 'instance-state-name': 'running', 'group-id': ['sg-1', 'sg-2'], 'subnet-id': undefined };
  const match = (Name: string, ...Value: string[]) => matches([{ Name, Value }], tags, fields);

  it('match fields, tags and their keys, by any of their values', () => {
    expect(match('instance-state-name', 'pending', 'running')).toBe(true);
    expect(match('instance-state-name', 'pending')).toBe(false);
    expect(match('group-id', 'sg-2')).toBe(true);
    expect(match('subnet-id', 'subnet-1')).toBe(false);
    expect(match('tag:skep:slot', 'peer-1')).toBe(true);
    expect(match('tag:skep:slot', 'peer-2')).toBe(false);
    expect(match('tag-key', 'skep:slot')).toBe(true);
    expect(match('tag-key', 'skep:token')).toBe(false);
  });

  it('must match all', () => {
    const filters = [
      { Name: 'tag-key', Value: ['skep:slot'] },
      { Name: 'instance-state-name', Value: ['stopped'] },
    ];
    expect(matches(filters, tags, fields)).toBe(false);
  });

  it('have wildcards, and nothing else that expressions have', () => {
    expect(match('tag:skep:slot', 'peer-*')).toBe(true);
    expect(match('tag:skep:slot', 'peer-?')).toBe(true);
    expect(match('tag:skep:slot', 'peer.1')).toBe(false);
    expect(match('tag:skep:slot', 'peer')).toBe(false);
  });

  it('are refused if EC2 has none of that name', () => {
    expect(() => match('colour', 'red')).toThrow(refused('InvalidParameterValue'));
  });
});
