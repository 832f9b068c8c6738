/** The deployment's table as the functions see it: the control API's store, and the agreements on launches in it. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDbStore } from '@skep/control-api/stores';
import type { Host } from '@skep/p2p-core/host';
import { LaunchAgreements } from './launches/agreement.ts';

export function deploymentTable(host: Host, table: string) {
  const store = new DynamoDbStore({ host, client: new DynamoDBClient() }, { table });
  return { store, agreements: new LaunchAgreements({ store }) };
}
