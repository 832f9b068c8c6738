/** The right to call functions: these, not their versions and aliases, of which there are none. */
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';

export function grantInvoke(grantee: iam.IGrantable, called: readonly lambda.IFunction[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(invocationOf(called));
}

export function invocationOf(called: readonly lambda.IFunction[]): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid: 'Invoke',
    actions: ['lambda:InvokeFunction'],
    resources: called.map(({ functionArn }) => functionArn),
  });
}
