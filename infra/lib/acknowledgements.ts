/**
 * Why a policy has a wildcard where it has one, said beside the grant that makes it: cdk-nag reports all others.
 * (AwsSolutions-IAM5 names each as `Resource::…`, with references as `<LogicalId.Attribute>`.)
 */
import { Stack, Validations } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';

/** `resource` may have tokens, as it had in the policy. */
export function acknowledgeWildcard(grantee: iam.IGrantable, resource: string, reason: string): void {
  const role = grantee.grantPrincipal;
  // Roles of other stacks' making are not ours to judge.
  if (!Construct.isConstruct(role)) return;
  const written = flat(Stack.of(role).resolve(resource));
  Validations.of(role).acknowledge({ id: `AwsSolutions-IAM5[Resource::${written}]`, reason });
}

/** An ARN as the rule writes it. */
function flat(resolved: unknown): string {
  if (typeof resolved === 'string') return resolved;
  const { Ref, 'Fn::GetAtt': attribute, 'Fn::Join': join } = resolved as Record<string, unknown>;
  if (typeof Ref === 'string') return `<${Ref}>`;
  if (Array.isArray(attribute)) return `<${attribute.join('.')}>`;
  const [separator, parts] = join as [string, unknown[]];
  return parts.map(flat).join(separator);
}
