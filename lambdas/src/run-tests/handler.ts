/** The function `run-tests`: see run-tests.ts. */
import { RunTestsAnswer, RunTestsRequest } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import type * as z from 'zod';
import { deploymentTable } from '../deployment-table.ts';
import { RunTestsEnvironment, readEnvironment } from '../environment.ts';
import { type LambdaContext, readRequest, waitWithin } from '../lambda.ts';
import { runTests } from './run-tests.ts';

export async function handler(
  event: unknown,
  context: LambdaContext,
): Promise<z.infer<typeof RunTestsAnswer>> {
  const { SKEP_TABLE } = readEnvironment(RunTestsEnvironment, process.env);
  const request = readRequest(RunTestsRequest, event);
  const host = createNodeHost();
  const { clock, random } = host;
  const { store } = deploymentTable(host, SKEP_TABLE);
  const answer = await runTests(
    { clock, random, store },
    { ...request, waitMs: waitWithin(context, request.waitMs) },
  );
  return RunTestsAnswer.parse(answer);
}
