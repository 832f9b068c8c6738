/** The stack that `cdk deploy` deploys: one cluster, and as outputs what `skep` needs to find it. */
import { Annotations, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Cluster, type ClusterProps } from './cluster.ts';
import { Network, type NetworkAttributes } from './network.ts';

export interface SkepStackProps extends StackProps, Omit<ClusterProps, 'network'> {
  /**
   * A network that is there already.
   * @default - an own one
   */
  readonly networkAttributes?: NetworkAttributes;
}

export class SkepStack extends Stack {
  readonly cluster: Cluster;

  constructor(scope: Construct, id: string, props: SkepStackProps = {}) {
    super(scope, id, props);
    const { networkAttributes } = props;
    this.cluster = new Cluster(this, 'Cluster', {
      ...props,
      ...(networkAttributes === undefined
        ? {}
        : { network: Network.fromAttributes(this, 'Network', networkAttributes) }),
    });
    const { controlPlane, imageBuilder, functions, image } = this.cluster;
    const bootstrap = props.cluster === false ? undefined : props.cluster?.bootstrap;
    if (bootstrap !== undefined && bootstrap % 2 === 0) {
      Annotations.of(this).addWarningV2(
        'skep:evenBootstrap',
        `${bootstrap} bootstrap nodes bear no more deaths than ${bootstrap - 1}: an odd number keeps a majority with the fewest machines`,
      );
    }
    if (props.expiresAt === undefined) {
      Annotations.of(this).addWarningV2(
        'skep:noExpiry',
        'nothing ends this deployment by itself: give it a time to live with -c expiresAt=2027-01-31T18:00:00Z',
      );
    }
    const outputs: Record<string, string> = {
      ControlGroup: controlPlane.group.autoScalingGroupName,
      ControlName: controlPlane.name,
      AdminTokenSecret: controlPlane.state.adminToken.secretArn,
      Table: controlPlane.state.table.tableName,
      BundlesBucket: controlPlane.state.bundles.bucketName,
      Repository: imageBuilder.repository.repositoryUri,
      Image: image,
      SourceHash: imageBuilder.sourceHash,
      BuildLogs: imageBuilder.logGroup.logGroupName,
      ...(controlPlane.url === undefined ? {} : { Url: controlPlane.url }),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
    for (const each of functions.all) {
      new CfnOutput(this, `${each.node.id}Function`, { value: each.functionName });
    }
  }
}
