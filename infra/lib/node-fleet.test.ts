/** What machines are made of: locked down, tagged, of the right architecture, and gone when their agent is. */

import { Match, type Template } from 'aws-cdk-lib/assertions';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import { describe, expect, it } from 'vitest';
import { templateOf } from '../testing/synthesis.ts';
import { Network } from './network.ts';
import { NodeFleet, type NodeFleetProps } from './node-fleet.ts';

function fleetTemplate(props: Partial<NodeFleetProps> = {}): Template {
  return templateOf((stack) => {
    new NodeFleet(stack, 'Fleet', {
      network: new Network(stack, 'Network'),
      repository: new ecr.Repository(stack, 'Repository'),
      ...props,
    });
  });
}

const data = (properties: Record<string, unknown>) => ({ LaunchTemplateData: Match.objectLike(properties) });

describe('a fleet', () => {
  const template = fleetTemplate();
  const all = (properties: Record<string, unknown>) =>
    template.allResourcesProperties('AWS::EC2::LaunchTemplate', data(properties));

  it('has a launch template for each role', () => {
    template.resourceCountIs('AWS::EC2::LaunchTemplate', 3);
  });

  it('gives out credentials by IMDSv2 alone, and not past the instance', () => {
    all({ MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 } });
  });

  it('encrypts its volumes, which end with their instances', () => {
    all({
      BlockDeviceMappings: [
        {
          DeviceName: '/dev/xvda',
          Ebs: { Encrypted: true, VolumeType: 'gp3', VolumeSize: 30, DeleteOnTermination: true },
        },
      ],
    });
  });

  it('terminates the instance that powers itself off', () => {
    all({ InstanceInitiatedShutdownBehavior: 'terminate' });
  });

  it('has neither key nor group nor interface in it', () => {
    all({
      KeyName: Match.absent(),
      SecurityGroupIds: Match.absent(),
      SecurityGroups: Match.absent(),
      NetworkInterfaces: Match.absent(),
    });
  });

  it('runs on demand unless it is told otherwise', () => {
    all({ InstanceMarketOptions: Match.absent() });
  });

  it('takes the AMI from the parameter that AWS keeps for containers on arm64', () => {
    template.hasParameter('*', {
      Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>',
      Default: '/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id',
    });
    all({ InstanceType: 't4g.small' });
  });

  it('lets machines reach each other, by three ports, and nobody else in', () => {
    template.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
    const rules = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress'));
    expect(
      rules.map(({ Properties: { IpProtocol, FromPort, ToPort } }) => [IpProtocol, FromPort, ToPort]),
    ).toEqual([
      ['tcp', 6881, 6881],
      ['udp', 6881, 6881],
      ['udp', 6882, 6882],
    ]);
    for (const { Properties: rule } of rules) {
      expect(rule.SourceSecurityGroupId).toEqual(rule.GroupId);
      expect(rule).not.toHaveProperty('CidrIp');
    }
  });
});

describe('other fleets', () => {
  it('have spot instances in the roles that are named', () => {
    const template = fleetTemplate({ spotRoles: ['peer'] });
    const spot = data({
      InstanceMarketOptions: {
        MarketType: 'spot',
        SpotOptions: { SpotInstanceType: 'one-time', InstanceInterruptionBehavior: 'terminate' },
      },
    });
    template.resourcePropertiesCountIs('AWS::EC2::LaunchTemplate', spot, 1);
  });

  it('are of x86_64, with an AMI and a type of it', () => {
    const template = fleetTemplate({ architecture: 'x86_64' });
    template.hasParameter('*', {
      Default: '/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id',
    });
    template.allResourcesProperties('AWS::EC2::LaunchTemplate', data({ InstanceType: 't3.small' }));
  });

  it('take an AMI of another parameter', () => {
    fleetTemplate({ amiParameter: '/mine/ami' }).hasParameter('*', { Default: '/mine/ami' });
  });

  it.each([
    [{ instanceType: 'm7i.large' }, 'm7i.large is x86_64, and the image is built for arm64'],
    [{ instanceType: 'c7g.large', architecture: 'x86_64' as const }, 'c7g.large is arm64'],
    [{ instanceType: 'large' }, 'large is no instance type: give one as t4g.small'],
  ])('are refused at once for %j', (props, sentence) => {
    expect(() => fleetTemplate(props)).toThrow(sentence);
  });
});
