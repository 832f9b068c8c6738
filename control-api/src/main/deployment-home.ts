/**
 * A control API at home in a deployment on AWS: nothing is kept on its machine, so any machine will do. Environment:
 * - SKEP_TABLE: the DynamoDB table.
 * - SKEP_ADMIN_SECRET, SKEP_IDENTITY_SECRET: the two secrets, by name or ARN.
 * - SKEP_NAME: the name that machines ask for it by.
 * - SKEP_HOSTED_ZONE: the Route 53 zone of that name, whose record is pointed here. Without it the name is somebody
 *   else's to make known.
 */
import { Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Host } from '@skep/p2p-core/host';
import { DynamoDbStore } from '../stores/dynamodb.ts';
import { createDynamoDbClient } from '../stores/dynamodb-client.ts';
import { readSecrets } from './deployment-secrets.ts';
import { type Environment, required } from './environment.ts';
import type { Home } from './home.ts';
import { identityOf } from './identity.ts';
import { defaultMetadataUrl, pointNameHere } from './private-name.ts';

export async function openDeployment(
  host: Host,
  env: Environment,
  onTrouble: (message: string) => void,
): Promise<Home> {
  const table = required(env, 'SKEP_TABLE');
  const name = required(env, 'SKEP_NAME');
  const ids = { admin: required(env, 'SKEP_ADMIN_SECRET'), identity: required(env, 'SKEP_IDENTITY_SECRET') };
  const { adminToken, seed } = await readSecrets(new SecretsManagerClient(), ids);
  const { masterSecret, viewerToken, server } = identityOf(seed, name);
  const client = createDynamoDbClient();
  const store = new DynamoDbStore({ host, client }, { table, onTrouble });
  const closing = new AbortController();
  const hostedZone = env.SKEP_HOSTED_ZONE;
  return {
    store,
    adminToken,
    viewerToken,
    masterSecret,
    tls: { identity: server, name },
    isShared: true,
    tokenFiles: {},
    portFor: async (asked) => asked,
    onListening() {
      if (hostedZone === undefined || hostedZone === '') return;
      const metadataUrl = env.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? defaultMetadataUrl;
      const options = { hostedZone, name, metadataUrl, onTrouble };
      void pointNameHere({ host, route53: new Route53Client() }, options, closing.signal);
    },
    async close() {
      closing.abort();
      await store.close();
      client.destroy();
    },
  };
}
