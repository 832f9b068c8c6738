/** Where a control API keeps its state. */

export { DynamoDbStore } from './dynamodb.ts';
export { createDynamoDbClient } from './dynamodb-client.ts';
export { MemoryStore } from './memory.ts';
export { SqliteStore } from './sqlite.ts';
