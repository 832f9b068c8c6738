/**
 * The control API of a deployment: its container on one small instance in a group of one, its private name, and what it
 * keeps and is told: table, bucket, secrets, queue. It holds no right to EC2; what it wants of machines it asks the deploy
 * and teardown functions for.
 */
import { CustomResource, Duration, Stack, Validations } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as ecr from 'aws-cdk-lib/aws-ecr';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { Construct } from 'constructs';
import { type Architecture, containerHost, rootVolume } from './container-host.ts';
import { renderControlApiUserData } from './control-api-boot.ts';
import { ControlDoor, type DomainProps } from './control-door.ts';
import { ControlState } from './control-state.ts';
import { instanceRole } from './instance-role.ts';
import { grantInvoke } from './invocation.ts';
import { MachineEvents } from './machine-events.ts';
import type { INetwork } from './network.ts';

export interface ControlPlaneProps {
  readonly network: INetwork;
  /** The image to run, as `registry/repository@sha256:…`, and the repository that holds it. */
  readonly image: string;
  readonly repository: ecr.IRepository;
  /** Functions that it asks for machines and for their end. */
  readonly deploy: lambda.IFunction;
  readonly teardown: lambda.IFunction;
  /** Function that serves as custom resource: it removes the name that the control API sets, or its zone would stay. */
  readonly lifecycle: lambda.IFunction;
  /** Of the machines, which reach it at its port. */
  readonly nodeSecurityGroup: ec2.ISecurityGroup;
  /**
   * Value of the tag `skep:cluster`.
   * @default - name of the stack
   */
  readonly deploymentName?: string;
  /** @default arm64 */
  readonly architecture?: Architecture;
  /**
   * Of the same architecture.
   * @default t4g.small, or t3.small for x86_64
   */
  readonly instanceType?: string;
  /**
   * Name of the SSM parameter that holds the AMI: one with systemd, cloud-init and a running Docker.
   * @default - the ECS-optimised Amazon Linux 2023 of the architecture
   */
  readonly amiParameter?: string;
  /**
   * A load balancer with this name in front of it.
   * @default - none: people come in by a tunnel of Session Manager
   */
  readonly domain?: DomainProps;
}

/** For machines, with TLS. */
const port = 7700;
/** On the instance's loopback, for tunnels. */
const localPort = 7701;
const volumeGiB = 30;

export class ControlPlane extends Construct {
  readonly state: ControlState;
  readonly events: MachineEvents;
  readonly group: autoscaling.AutoScalingGroup;
  /** Of the instance. */
  readonly role: iam.Role;
  readonly securityGroup: ec2.SecurityGroup;
  readonly hostedZone: route53.PrivateHostedZone;
  /** The private name under which machines reach it. */
  readonly name: string;
  /** Where people reach it from outside; missing without a load balancer. */
  readonly url: string | undefined;
  /** What it is told, and what does its work in its place needs to be told too. */
  readonly environment: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, props: ControlPlaneProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const { network, deploy, teardown, deploymentName = stack.stackName } = props;
    const zoneName = `${deploymentName.toLowerCase()}.internal`;
    this.name = `control.${zoneName}`;
    this.state = new ControlState(this, 'State');
    this.events = new MachineEvents(this, 'Events');
    this.hostedZone = new route53.PrivateHostedZone(this, 'Zone', { zoneName, vpc: network.vpc });

