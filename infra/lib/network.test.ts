/** Where machines stand: ranges that are theirs alone, no gateway that costs, nothing that is let in; and early errors. */
import { CfnResource, Fn, Stack } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { newApp, templateOf } from '../testing/synthesis.ts';
import { Network, type NetworkProps } from './network.ts';

const inRegion = { env: { region: 'eu-central-1' } };

function networkOf(props: NetworkProps): { network: Network; stack: Stack } {
  let network: Network | undefined;
  let stack: Stack | undefined;
  templateOf((made) => {
    stack = made;
    network = new Network(made, 'Network', props);
  });
  return { network: network!, stack: stack! };
}

describe('a network of its own', () => {
  const template = templateOf((stack) => new Network(stack, 'Network'));

  it('has no NAT gateway, and reaches DynamoDB and S3 past the internet', () => {
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
    template.resourceCountIs('AWS::EC2::VPCEndpoint', 2);
    template.allResourcesProperties('AWS::EC2::VPCEndpoint', { VpcEndpointType: 'Gateway' });
  });

  it('gives machines public addresses, without which they would reach no registry', () => {
    template.resourcePropertiesCountIs('AWS::EC2::Subnet', { MapPublicIpOnLaunch: true }, 6);
  });

  it('has subnets for machines alone, in the zones that are given', () => {
    const { network } = networkOf({ cidr: '10.9.0.0/16', zones: ['eu-central-1a', 'eu-central-1c'] });
    expect(network.nodeSubnets.map(({ zone, cidr }) => [zone, cidr])).toEqual([
      ['eu-central-1a', '10.9.0.0/20'],
      ['eu-central-1c', '10.9.16.0/20'],
    ]);
    const control = network.vpc.selectSubnets(network.controlSubnets).subnets;
    expect(control.map(({ ipv4CidrBlock }) => ipv4CidrBlock)).toEqual(['10.9.32.0/26', '10.9.32.64/26']);
  });

  it('stands in the first three zones of whichever region, if none are given', () => {
    const { network, stack } = networkOf({});
    expect(network.nodeSubnets.map(({ zone }) => stack.resolve(zone))).toEqual(
      [0, 1, 2].map((index) => stack.resolve(Fn.select(index, Fn.getAzs()))),
    );
  });

  it.each([
    ['a zone of another region', { zones: ['eu-west-1a'] }, 'there is no zone eu-west-1a in eu-central-1'],
    ['a name that is no zone', { zones: ['Frankfurt'] }, 'there is no zone Frankfurt'],
    ['a zone twice', { zones: ['eu-central-1a', 'eu-central-1a'] }, '1 to 3 different zones'],
    ['too many', { zones: ['a', 'b', 'c', 'd'].map((end) => `eu-central-1${end}`) }, '1 to 3 different'],
    ['none', { zones: [] }, '1 to 3 different zones, not none'],
    ['too small a range', { cidr: '10.0.0.0/24' }, 'from /16 to /18'],
    ['no range', { cidr: 'wide' }, 'from /16 to /18'],
  ])('refuses %s at once', (_, props, sentence) => {
    expect(() => templateOf((stack) => new Network(stack, 'Network', props), inRegion)).toThrow(sentence);
  });

  it('knows zones of two regions for a mistake, also where the region is not known yet', () => {
    expect(() => networkOf({ zones: ['eu-central-1a', 'eu-west-1a'] })).toThrow('eu-west-1a in eu-central-1');
  });
});

describe('a given network', () => {
  const nodes = [{ subnetId: 'subnet-1', zone: 'eu-central-1a', cidr: '10.0.0.0/24' }];
  const control = [{ subnetId: 'subnet-2', zone: 'eu-central-1b' }];

  it('is used as it is, and nothing is made', () => {
    const stack = new Stack(newApp(), 'Test');
    const network = Network.fromAttributes(stack, 'Given', {
      vpcId: 'vpc-1',
      nodeSubnets: nodes,
      controlSubnets: control,
    });
    expect(network.nodeSubnets).toEqual(nodes);
    expect(network.vpc.selectSubnets(network.controlSubnets).subnetIds).toEqual(['subnet-2']);
    expect(stack.node.findAll().filter((each) => CfnResource.isCfnResource(each))).toEqual([]);
  });

  it.each([
    ['no subnet for machines', { nodeSubnets: [], controlSubnets: control }, 'at least one subnet'],
    ['one for both', { nodeSubnets: nodes, controlSubnets: nodes }, 'subnet-1 is for machines alone'],
  ])('refuses %s at once', (_, subnets, sentence) => {
    expect(() =>
      templateOf((stack) => Network.fromAttributes(stack, 'Given', { vpcId: 'vpc-1', ...subnets })),
    ).toThrow(sentence);
  });
});
