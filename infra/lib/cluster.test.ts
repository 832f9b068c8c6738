/** A deployment as a whole: nothing untagged, nothing left behind, nothing open, in the order that its life needs. */

import { tagKeys } from '@skep/contract';
import type { Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { type Resource, resourcesOf, skepStack } from '../testing/synthesis.ts';
import { deploymentTag, expiryTag, machineTag, stackTag } from './tags.ts';

const stack = skepStack({ cluster: { bootstrap: 3, peers: 2, graceMs: 9_000 } });
const template = Template.fromStack(stack);
const resources = resourcesOf(template);

const domain = {
  name: 'bees.example.org',
  certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/1',
};

/** Types that CloudFormation cannot tag. */
const untaggable = [
  /^Custom::/,
  /^AWS::EC2::(Route|SubnetRouteTableAssociation|VPCGatewayAttachment|SecurityGroupIngress)$/,
  /^AWS::IAM::(Policy|InstanceProfile)$/,
  /^AWS::Lambda::Permission$/,
  /^AWS::(S3::Bucket|SQS::Queue)Policy$/,
];

/** In whichever of its forms a type has them. */
function tagsOf({ Type, Properties }: Resource): Record<string, unknown> {
  const [specification] = (Properties.TagSpecifications ?? []) as { Tags: unknown[] }[];
  const tags = (Properties.Tags ?? Properties.HostedZoneTags ?? specification?.Tags ?? []) as {
    Key: string;
    Value: unknown;
  }[];
  if (!Array.isArray(tags)) throw new Error(`${Type} has tags of another form`);
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
}

describe('tags', () => {
  it('are the contract’s', () => {
    expect([deploymentTag, expiryTag, stackTag, machineTag]).toEqual([
      tagKeys.deployment,
      tagKeys.expiresAt,
      tagKeys.stack,
      tagKeys.token,
    ]);
  });

  const taggable = Object.entries(resources).filter(
    ([id, { Type }]) =>
      !untaggable.some((pattern) => pattern.test(Type)) && !id.startsWith('CustomS3AutoDeleteObjects'),
  );

  it.each(taggable)('are on %s', (_, resource) => {
    expect(tagsOf(resource)).toMatchObject({
      'skep:cluster': 'Bees',
      'skep:expires-at': '2027-01-31T18:00:00Z',
      'skep:stack': { Ref: 'AWS::StackId' },
    });
  });

  it('are on what is launched from the templates', () => {
    template.allResourcesProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: {
        TagSpecifications: ['instance', 'volume'].map((ResourceType) => ({
          ResourceType,
          Tags: Match.arrayWith([{ Key: 'skep:cluster', Value: 'Bees' }]),
        })),
      },
    });
  });

  it('say so if it may live for ever', () => {
    const lasting = resourcesOf(Template.fromStack(skepStack({ expiresAt: undefined })));
    const table = Object.values(lasting).find(({ Type }) => Type === 'AWS::DynamoDB::Table');
    expect(tagsOf(table!)).toMatchObject({ 'skep:expires-at': 'never' });
  });
});