    this.securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: network.vpc,
      description: 'The control API of a Skep cluster: its machines reach it',
    });
    this.securityGroup.addIngressRule(props.nodeSecurityGroup, ec2.Port.tcp(port), 'machines, with TLS');

    this.environment = {
      SKEP_RUNNER: 'aws',
      SKEP_STORE: 'dynamodb',
      SKEP_CLUSTER: deploymentName,
      SKEP_TABLE: this.state.table.tableName,
      SKEP_IDENTITY_SECRET: this.state.identity.secretArn,
      SKEP_ADMIN_SECRET: this.state.adminToken.secretArn,
      SKEP_DEPLOY_FUNCTION: deploy.functionName,
      SKEP_TEARDOWN_FUNCTION: teardown.functionName,
      SKEP_EVENTS_QUEUE: this.events.queue.queueUrl,
      SKEP_SUBNETS: stack.toJsonString(network.nodeSubnets),
      SKEP_PUBLIC_URL: `https://${this.name}:${port}`,
    };

    this.role = instanceRole(
      this,
      'Role',
      'What the control API may do: keep its state, and ask functions for machines',
    );
    props.repository.grantPull(this.role);
    this.state.grantUse(this.role);
    this.events.grantConsume(this.role);
    grantInvoke(this.role, [deploy, teardown]);
    this.role.addToPolicy(this.#changesOfOwnName('UPSERT'));

    const launchTemplate = new ec2.LaunchTemplate(this, 'Template', {
      ...containerHost(props),
      role: this.role,
      securityGroup: this.securityGroup,
      associatePublicIpAddress: true,
      blockDevices: [rootVolume(volumeGiB)],
      requireImdsv2: true,
      httpTokens: ec2.LaunchTemplateHttpTokens.REQUIRED,
      // Its container is on the instance's own network, so no hop away.
      httpPutResponseHopLimit: 1,
      instanceInitiatedShutdownBehavior: ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
      userData: ec2.UserData.custom(
        renderControlApiUserData({
          image: props.image,
          environment: {
            ...this.environment,
            SKEP_LISTEN: `0.0.0.0:${port}`,
            SKEP_LOCAL_LISTEN: `127.0.0.1:${localPort}`,
            // By a load balancer come people, who need the page.
            ...(props.domain === undefined ? {} : { SKEP_PAGES_OVER_TLS: '1' }),
            SKEP_HOSTED_ZONE: this.hostedZone.hostedZoneId,
            SKEP_NAME: this.name,
            AWS_REGION: stack.region,
          },
        }),
      ),
    });
    this.group = new autoscaling.AutoScalingGroup(this, 'Group', {
      vpc: network.vpc,
      vpcSubnets: network.controlSubnets,
      launchTemplate,
      minCapacity: 1,
      maxCapacity: 1,
      // The new one would wait for the old one's name and state anyway.
      updatePolicy: autoscaling.UpdatePolicy.rollingUpdate({ maxBatchSize: 1, minInstancesInService: 0 }),
      ...(props.domain === undefined
        ? {}
        : {
            healthChecks: autoscaling.HealthChecks.withAdditionalChecks({
              additionalTypes: [autoscaling.AdditionalHealthCheckType.ELB],
              gracePeriod: Duration.minutes(5),
            }),
          }),
    });
    // Gone only when nobody is left that could set it again.
    this.group.node.addDependency(this.#privateName(props.lifecycle));
    Validations.of(this.group).acknowledge({
      id: 'AwsSolutions-AS3',
      reason: 'Nobody is to be told of a group of one: the control API’s heartbeat is watched instead.',
    });
    this.url = props.domain === undefined ? undefined : `https://${props.domain.name}`;
    if (props.domain !== undefined) {
      new ControlDoor(this, 'Door', { ...props.domain, network, group: this.group, port });
    }
  }

  /** The record itself is the control API's to set; this is its end. */
  #privateName(lifecycle: lambda.IFunction): CustomResource {
    const record = new CustomResource(this, 'Name', {
      resourceType: 'Custom::SkepName',
      serviceToken: lifecycle.functionArn,
      properties: { Kind: 'name', HostedZone: this.hostedZone.hostedZoneId, Name: this.name },
    });
    const removal = new iam.Policy(this, 'NameRemoval', {
      roles: [lifecycle.role!],
      statements: [
        new iam.PolicyStatement({
          actions: ['route53:ListResourceRecordSets'],
          resources: [this.hostedZone.hostedZoneArn],
        }),
        this.#changesOfOwnName('DELETE'),
      ],
    });
    record.node.addDependency(removal);
    return record;
  }

  /** The right to this name in this zone, and no other. */
  #changesOfOwnName(...actions: ('UPSERT' | 'DELETE')[]): iam.PolicyStatement {
    return new iam.PolicyStatement({
      sid: 'ChangeThisName',
      actions: ['route53:ChangeResourceRecordSets'],
      resources: [this.hostedZone.hostedZoneArn],
      conditions: {
        'ForAllValues:StringEquals': {
          'route53:ChangeResourceRecordSetsNormalizedRecordNames': [this.name],
          'route53:ChangeResourceRecordSetsRecordTypes': ['A'],
          'route53:ChangeResourceRecordSetsActions': actions,
        },
      },
    });
  }
}
