/** The control API's ground: one instance, its state, its name, and who may come in. */

import { Match, type Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { describe, expect, it } from 'vitest';
import { templateOf } from '../testing/synthesis.ts';
import { ControlPlane, type ControlPlaneProps } from './control-plane.ts';
import { Network } from './network.ts';

function controlTemplate(props: Partial<ControlPlaneProps> = {}): Template {
  return templateOf((stack) => {
    const network = new Network(stack, 'Network');
    const named = (name: string) =>
      lambda.Function.fromFunctionAttributes(stack, name, {
        functionArn: `arn:aws:lambda:eu-central-1:123456789012:function:${name}`,
        role: new iam.Role(stack, `${name}Role`, {
          assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
        }),
        sameEnvironment: true,
      });
    new ControlPlane(stack, 'ControlPlane', {
      network,
      image: `123456789012.dkr.ecr.eu-central-1.amazonaws.com/skep@sha256:${'a'.repeat(64)}`,
      repository: new ecr.Repository(stack, 'Repository'),
      deploy: named('deploy'),
      teardown: named('teardown'),
      lifecycle: named('lifecycle'),
      nodeSecurityGroup: new ec2.SecurityGroup(stack, 'Machines', { vpc: network.vpc }),
      deploymentName: 'Bees',
      ...props,
    });
  });
}

describe('a control plane', () => {
  const template = controlTemplate();

  it('is a group of one, replaced rather than doubled', () => {
    template.hasResource('AWS::AutoScaling::AutoScalingGroup', {
      Properties: { MinSize: '1', MaxSize: '1' },
      UpdatePolicy: { AutoScalingRollingUpdate: { MaxBatchSize: 1, MinInstancesInService: 0 } },
    });
  });

  it('has an instance as locked down as any', () => {
    template.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: {
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [{ Ebs: { Encrypted: true, VolumeType: 'gp3' } }],
        InstanceInitiatedShutdownBehavior: 'terminate',
        KeyName: Match.absent(),
      },
    });
  });

  it('keeps its rows in a table that forgets by time, can be put back, and is paid by use', () => {
    template.hasResource('AWS::DynamoDB::Table', {
      Properties: {
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        BillingMode: 'PAY_PER_REQUEST',
      },
      DeletionPolicy: 'Delete',
    });
  });

  it('keeps bundles to itself', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
      BucketEncryption: Match.anyValue(),
    });
  });

  it('has two secrets that nobody knows', () => {
    for (const key of ['token', 'seed']) {
      template.hasResourceProperties('AWS::SecretsManager::Secret', {
        GenerateSecretString: {
          GenerateStringKey: key,
          PasswordLength: 64,
          ExcludePunctuation: true,
          SecretStringTemplate: '{}',
        },
      });
    }
    template.resourceCountIs('AWS::SecretsManager::Secret', 2);
  });

  it('is told of instances that end', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.ec2'],
        'detail-type': ['EC2 Instance State-change Notification'],
        detail: { state: ['stopping', 'stopped', 'shutting-down', 'terminated'] },
      },
    });
  });

  it('has a private name, which is its own to set', () => {
    template.hasResourceProperties('AWS::Route53::HostedZone', {
      Name: 'bees.internal.',
      VPCs: Match.anyValue(),
    });
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: 'route53:ChangeResourceRecordSets',
            Condition: {
              'ForAllValues:StringEquals': {
                'route53:ChangeResourceRecordSetsNormalizedRecordNames': ['control.bees.internal'],
                'route53:ChangeResourceRecordSetsRecordTypes': ['A'],
                'route53:ChangeResourceRecordSetsActions': ['UPSERT'],
              },
            },
          }),
        ]),
      },
    });
  });

  it('has that name removed when nobody is left who could set it', () => {
    const [[id] = ['']] = Object.entries(template.findResources('Custom::SkepName'));
    template.hasResourceProperties('Custom::SkepName', { Kind: 'name', Name: 'control.bees.internal' });
    template.hasResource('AWS::AutoScaling::AutoScalingGroup', { DependsOn: Match.arrayWith([id]) });
  });

  it('lets its machines in, and nobody else', () => {
    const rules = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress'));
    expect(rules.map(({ Properties: { FromPort, ToPort, CidrIp } }) => [FromPort, ToPort, CidrIp])).toEqual([
      [7700, 7700, undefined],
    ]);
    template.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 0);
  });
});

describe('a control plane with a domain', () => {
  const domain = {
    name: 'bees.example.org',
    certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1',
    hostedZoneId: 'Z123',
  };

  it('is behind a load balancer with that certificate and name', () => {
    const template = controlTemplate({ domain });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 443,
      Protocol: 'HTTPS',
      Certificates: [{ CertificateArn: domain.certificateArn }],
    });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      Port: 7700,
      Protocol: 'HTTPS',
      HealthCheckPath: '/healthz',
    });
    template.hasResourceProperties('AWS::Route53::RecordSet', {
      Name: 'bees.example.org.',
      HostedZoneId: 'Z123',
    });
  });

  it('serves its page to those who come by it, and to nobody from outside without it', () => {
    const servesPage = (props: Parameters<typeof controlTemplate>[0]) =>
      JSON.stringify(controlTemplate(props).toJSON()).includes('SKEP_PAGES_OVER_TLS=1');
    expect(servesPage({ domain })).toBe(true);
    expect(servesPage({})).toBe(false);
  });

  it('lets in whom the user names', () => {
    controlTemplate({ domain: { ...domain, allowedCidrs: ['192.0.2.0/24'] } }).hasResourceProperties(
      'AWS::EC2::SecurityGroup',
      { SecurityGroupIngress: [{ CidrIp: '192.0.2.0/24', FromPort: 443, ToPort: 443 }] },
    );
  });
});
