/** The function `run-tests`: see run-tests.ts. */
import { RunTestsAnswer, RunTestsRequest } from '@skep/contract';
import { createNodeHost } from '@skep/p2p-core/host/node';
import type * as z from 'zod';
import { deploymentTable } from '../deployment-table.ts';
import { RunTestsEnvironment, readEnvironment } from '../environment.ts';
import { type LambdaContext, once, readRequest, waitWithin } from '../lambda.ts';
import { runTests } from './run-tests.ts';

const components = once(() => {
  const { SKEP_TABLE } = readEnvironment(RunTestsEnvironment, process.env);
  const host = createNodeHost();
  return { clock: host.clock, random: host.random, store: deploymentTable(host, SKEP_TABLE).store };
});

export async function handler(
  event: unknown,
  context: LambdaContext,
): Promise<z.infer<typeof RunTestsAnswer>> {
  const request = readRequest(RunTestsRequest, event);
  const answer = await runTests(components(), { ...request, waitMs: waitWithin(context, request.waitMs) });
  return RunTestsAnswer.parse(answer);
}
