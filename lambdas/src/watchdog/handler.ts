/** The function `watchdog`, which a schedule calls: see watchdog.ts. Its control API is put together as the deployment's own. */
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createApiClient, WatchdogAnswer } from '@skep/contract';
import { createControlApi } from '@skep/control-api';
import { openDeployment } from '@skep/control-api/deployment-home';
import { AwsLauncher } from '@skep/control-api/launchers/aws';
import type { Host } from '@skep/p2p-core/host';
import { createNodeHost } from '@skep/p2p-core/host/node';
import type * as z from 'zod';
import { deploymentTable } from '../deployment-table.ts';
import { readEnvironment, WatchdogEnvironment } from '../environment.ts';
import { type LambdaContext, once } from '../lambda.ts';
import { type StandIn, watchOver } from './watchdog.ts';

/** Schedules call each minute: it ends before the next one begins. */
const longestRunMs = 45_000;
/** Kept of the function's time for ending. */
const keptMs = 10_000;
/** While it runs, no machine can join: none is given up for not having done so. */
const joinTimeoutMs = 86_400_000;
const remote = { host: '127.0.0.1', port: 0 };

const host = once(createNodeHost);

export async function handler(
  _event: unknown,
  context: LambdaContext,
): Promise<z.infer<typeof WatchdogAnswer>> {
  const environment = readEnvironment(WatchdogEnvironment, process.env);
  const { clock } = host();
  const { store } = deploymentTable(host(), environment.SKEP_TABLE);
  const answer = await watchOver(
    { clock, store, standIn: () => createStandIn(host(), environment) },
    {
      forMs: Math.min(longestRunMs, context.getRemainingTimeInMillis() - keptMs),
      ...(environment.SKEP_EXPIRES_AT === undefined ? {} : { expiresAt: environment.SKEP_EXPIRES_AT }),
    },
  );
  return WatchdogAnswer.parse(answer);
}

async function createStandIn(
  standingHost: Host,
  environment: z.infer<typeof WatchdogEnvironment>,
): Promise<StandIn> {
  const onTrouble = (message: string): void => console.error(message);
  const baseUrl = environment.SKEP_PUBLIC_URL;
  // Certificate and secrets are derived from what is in the deployment, so that machines are launched as by the control API.
  const home = await openDeployment(
    standingHost,
    { ...process.env, SKEP_NAME: new URL(baseUrl).hostname },
    onTrouble,
  );
  const launcher = new AwsLauncher(
    { clock: standingHost.clock, lambda: new LambdaClient(), sqs: new SQSClient() },
    {
      deployFunction: environment.SKEP_DEPLOY_FUNCTION,
      teardownFunction: environment.SKEP_TEARDOWN_FUNCTION,
      eventsQueue: environment.SKEP_EVENTS_QUEUE,
      subnets: environment.SKEP_SUBNETS,
      onTrouble,
    },
  );
  const { store, adminToken, viewerToken, masterSecret, tls } = home;
  const api = await createControlApi(
    { host: standingHost, store, journal: store, launcher },
    {
      adminToken,
      viewerToken,
      masterSecret,
      version: 'watchdog',
      baseUrl: () => baseUrl,
      ...(tls && { apiCertificate: tls.identity.certificate }),
      joinTimeoutMs,
      sharesStore: true,
      onTrouble,
    },
  );
  return {
    client: createApiClient({
      baseUrl,
      token: viewerToken,
      fetch: async (url, { method, headers }) => api.handler(new Request(url, { method, headers }), remote),
    }),
    start: () => api.start(),
    async stop() {
      await api.stop();
      launcher.close();
      await home.close();
    },
  };
}
