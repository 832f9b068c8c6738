/**
 * What each function of a cluster is told and may do, beyond its own log: one look at who holds which right. `deploy`
 * alone launches; `teardown` and `reap` end; the watchdog, like the control API in whose place it stands, asks them.
 */
import { Aws } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledgements.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Functions } from './functions.ts';
import { grantInvoke, invocationOf } from './invocation.ts';
import type { NodeFleet } from './node-fleet.ts';
import { deploymentTag } from './tags.ts';

export interface Wired {
  readonly functions: Functions;
  readonly fleet: NodeFleet;
  readonly controlPlane: ControlPlane;
  readonly deploymentName: string;
  /** By its digest. */
  readonly image: string;
  /** ISO 8601; missing: for ever. */
  readonly expiresAt: string | undefined;
}

export function connectFunctions({ functions, fleet, controlPlane, ...deployment }: Wired): void {
  const { state } = controlPlane;
  const rows = { SKEP_TABLE: state.table.tableName };
  const named = { SKEP_CLUSTER: deployment.deploymentName };
  const mortal = {
    SKEP_STACK: Aws.STACK_ID,
    ...(deployment.expiresAt === undefined ? {} : { SKEP_EXPIRES_AT: deployment.expiresAt }),
  };

  const deploy = functions.get('deploy');
  tell(deploy, {
    ...named,
    ...rows,
    ...mortal,
    SKEP_LAUNCH_TEMPLATES: fleet.launchTemplatesJson,
    SKEP_SUBNETS: fleet.subnetsJson,
    SKEP_SECURITY_GROUP: fleet.securityGroup.securityGroupId,
    SKEP_IMAGE: deployment.image,
  });
  fleet.grantLaunch(deploy);
  state.grantRows(deploy, ['order/', 'launch/', 'closed/']);
  // To wait until all nodes of a cluster that is stood up serve.
  state.grantReadingClusters(deploy);

  const teardown = functions.get('teardown');
  tell(teardown, { ...named, ...rows });
  fleet.grantTerminate(teardown);
  state.grantRows(teardown, ['launch/', 'closed/']);

  const runTests = functions.get('run-tests');
  tell(runTests, rows);
  state.grantRows(runTests, ['order/']);

  const watchdog = functions.get('watchdog');
  tell(watchdog, { ...controlPlane.environment, ...mortal });
  state.grantRows(watchdog);
  state.identity.grantRead(watchdog);
  state.adminToken.grantRead(watchdog);
  controlPlane.events.grantConsume(watchdog);
  grantInvoke(watchdog, [deploy, teardown]);

  const reap = functions.get('reap');
  tell(reap, { ...named, ...mortal });
  fleet.grantTerminate(reap);
  grantEmptyingGroups(reap, deployment.deploymentName);
}

/**
 * The right to call these, apart from the caller's own policy: the functions may depend on what the caller makes. Who
 * needs the call to succeed depends on what is returned.
 */
export function mayInvoke(
  scope: Construct,
  id: string,
  caller: lambda.IFunction,
  called: readonly lambda.IFunction[],
): iam.Policy {
  return new iam.Policy(scope, id, { roles: [caller.role!], statements: [invocationOf(called)] });
}

/** Setting the deployment's groups to no instances, and knowing whether its stack is there. */
function grantEmptyingGroups(grantee: lambda.IFunction, deploymentName: string): void {
  const groups = `arn:${Aws.PARTITION}:autoscaling:${Aws.REGION}:${Aws.ACCOUNT_ID}:autoScalingGroup:*:autoScalingGroupName/*`;
  acknowledgeWildcard(grantee, groups, 'The condition on the tag says which group is meant.');
  grantee.addToRolePolicy(
    new iam.PolicyStatement({
      sid: 'EmptyTaggedGroups',
      actions: ['autoscaling:UpdateAutoScalingGroup'],
      resources: [groups],
      conditions: { StringEquals: { [`aws:ResourceTag/${deploymentTag}`]: deploymentName } },
    }),
  );
  grantee.addToRolePolicy(
    new iam.PolicyStatement({
      sid: 'LookForGroups',
      actions: ['autoscaling:DescribeAutoScalingGroups'],
      resources: ['*'],
    }),
  );
  grantee.addToRolePolicy(
    new iam.PolicyStatement({
      sid: 'AskWhetherTheStackIsThere',
      actions: ['cloudformation:DescribeStacks'],
      resources: [Aws.STACK_ID],
    }),
  );
}

function tell(told: lambda.Function, environment: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(environment)) told.addEnvironment(name, value);
}
