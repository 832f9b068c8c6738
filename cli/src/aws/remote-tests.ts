/** The self-tests of a deployment's nodes, asked of its run-tests function: no connection to its control API is needed. */
import { RunTestsAnswer, type RunTestsRequest } from '@skep/contract';
import type * as z from 'zod';
import type { MeantDeployment } from './deployment.ts';

/** Beyond what the function is told to wait: it starts, and answers. */
const marginMs = 30_000;
/** A function lives for 15 minutes. */
const longestWaitMs = 840_000;

/** `cluster` missing: the one that is named after the deployment. Rejects with CliError. */
export async function runRemoteTests(
  { account, stack }: MeantDeployment,
  cluster: string | undefined,
  timeoutMs: number,
): Promise<z.infer<typeof RunTestsAnswer> & { cluster: string }> {
  const { RunTestsFunction } = await account.outputs(stack);
  const request: RunTestsRequest = {
    cluster: cluster ?? stack.toLowerCase(),
    waitMs: Math.min(timeoutMs, longestWaitMs),
  };
  const answer = await account.invoke(RunTestsFunction, request, {
    answer: RunTestsAnswer,
    timeoutMs: request.waitMs + marginMs,
  });
  return { cluster: request.cluster, ...answer };
}
