/** The function `lifecycle`, which CloudFormation calls: see lifecycle.ts. */
import { LambdaClient } from '@aws-sdk/client-lambda';
import { Route53Client } from '@aws-sdk/client-route-53';
import { AwsFunctions } from '@skep/control-api/launchers/aws-functions';
import { createNodeHost } from '@skep/p2p-core/host/node';
import { type LambdaContext, readRequest } from '../lambda.ts';
import { LifecycleEvent, serveLifecycle } from './lifecycle.ts';
import { PrivateNames } from './private-names.ts';

/** Kept of the function's time: a call's way back, and telling CloudFormation, with what that takes to be repeated. */
const keptMs = 45_000;

export async function handler(event: unknown, context: LambdaContext): Promise<void> {
  const { clock, random, http } = createNodeHost();
  const functions = new AwsFunctions({ lambda: new LambdaClient() });
  const names = new PrivateNames({ route53: new Route53Client() });
  const withinMs = Math.max(0, context.getRemainingTimeInMillis() - keptMs);
  await serveLifecycle(
    { clock, random, http, functions, names },
    readRequest(LifecycleEvent, event),
    withinMs,
  );
}
