/**
 * What a deployed stack tells of itself: its outputs, by the names that infra/ gives them. The CDK CLI writes them to a
 * file, CloudFormation lists them; either way they are checked here.
 */
import * as z from 'zod';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

const text = z.string().min(1).max(2_048);

export const StackOutputs = z.object({
  /** Names of Lambda functions. */
  DeployFunction: text,
  TeardownFunction: text,
  BuildFunction: text,
  RunTestsFunction: text,
  /** ARN of the secret that holds `{"token": …}`. */
  AdminTokenSecret: text,
  /** Name of the Auto Scaling group, of one instance, that the control API runs on. */
  ControlGroup: text,
  /** Names the source that the image is built from. */
  SourceHash: text,
  /** Name of the bucket for bundles and content. */
  BundlesBucket: text,
  /** Of the load balancer, if there is one. */
  Url: text.optional(),
});
export type StackOutputs = z.infer<typeof StackOutputs>;

/** Throws CliError if it is no stack of Skep's, or one of another version. */
export function stackOutputs(stack: string, values: unknown): StackOutputs {
  const outputs = StackOutputs.safeParse(values);
  if (outputs.success) return outputs.data;
  const missing = outputs.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new CliError(
    'not-a-deployment',
    exitCodes.notFound,
    `The stack ${stack} lacks the outputs ${missing}: it is no deployment of this version of Skep.`,
  );
}
