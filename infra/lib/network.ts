/**
 * Where a deployment stands: subnets for machines, whose addresses are given out by arithmetic and so are shared with
 * nobody, and subnets for the control API. Its own network has no NAT gateway: instances have public addresses, nothing
 * reaches in, and DynamoDB and S3 are reached past the internet.
 */
import { Fn, Stack, Token, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';

/** A subnet in which machines stand. */
export interface NodeSubnet {
  readonly subnetId: string;
  /** Name of its availability zone. */
  readonly zone: string;
  /** IPv4 range, for instance `10.83.16.0/20`. */
  readonly cidr: string;
}

/** What the other constructs need of a network. */
export interface INetwork {
  readonly vpc: ec2.IVpc;
  /** Machines alone stand here. */
  readonly nodeSubnets: readonly NodeSubnet[];
  /** The control API, and the load balancer if there is one. */
  readonly controlSubnets: ec2.SubnetSelection;
}

export interface NetworkProps {
  /**
   * IPv4 range, /16 to /18.
   * @default 10.83.0.0/16
   */
  readonly cidr?: string;
  /**
   * Names of availability zones, 1 to 3.
   * @default - the first three of the region
   */
  readonly zones?: readonly string[];
}

export interface NetworkAttributes {
  readonly vpcId: string;
  /** Subnets for machines alone; they must reach ECR, and have a route back to the control API. */
  readonly nodeSubnets: readonly NodeSubnet[];
  /** Subnets for the control API, which must reach AWS's endpoints; in two zones for a load balancer. */
  readonly controlSubnets: readonly { readonly subnetId: string; readonly zone: string }[];
}

const defaultCidr = '10.83.0.0/16';
const defaultZones = 3;
const mostZones = 3;
/** 4,091 addresses in each zone. */
const nodeSubnetBits = 20;
const controlSubnetBits = 26;

export class Network extends Construct implements INetwork {
  /** A network that is there already. It is not changed. */
  static fromAttributes(scope: Construct, id: string, attributes: NetworkAttributes): INetwork {
    const { vpcId, nodeSubnets, controlSubnets } = attributes;
    if (nodeSubnets.length === 0 || controlSubnets.length === 0) {
      throw new Error('give at least one subnet for machines and one for the control API');
    }
    const shared = controlSubnets.find(({ subnetId }) =>
      nodeSubnets.some((node) => node.subnetId === subnetId),
    );
    if (shared !== undefined) {
      throw new Error(
        `${shared.subnetId} is for machines alone, since their addresses are given out by arithmetic`,
      );
    }
    const given = new Construct(scope, id);
    const vpc = ec2.Vpc.fromVpcAttributes(given, 'Vpc', {
      vpcId,
      availabilityZones: [...new Set([...nodeSubnets, ...controlSubnets].map(({ zone }) => zone))],
    });
    const subnets = controlSubnets.map(({ subnetId, zone }) =>
      ec2.Subnet.fromSubnetAttributes(given, subnetId, { subnetId, availabilityZone: zone }),
    );
    return { vpc, nodeSubnets, controlSubnets: { subnets } };
  }

  readonly vpc: ec2.IVpc;
  readonly nodeSubnets: readonly NodeSubnet[];
  readonly controlSubnets: ec2.SubnetSelection;

  constructor(scope: Construct, id: string, { cidr = defaultCidr, zones }: NetworkProps = {}) {
    super(scope, id);
    checkCidr(cidr);
    if (zones !== undefined) checkZones(zones, Stack.of(this).region);
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(cidr),
      availabilityZones: zones === undefined ? firstZones(defaultZones) : [...zones],
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        {
          name: 'Nodes',
          subnetType: ec2.SubnetType.PUBLIC,
          cidrMask: nodeSubnetBits,
          mapPublicIpOnLaunch: true,
        },
        {
          name: 'Control',
          subnetType: ec2.SubnetType.PUBLIC,
          cidrMask: controlSubnetBits,
          mapPublicIpOnLaunch: true,
        },
      ],
      gatewayEndpoints: {
        DynamoDb: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
      },
    });
    Validations.of(vpc).acknowledge({
      id: 'AwsSolutions-VPC7',
      reason:
        'A swarm makes flows by the thousand, and logs of them would cost more than its instances. Who wants them adds a flow log to `vpc`.',
    });
    this.vpc = vpc;
    this.controlSubnets = { subnetGroupName: 'Control' };
    this.nodeSubnets = vpc
      .selectSubnets({ subnetGroupName: 'Nodes' })
      .subnets.map(({ subnetId, availabilityZone, ipv4CidrBlock }) => ({
        subnetId,
        zone: availabilityZone,
        cidr: ipv4CidrBlock,
      }));
  }
}

/** Those of whichever region it is deployed to. */
function firstZones(count: number): string[] {
  return Array.from({ length: count }, (_, index) => Fn.select(index, Fn.getAzs()));
}

function checkCidr(cidr: string): void {
  const bits = Number(/^\d{1,3}(?:\.\d{1,3}){3}\/(1[6-8])$/.exec(cidr)?.[1]);
  if (Number.isNaN(bits)) {
    throw new Error(
      `${cidr} has no room for three zones: give an IPv4 range from /16 to /18, as ${defaultCidr}`,
    );
  }
}

function checkZones(zones: readonly string[], region: string): void {
  if (zones.length < 1 || zones.length > mostZones || new Set(zones).size !== zones.length) {
    throw new Error(`give 1 to ${mostZones} different zones, not ${zones.join(', ') || 'none'}`);
  }
  const home = Token.isUnresolved(region) ? regionOf(zones[0]!) : region;
  for (const zone of zones) {
    if (regionOf(zone) !== home || home === undefined) {
      const place = home === undefined ? '' : ` in ${home}`;
      throw new Error(`there is no zone ${zone}${place}: give names as ${home ?? 'eu-central-1'}a`);
    }
  }
}

/** `eu-central-1a`, or a local zone as `us-west-2-lax-1a`, whose region comes first. */
function regionOf(zone: string): string | undefined {
  return /^([a-z]{2}(?:-[a-z]+)+-\d+)(?:-[a-z]+-\d+)?[a-z]$/.exec(zone)?.[1];
}
