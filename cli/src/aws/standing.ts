/** How a deployment comes to stand and comes to its end: what `skep deploy` and `skep destroy` do once they are agreed to. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TeardownAnswer, type TeardownRequest } from '@skep/contract';
import type { Context } from '../context.ts';
import { stateDirectory } from '../daemon/daemon.ts';
import { CliError, describeFailure } from '../failure.ts';
import { until } from '../timing.ts';
import type { AppContext } from './app-context.ts';
import type { MeantDeployment } from './deployment.ts';
import { forgetDeployment, rememberDeployment } from './deployments.ts';
import { findLeftovers, type Leftovers } from './leftovers.ts';
import { changeStack, stackId } from './stack-change.ts';
import { type StackOutputs, stackOutputs } from './stack-outputs.ts';

export interface StandUp {
  readonly deployment: MeantDeployment;
  readonly account: string;
  /** ISO 8601: the reaper ends what is past it. */
  readonly expiresAt: string;
  /** What else the CDK app is told. */
  readonly context: AppContext;
}

const lookEveryMs = 5_000;
const teardownMs = 600_000;
/** For the function to start, and to answer. */
const answerMs = 60_000;

/** Resolves when `cdk deploy` is through. Rejects with CliError, or with Interrupted. */
export async function standUp(
  context: Context,
  { deployment, account, expiresAt, ...more }: StandUp,
): Promise<StackOutputs> {
  const { stack, region, profile } = deployment;
  const directory = mkdtempSync(join(tmpdir(), 'skep-outputs-'));
  const outputsFile = join(directory, 'outputs.json');
  try {
    // Before the first call: what was begun must be found again, however it ends.
    rememberDeployment(stateDirectory(context.env), { stack, region, profile, expiresAt });
    await changeStack(context, {
      words: [
        ...['deploy', stackId, '--require-approval', 'never', '--progress', 'events'],
        ...['--outputs-file', outputsFile],
      ],
      stack,
      account,
      region,
      profile,
      context: { ...more.context, stack, expiresAt },
    });
    const written: unknown = JSON.parse(readFileSync(outputsFile, 'utf8'));
    return stackOutputs(stack, Object.values(written as Record<string, unknown>)[0]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export interface TakeDown {
  readonly deployment: MeantDeployment;
  readonly account: string;
  /** ARN of the stack: what is left of it is found by that. */
  readonly stackArn: string;
  /** How long to look until nothing is listed any more. */
  readonly timeoutMs: number;
}

/** Resolves when `cdk destroy` is through, with what is still listed then: nothing, unless time was up. */
export async function takeDown(
  context: Context,
  { deployment, account, ...more }: TakeDown,
): Promise<Leftovers> {
  const { stack, region, profile } = deployment;
  await endMachines(context, deployment);
  await changeStack(context, {
    words: ['destroy', stackId, '--force', '--progress', 'events'],
    stack,
    account,
    region,
    profile,
    context: { stack },
  });
  const left = await awaitNothing(context, deployment, more);
  if (left.machines.length + left.others.length === 0) forgetDeployment(stateDirectory(context.env), stack);
  return left;
}

/**
 * Clusters that were made on a deployment after it stood are known to its functions alone: CloudFormation would wait for
 * their machines in vain.
 */
async function endMachines({ output }: Context, { account, stack }: MeantDeployment): Promise<void> {
  output.note('ends the machines');
  try {
    const { TeardownFunction } = await account.outputs(stack);
    const request: TeardownRequest = { scope: 'cluster', waitMs: teardownMs };
    await account.invoke(TeardownFunction, request, {
      answer: TeardownAnswer,
      timeoutMs: teardownMs + answerMs,
    });
  } catch (error) {
    if (account.signal.aborted) throw error;
    // A stack that was never complete has no function that could; then there are no machines either.
    output.note(`  by CloudFormation alone (${describeFailure(error).message})`);
  }
}

/** Listings lag behind. */
async function awaitNothing(
  { host, interrupts }: Context,
  { account }: MeantDeployment,
  { stackArn, timeoutMs }: Pick<TakeDown, 'stackArn' | 'timeoutMs'>,
): Promise<Leftovers> {
  let left: Leftovers = { machines: [], others: [] };
  const timing = {
    clock: host.clock,
    signal: interrupts.signal,
    timeoutMs,
    everyMs: lookEveryMs,
    awaited: () => 'AWS to list nothing more',
  };
  return until(timing, async () => {
    left = await findLeftovers(account, stackArn);
    return left.machines.length + left.others.length === 0 ? left : undefined;
  }).catch((error) => {
    if (error instanceof CliError && error.code === 'timeout') return left;
    throw error;
  });
}