describe('the end', () => {
  const keeping =
    /^AWS::(DynamoDB::Table|S3::Bucket|SecretsManager::Secret|ECR::Repository|Logs::LogGroup|SQS::Queue)$/;

  it.each(Object.entries(resources).filter(([, { Type }]) => keeping.test(Type)))(
    'takes %s with it',
    (_, resource) => {
      expect(resource).toMatchObject({ DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Delete' });
    },
  );

  it('keeps nothing at all', () => {
    expect(
      Object.entries(resources).filter(([, { DeletionPolicy }]) =>
        /Retain|Snapshot/.test(DeletionPolicy ?? ''),
      ),
    ).toEqual([]);
  });

  it('empties bucket and repository, which would stay otherwise', () => {
    template.resourceCountIs('Custom::S3AutoDeleteObjects', 1);
    template.hasResourceProperties('AWS::ECR::Repository', { EmptyOnDelete: true });
  });
});

describe('the running cluster', () => {
  const [id, running] = Object.entries(resources).find(([, { Type }]) => Type === 'Custom::SkepCluster')!;

  it('is asked for by its spec, as JSON', () => {
    expect(JSON.parse(running.Properties.Spec as string)).toEqual({
      name: 'bees',
      bootstrap: 3,
      peers: 2,
      graceMs: 9_000,
      // Longer than a new control API takes to come.
      orphanMs: 600_000,
    });
    expect(running.Properties).toMatchObject({ Kind: 'cluster', Deploy: {}, Teardown: {} });
  });

  it('comes after everything, and goes before it', () => {
    const needed = new Set<string>();
    const need = (needs: string): void => {
      if (needed.has(needs)) return;
      needed.add(needs);
      for (const each of dependenciesOf(resources, needs)) need(each);
    };
    need(id);
    expect(Object.keys(resources).filter((each) => !needed.has(each))).toEqual([]);
  });

  it('is not there on a platform alone', () => {
    const platform = Template.fromStack(skepStack({ cluster: false }));
    platform.resourceCountIs('Custom::SkepCluster', 0);
    platform.resourceCountIs('Custom::SkepImage', 1);
  });
});

describe('the image', () => {
  const [id] = Object.entries(resources).find(([, { Type }]) => Type === 'Custom::SkepImage')!;

  it('is built of the source before anything needs it', () => {
    template.hasResourceProperties('Custom::SkepImage', {
      Kind: 'image',
      SourceHash: stack.cluster.imageBuilder.sourceHash,
    });
    const users = Object.entries(resources).filter(([, resource]) =>
      JSON.stringify(resource.Properties).includes(JSON.stringify({ 'Fn::GetAtt': [id, 'Image'] })),
    );
    expect(users.map(([, { Type }]) => Type).sort()).toEqual([
      'AWS::EC2::LaunchTemplate',
      'AWS::Lambda::Function',
    ]);
  });
});

describe('what is open', () => {
  const ingress = (of: Template) => [
    ...Object.values(of.findResources('AWS::EC2::SecurityGroupIngress')).map(({ Properties }) => Properties),
    ...Object.values(of.findResources('AWS::EC2::SecurityGroup')).flatMap(
      ({ Properties }) => Properties.SecurityGroupIngress ?? [],
    ),
  ];

  it('is nothing to the world, and SSH to nobody', () => {
    for (const rule of ingress(template)) {
      expect(rule).not.toHaveProperty('CidrIp');
      expect(rule).not.toHaveProperty('CidrIpv6');
      expect(rule.FromPort).toBeGreaterThan(1024);
    }
  });

  it('is HTTPS to the load balancer, where the user asks for one', () => {
    const open = ingress(Template.fromStack(skepStack({ domain }))).filter((rule) => 'CidrIp' in rule);
    expect(open).toMatchObject([{ CidrIp: '0.0.0.0/0', FromPort: 443, ToPort: 443, IpProtocol: 'tcp' }]);
  });
});

describe('cdk-nag’s AwsSolutions', () => {
  const findings = (checked: Stack) => {
    const { violations } = new AwsSolutionsChecks(checked.node.root).validateScope(checked);
    return violations.map(({ ruleName, violatingResources }) => [
      ruleName,
      violatingResources.map((resource) => resource.constructPath),
    ]);
  };

  it.each([
    ['a cluster', {}],
    ['a cluster on spot instances, with a domain', { spotRoles: ['peer' as const], domain }],
    ['a platform alone', { cluster: false as const }],
  ])('finds nothing that is not explained in %s', (_, props) => {
    expect(findings(skepStack(props))).toEqual([]);
  });

  it('would find a bucket that is open', async () => {
    const { Bucket } = await import('aws-cdk-lib/aws-s3');
    const wrong = skepStack();
    new Bucket(wrong, 'Open');
    expect(findings(wrong).map(([rule]) => rule)).toContain('AwsSolutions-S10');
  });
});

describe('what is wrong', () => {
  it.each([
    [{ cluster: { placement: { instanceTypes: ['m7i.large'] } } }, 'm7i.large is x86_64'],
    [{ cluster: { placement: { zones: ['Frankfurt'] } } }, 'there is no zone Frankfurt'],
    [{ controlInstanceType: 't3.small' }, 't3.small is x86_64'],
    [{ expiresAt: 'soon' }, 'expiresAt is no time: soon'],
  ])('is told at synthesis: %j', (props, sentence) => {
    expect(() => skepStack(props)).toThrow(sentence);
  });

  it('is warned of: an even number of voters, and no end', () => {
    const warned = Annotations.fromStack(skepStack({ cluster: { bootstrap: 4 }, expiresAt: undefined }));
    warned.hasWarning('*', Match.stringLikeRegexp('4 bootstrap nodes bear no more deaths than 3'));
    warned.hasWarning('*', Match.stringLikeRegexp('nothing ends this deployment by itself'));
    Annotations.fromStack(skepStack()).hasNoWarning('*', Match.anyValue());
  });
});

/** Logical ids that a resource names, in `DependsOn` or anywhere in its properties. */
function dependenciesOf(all: Record<string, Resource>, id: string): string[] {
  const { DependsOn = [], Properties } = all[id]!;
  const text = JSON.stringify(Properties ?? {});
  const references = [...text.matchAll(/"(?:Ref|Fn::GetAtt)":(?:\[)?"([^"]+)"/g)].map((match) => match[1]!);
  return [...new Set([DependsOn].flat().concat(references))].filter((each) => each in all);
}
