import { describe, expect, it } from 'vitest';
import { hasMiniStack, startMiniStack } from './ministack.ts';
import { hasMoto, startMoto } from './moto.ts';

const mayBeMissing = process.env.SKEP_TEST_ALL !== '1';
const dynamoCall = {
  method: 'POST',
  headers: {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'DynamoDB_20120810.ListTables',
    authorization:
      'AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00',
  },
  body: '{}',
};

describe.each([
  ['MiniStack', hasMiniStack(), startMiniStack],
  ['moto', hasMoto(), startMoto],
] as const)('%s', (_, isThere, start) => {
  it.skipIf(!isThere && mayBeMissing)(
    'serves, side by side with another one, until it is stopped',
    async () => {
      const [one, other] = await Promise.all([start(), start()]);
      try {
        expect(one.port).not.toBe(other.port);
        const answer = await fetch(one.url, dynamoCall);
        expect(await answer.json()).toEqual({ TableNames: [] });
        await one.stop();
        await one.stop();
        await expect(fetch(one.url)).rejects.toThrow();
        expect((await fetch(other.url, dynamoCall)).status).toBe(200);
      } finally {
        await Promise.all([one.stop(), other.stop()]);
      }
    },
    180_000,
  );
});
