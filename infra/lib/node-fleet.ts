/**
 * What machines are made of: a launch template a role, the security group that they meet in, and the rights of their
 * instances, which are to pull the image and to let a person in by Session Manager, and nothing else. It launches
 * nothing itself: that is the deploy function's, to which `grantLaunch` gives the rights.
 */
import { Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { type Architecture, containerHost, rootVolume } from './container-host.ts';
import { instanceRole } from './instance-role.ts';
import { grantLaunch, grantTerminate } from './machine-grants.ts';
import type { INetwork } from './network.ts';

/** Roles of nodes. There are no spares: a machine on AWS cannot be given another slot. */
export type NodeRole = 'bootstrap' | 'index' | 'peer';

export interface NodeFleetProps {
  readonly network: INetwork;
  /** Holds the image that instances may pull. */
  readonly repository: ecr.IRepository;
  /**
   * Value of the tag `skep:cluster`, under which alone anything may be launched.
   * @default - name of the stack
   */
  readonly deploymentName?: string;
  /** @default arm64 */
  readonly architecture?: Architecture;
  /**
   * Instance type where a cluster's placement says none; of the same architecture.
   * @default t4g.small, or t3.small for x86_64
   */
  readonly instanceType?: string;
  /**
   * Roles whose machines are spot instances.
   * @default - none
   */
  readonly spotRoles?: readonly NodeRole[];
  /**
   * Name of the SSM parameter that holds the AMI: one with systemd, cloud-init and a running Docker.
   * @default - the ECS-optimised Amazon Linux 2023 of the architecture
   */
  readonly amiParameter?: string;
  /**
   * Of each root volume, in GiB.
   * @default 30
   */
  readonly volumeGiB?: number;
}

/** TCP of BitTorrent and UDP of the DHT. */
const nodePort = 6881;
/** UDP of the ring. */
const ringPort = 6882;
export const nodeRoles: readonly NodeRole[] = ['bootstrap', 'index', 'peer'];

export class NodeFleet extends Construct {
  /** By role. They name neither network interface nor security group: those are each machine's own. */
  readonly launchTemplates: ReadonlyMap<NodeRole, ec2.LaunchTemplate>;
  /** Of the machines' network interfaces. */
  readonly securityGroup: ec2.SecurityGroup;
  /** Of the instances. */
  readonly role: iam.Role;
  readonly network: INetwork;
  readonly #deploymentName: string;
  readonly #usesSpot: boolean;

  constructor(scope: Construct, id: string, props: NodeFleetProps) {
    super(scope, id);
    const { network, repository, spotRoles = [], volumeGiB = 30 } = props;
    const host = containerHost(props);
    this.network = network;
    this.#deploymentName = props.deploymentName ?? Stack.of(this).stackName;
    this.#usesSpot = spotRoles.length > 0;

    this.securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: network.vpc,
      description: 'Machines of a Skep cluster: they reach each other, nobody else reaches them',
    });
    for (const [port, what] of [
      [ec2.Port.tcp(nodePort), 'BitTorrent'],
      [ec2.Port.udp(nodePort), 'DHT'],
      [ec2.Port.udp(ringPort), 'ring'],
    ] as const) {
      this.securityGroup.addIngressRule(this.securityGroup, port, what);
    }

    this.role = instanceRole(this, 'Role', 'What an instance may do: pull the image, and let a person in');
    repository.grantPull(this.role);
    const instanceProfile = new iam.InstanceProfile(this, 'InstanceProfile', { role: this.role });

    const templateOf = (role: NodeRole) =>
      new ec2.LaunchTemplate(this, `${role[0]!.toUpperCase()}${role.slice(1)}Template`, {
        ...host,
        instanceProfile,
        blockDevices: [rootVolume(volumeGiB)],
        requireImdsv2: true,
        httpTokens: ec2.LaunchTemplateHttpTokens.REQUIRED,
        // For the instance itself: containers are a hop further, and user data keeps the agent's user from it.
        httpPutResponseHopLimit: 1,
        // The agent's end is the instance's.
        instanceInitiatedShutdownBehavior: ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
        ...(spotRoles.includes(role)
          ? {
              spotOptions: {
                requestType: ec2.SpotRequestType.ONE_TIME,
                interruptionBehavior: ec2.SpotInstanceInterruption.TERMINATE,
              },
            }
          : {}),
      });
    this.launchTemplates = new Map(nodeRoles.map((role) => [role, templateOf(role)]));
  }

  /** For environments of functions: role to id and version of its template, as JSON. */
  get launchTemplatesJson(): string {
    const references = [...this.launchTemplates].map(([role, template]) => [
      role,
      { id: template.launchTemplateId, version: template.latestVersionNumber },
    ]);
    return Stack.of(this).toJsonString(Object.fromEntries(references));
  }

  /** For environments of functions: the subnets that machines stand in, as JSON. */
  get subnetsJson(): string {
    return Stack.of(this).toJsonString(this.network.nodeSubnets);
  }

  /** Launching from these templates into these subnets, with the deployment's tag, and looking at what there is. */
  grantLaunch(grantee: iam.IGrantable): void {
    grantLaunch(grantee, this.#deploymentName, {
      launchTemplateIds: [...this.launchTemplates.values()].map(({ launchTemplateId }) => launchTemplateId!),
      subnetIds: this.network.nodeSubnets.map(({ subnetId }) => subnetId),
      securityGroupId: this.securityGroup.securityGroupId,
      instanceRole: this.role,
      usesSpot: this.#usesSpot,
    });
  }

  /** Ending what carries the deployment's tag, and nothing else. */
  grantTerminate(grantee: iam.IGrantable): void {
    grantTerminate(grantee, this.#deploymentName);
  }
}
