/** A stack with the outputs that the command line reads, of as few resources as a test needs. */
import {
  CloudFormationClient,
  CreateStackCommand,
  waitUntilStackCreateComplete,
} from '@aws-sdk/client-cloudformation';
import { tagKeys } from '@skep/contract';
import type { StackOutputs } from '../../cli/src/aws/stack-outputs.ts';
import { type Emulator, emulatorRegion } from './emulator.ts';

/** A CloudFormation value: text, or an intrinsic function. */
export type Value = string | object;

/** Tags of a resource that belongs to the stack. */
export const ownTags = [{ Key: tagKeys.stack, Value: { Ref: 'AWS::StackId' } }];

/** How clients of the SDK find the emulator from within the test. */
export function clientOf({ url }: Emulator) {
  return {
    endpoint: url,
    region: emulatorRegion,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
}

/** Creates it and gives its id. What no output is given for has the value `none`. */
export async function createOutputsStack(
  emulator: Emulator,
  name: string,
  resources: object,
  outputs: Partial<Record<keyof StackOutputs, Value>>,
): Promise<string> {
  const cloudFormation = new CloudFormationClient(clientOf(emulator));
  const none: Record<keyof Omit<StackOutputs, 'Url'>, Value> = {
    DeployFunction: 'none',
    TeardownFunction: 'none',
    BuildFunction: 'none',
    RunTestsFunction: 'none',
    AdminTokenSecret: 'none',
    ControlGroup: 'none',
    SourceHash: 'none',
    BundlesBucket: 'none',
  };
  const all = Object.entries({ ...none, ...outputs }).map(([key, value]) => [key, { Value: value }]);
  const template = { Resources: resources, Outputs: Object.fromEntries(all) };
  const { StackId = '' } = await cloudFormation.send(
    new CreateStackCommand({ StackName: name, TemplateBody: JSON.stringify(template) }),
  );
  await waitUntilStackCreateComplete(
    { client: cloudFormation, maxWaitTime: 60, minDelay: 0.2, maxDelay: 1 },
    { StackName: name },
  );
  return StackId;
}
