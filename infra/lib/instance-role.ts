/** The role of an instance: a shell for people by Session Manager, to which each construct adds what its own needs. */
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { acknowledgeWildcard } from './acknowledgements.ts';

/** Not the managed AmazonSSMManagedInstanceCore: that may read every parameter of the account. */
export function instanceRole(scope: Construct, id: string, description: string): iam.Role {
  const role = new iam.Role(scope, id, {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    description,
  });
  role.addToPolicy(
    new iam.PolicyStatement({
      sid: 'SessionManager',
      actions: [
        'ssm:UpdateInstanceInformation',
        'ssmmessages:CreateControlChannel',
        'ssmmessages:CreateDataChannel',
        'ssmmessages:OpenControlChannel',
        'ssmmessages:OpenDataChannel',
      ],
      resources: ['*'],
    }),
  );
  acknowledgeWildcard(
    role,
    '*',
    'Session Manager’s channels, and the token for ECR, are of no resource that could be named.',
  );
  return role;
}
