/**
 * One AWS account in one region, as the commands ask of it. The SDK takes a while to load: each client is loaded with
 * its first use, by the one command that needs it.
 */
import type { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import type * as z from 'zod';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import { askAws } from './aws-failure.ts';
import { type StackOutputs, stackOutputs } from './stack-outputs.ts';

export interface AccountOptions {
  /** Missing: by environment or profile. */
  readonly region?: string | undefined;
  readonly profile?: string | undefined;
  readonly signal: AbortSignal;
}

export interface Identity {
  readonly account: string;
  readonly region: string;
  /** ARN of who asks. */
  readonly caller: string;
}

export interface Stack {
  /** ARN; no other stack ever has it. */
  readonly id: string;
  readonly status: string;
}

export interface InvokeOptions<T> {
  readonly answer: z.ZodType<T>;
  /** How long the function may take. */
  readonly timeoutMs: number;
}

/** All methods reject with CliError. */
export class AwsAccount {
  readonly #options: AccountOptions;
  #cloudFormation: Promise<CloudFormationClient> | undefined;

  constructor(options: AccountOptions) {
    this.#options = options;
  }

  get signal(): AbortSignal {
    return this.#options.signal;
  }

  /** What every client of the SDK is to be made with. */
  get settings() {
    const { region, profile } = this.#options;
    return {
      ...(region === undefined ? {} : { region }),
      ...(profile === undefined ? {} : { profile }),
    };
  }

  region(): Promise<string> {
    return askAws(async () => (await this.cloudFormation()).config.region());
  }

  /** Proves that the credentials are good. */
  async identity(): Promise<Identity> {
    const region = await this.region();
    const { STSClient, GetCallerIdentityCommand } = await import('@aws-sdk/client-sts');
    const { Account, Arn } = await this.ask((abortSignal) =>
      new STSClient(this.settings).send(new GetCallerIdentityCommand({}), { abortSignal }),
    );
    return { account: Account ?? '', region, caller: Arn ?? '' };
  }

  /** By name or id; undefined if there is none, or it is deleted. */
  async stack(name: string): Promise<Stack | undefined> {
    const found = await this.#describe(name);
    return found === undefined ? undefined : { id: found.StackId ?? '', status: found.StackStatus ?? '' };
  }

  async outputs(stack: string): Promise<StackOutputs> {
    const found = await this.#describe(stack);
    if (found === undefined) {
      throw new CliError(
        'not-found',
        exitCodes.notFound,
        `There is no stack ${stack} in ${await this.region()}: \`skep deploy\` makes one; --stack and --region name another.`,
      );
    }
    const outputs = found.Outputs ?? [];
    return stackOutputs(stack, Object.fromEntries(outputs.map((each) => [each.OutputKey, each.OutputValue])));
  }

  /** Calls a Lambda function and waits for its answer. */
  async invoke<T>(
    functionName: string,
    request: unknown,
    { answer, timeoutMs }: InvokeOptions<T>,
  ): Promise<T> {
    const { LambdaClient, InvokeCommand } = await import('@aws-sdk/client-lambda');
    const lambda = new LambdaClient({ ...this.settings, requestHandler: { requestTimeout: timeoutMs } });
    const { FunctionError, Payload } = await this.ask((abortSignal) =>
      lambda.send(
        new InvokeCommand({
          FunctionName: functionName,
          Payload: new TextEncoder().encode(JSON.stringify(request)),
        }),
        { abortSignal },
      ),
    );
    const value = parsed(new TextDecoder().decode(Payload));
    if (FunctionError !== undefined) {
      const said = (value as { errorMessage?: unknown } | undefined)?.errorMessage ?? FunctionError;
      throw new CliError(
        'function-failed',
        exitCodes.failed,
        `The function ${functionName} failed: ${said}. \`aws logs tail /aws/lambda/${functionName}\` shows its log.`,
      );
    }
    const checked = answer.safeParse(value);
    if (checked.success) return checked.data;
    throw new CliError(
      'bad-answer',
      exitCodes.failed,
      `The function ${functionName} answered what this version of Skep does not understand: deploy the stack again.`,
    );
  }

  /** The text of a secret. It must go no further than a file for its owner alone. */
  async secret(id: string): Promise<string> {
    const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
    const { SecretString } = await this.ask((abortSignal) =>
      new SecretsManagerClient(this.settings).send(new GetSecretValueCommand({ SecretId: id }), {
        abortSignal,
      }),
    );
    return SecretString ?? '';
  }

  /** The instances of an Auto Scaling group that are in service. */
  async instancesOf(group: string): Promise<string[]> {
    const { AutoScalingClient, DescribeAutoScalingGroupsCommand } = await import(
      '@aws-sdk/client-auto-scaling'
    );
    const { AutoScalingGroups = [] } = await this.ask((abortSignal) =>
      new AutoScalingClient(this.settings).send(
        new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [group] }),
        { abortSignal },
      ),
    );
    return AutoScalingGroups.flatMap(({ Instances = [] }) => Instances)
      .filter((instance) => instance.LifecycleState === 'InService')
      .flatMap((instance) => instance.InstanceId ?? []);
  }

  /** Does what asks AWS under the command's signal, errors told as sentences. */
  ask<T>(work: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#options;
    return askAws(() => work(signal), signal);
  }

  cloudFormation(): Promise<CloudFormationClient> {
    this.#cloudFormation ??= import('@aws-sdk/client-cloudformation').then(
      ({ CloudFormationClient }) => new CloudFormationClient(this.settings),
    );
    return this.#cloudFormation;
  }

  async #describe(stack: string) {
    const { DescribeStacksCommand } = await import('@aws-sdk/client-cloudformation');
    const client = await this.cloudFormation();
    return this.ask(async (abortSignal) => {
      try {
        const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }), {
          abortSignal,
        });
        return Stacks.find(({ StackStatus }) => StackStatus !== 'DELETE_COMPLETE');
      } catch (error) {
        if (error instanceof Error && /does not exist/.test(error.message)) return undefined;
        throw error;
      }
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
