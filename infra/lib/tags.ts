/**
 * The tags that everything of a deployment carries, launch templates' instances and volumes included. Policies grant by
 * them, the reaper ends by them. The keys are those of the contract's `tagKeys`, which a test holds them to.
 */
import { Aws, Tags } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

export const deploymentTag = 'skep:cluster';
export const stackTag = 'skep:stack';
export const expiryTag = 'skep:expires-at';
/** Of what runs a machine, set at its launch. */
export const machineTag = 'skep:token';
/** Value of the expiry tag of what has no time to live. */
export const never = 'never';

/** Tags all taggable resources below `scope`. `expiresAt` is ISO 8601. */
export function tagDeployment(scope: Construct, name: string, expiresAt: string | undefined): void {
  const tags = Tags.of(scope);
  tags.add(deploymentTag, name);
  tags.add(expiryTag, expiresAt ?? never);
  tags.add(stackTag, Aws.STACK_ID);
}
