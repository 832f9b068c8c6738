/** The deployment's table as the functions see it: the control API's store, and the agreements on launches in it. */
import { createDynamoDbClient, DynamoDbStore } from '@skep/control-api/stores';
import type { Host } from '@skep/p2p-core/host';
import { LaunchAgreements } from './launches/agreement.ts';

export function deploymentTable(host: Host, table: string) {
  const store = new DynamoDbStore({ host, client: createDynamoDbClient() }, { table });
  return { store, agreements: new LaunchAgreements({ store }) };
}
