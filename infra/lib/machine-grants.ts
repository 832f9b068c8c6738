/**
 * Who may do what to EC2. Everything that can be told apart by a tag is: launching only what bears the deployment's tag
 * from its first moment, ending only what bears it. Launching and ending are never granted as one.
 */
import { Aws } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { acknowledgeWildcard } from './acknowledgements.ts';
import { deploymentTag, machineTag } from './tags.ts';

export interface LaunchScope {
  readonly launchTemplateIds: readonly string[];
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;
  /** Given to the instances. */
  readonly instanceRole: iam.IRole;
  readonly usesSpot: boolean;
}

/** Launching from these templates into these subnets, tagged as the deployment's, and looking at what there is. */
export function grantLaunch(grantee: iam.IGrantable, deploymentName: string, scope: LaunchScope): void {
  const launchTemplates = scope.launchTemplateIds.map((id) => ec2Arn('launch-template', id));
  const bornTagged = { [`aws:RequestTag/${deploymentTag}`]: deploymentName };
  grant(grantee, 'LaunchTaggedInstances', ['ec2:RunInstances'], anyOf(grantee, 'instance'), {
    StringEquals: bornTagged,
    ArnEquals: { 'ec2:LaunchTemplate': launchTemplates },
  });
  grant(
    grantee,
    'WithTaggedVolumesAndInterfaces',
    ['ec2:RunInstances'],
    anyOf(grantee, 'volume', 'network-interface'),
    { StringEquals: bornTagged },
  );
  const images = `arn:${Aws.PARTITION}:ec2:${Aws.REGION}::image/*`;
  acknowledgeWildcard(
    grantee,
    images,
    'The launch templates name the AMI; its id changes with each of its releases.',
  );
  grant(
    grantee,
    'FromTheseTemplatesInTheseSubnets',
    ['ec2:RunInstances'],
    [
      ...launchTemplates,
      ...scope.subnetIds.map((id) => ec2Arn('subnet', id)),
      ec2Arn('security-group', scope.securityGroupId),
      images,
    ],
  );
  grant(
    grantee,
    'TagWhatIsBeingLaunched',
    ['ec2:CreateTags'],
    anyOf(grantee, 'instance', 'volume', 'network-interface'),
    { StringEquals: { 'ec2:CreateAction': 'RunInstances' } },
  );
  grant(grantee, 'GiveInstancesTheirRole', ['iam:PassRole'], [scope.instanceRole.roleArn], {
    StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' },
  });
  if (scope.usesSpot) {
    // Made by the first spot request of an account, and there from then on.
    const role = 'aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot';
    grant(
      grantee,
      'MakeTheRoleOfSpot',
      ['iam:CreateServiceLinkedRole'],
      [`arn:${Aws.PARTITION}:iam::${Aws.ACCOUNT_ID}:role/${role}`],
      { StringEquals: { 'iam:AWSServiceName': 'spot.amazonaws.com' } },
    );
  }
  grant(grantee, 'ReadConsolesOfTaggedInstances', ['ec2:GetConsoleOutput'], anyOf(grantee, 'instance'), {
    StringEquals: { [`aws:ResourceTag/${deploymentTag}`]: deploymentName },
  });
  grantLook(grantee);
}

/** Ending the instances and network interfaces that bear the deployment's tag, and looking at what there is. */
export function grantTerminate(grantee: iam.IGrantable, deploymentName: string): void {
  const machinesOfDeployment = {
    StringEquals: { [`aws:ResourceTag/${deploymentTag}`]: deploymentName },
    // The control plane's instance bears the deployment's tag too, and is no machine.
    Null: { [`aws:ResourceTag/${machineTag}`]: 'false' },
  };
  for (const [sid, action, kind] of [
    ['EndTaggedMachines', 'ec2:TerminateInstances', 'instance'],
    ['DeleteTaggedInterfaces', 'ec2:DeleteNetworkInterface', 'network-interface'],
  ] as const) {
    grant(grantee, sid, [action], anyOf(grantee, kind), machinesOfDeployment);
  }
  grantLook(grantee);
}

function grantLook(grantee: iam.IGrantable): void {
  grant(grantee, 'LookAtWhatThereIs', ['ec2:DescribeInstances', 'ec2:DescribeNetworkInterfaces'], ['*']);
  acknowledgeWildcard(grantee, '*', 'EC2 lists of no resource that could be named.');
}

function grant(
  grantee: iam.IGrantable,
  sid: string,
  actions: string[],
  resources: string[],
  conditions?: Record<string, Record<string, unknown>>,
): void {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new iam.PolicyStatement({ sid, actions, resources, ...(conditions ? { conditions } : {}) }),
  );
}

/** What a condition on tags tells apart, for it has no id before it is launched. */
function anyOf(grantee: iam.IGrantable, ...kinds: ('instance' | 'volume' | 'network-interface')[]): string[] {
  const arns = kinds.map((kind) => ec2Arn(kind, '*'));
  for (const arn of arns) {
    acknowledgeWildcard(
      grantee,
      arn,
      'Ids come with the launch: the condition on tags says which are meant.',
    );
  }
  return arns;
}

function ec2Arn(kind: string, id: string): string {
  return `arn:${Aws.PARTITION}:ec2:${Aws.REGION}:${Aws.ACCOUNT_ID}:${kind}/${id}`;
}
