/** A load balancer with the user's own name and certificate, by which people reach the control API from outside. */
import { Duration, Validations } from 'aws-cdk-lib';
import type * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { INetwork } from './network.ts';

export interface DomainProps {
  /** For instance `swarm.example.org`. */
  readonly name: string;
  /** Of a certificate in ACM for that name, in the stack's region. */
  readonly certificateArn: string;
  /**
   * Id of the public hosted zone that the name is to be set in.
   * @default - none: whoever owns the name points it to the load balancer
   */
  readonly hostedZoneId?: string;
  /**
   * Who may come in, as IPv4 ranges.
   * @default 0.0.0.0/0
   */
  readonly allowedCidrs?: readonly string[];
}

export interface ControlDoorProps extends DomainProps {
  readonly network: INetwork;
  readonly group: autoscaling.AutoScalingGroup;
  /** At which the group's instance listens with TLS. */
  readonly port: number;
}

export class ControlDoor extends Construct {
  readonly loadBalancer: elbv2.ApplicationLoadBalancer;

  constructor(scope: Construct, id: string, props: ControlDoorProps) {
    super(scope, id);
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: props.network.vpc,
      description: 'People who come to the control API of a Skep cluster',
      allowAllOutbound: false,
    });
    for (const cidr of props.allowedCidrs ?? ['0.0.0.0/0']) {
      securityGroup.addIngressRule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(443), 'people');
    }
    this.loadBalancer = new elbv2.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: props.network.vpc,
      vpcSubnets: props.network.controlSubnets,
      internetFacing: true,
      securityGroup,
      dropInvalidHeaderFields: true,
      // Reports and streams of events are held open.
      idleTimeout: Duration.minutes(5),
    });
    const listener = this.loadBalancer.addListener('Https', {
      port: 443,
      open: false,
      certificates: [acm.Certificate.fromCertificateArn(this, 'Certificate', props.certificateArn)],
      sslPolicy: elbv2.SslPolicy.RECOMMENDED_TLS,
    });
    listener.addTargets('ControlApi', {
      port: props.port,
      protocol: elbv2.ApplicationProtocol.HTTPS,
      targets: [props.group],
      healthCheck: { path: '/healthz', interval: Duration.seconds(15) },
      deregistrationDelay: Duration.seconds(10),
    });
    if (props.hostedZoneId !== undefined) {
      new route53.ARecord(this, 'Name', {
        zone: route53.HostedZone.fromHostedZoneAttributes(this, 'PublicZone', {
          hostedZoneId: props.hostedZoneId,
          zoneName: props.name.split('.').slice(1).join('.'),
        }),
        recordName: `${props.name}.`,
        target: route53.RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      });
    }
    Validations.of(this.loadBalancer).acknowledge({
      id: 'AwsSolutions-ELB2',
      reason:
        'The control API’s journal says who did what; a log of the balancer would need a bucket that outlives it.',
    });
    Validations.of(securityGroup).acknowledge({
      id: 'AwsSolutions-EC23',
      reason:
        'Open to all only where the user asked for a load balancer and named nobody; every call needs a token.',
    });
  }
}
