/**
 * How the control API learns that a machine has ended, from EC2 and within seconds: state changes of instances, by way
 * of a queue. Events say nothing of tags, so those of the account's other instances come too, and are passed over.
 */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as iam from 'aws-cdk-lib/aws-iam';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** By then a control API that was away has listed what there is. */
const keptFor = Duration.hours(1);
const endingStates = ['stopping', 'stopped', 'shutting-down', 'terminated'];

export class MachineEvents extends Construct {
  readonly queue: sqs.Queue;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.queue = new sqs.Queue(this, 'Queue', {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: keptFor,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    Validations.of(this.queue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'An event that could not be read is worth nothing later: what it told is found by listing.',
    });
    new events.Rule(this, 'Ended', {
      description: 'Instances that end, for the control API',
      eventPattern: {
        source: ['aws.ec2'],
        detailType: ['EC2 Instance State-change Notification'],
        detail: { state: endingStates },
      },
      targets: [new targets.SqsQueue(this.queue)],
    });
  }

  /** Taking events. */
  grantConsume(grantee: iam.IGrantable): void {
    this.queue.grant(grantee, 'sqs:ReceiveMessage', 'sqs:DeleteMessage');
  }
}
