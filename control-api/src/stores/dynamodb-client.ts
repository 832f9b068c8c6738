/** A client of DynamoDB that gives a call up in time for the store to ask again: a packet that is lost must not hold it for minutes. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

const connectionTimeout = 2_000;
/** A transaction of a hundred actions takes DynamoDB well below a second. */
const requestTimeout = 5_000;

/** Region, credentials and endpoint are as the SDK finds them in its environment. */
export function createDynamoDbClient(): DynamoDBClient {
  return new DynamoDBClient({
    requestHandler: { connectionTimeout, requestTimeout, throwOnRequestTimeout: true },
  });
}
