/**
 * EC2 at the boundary of the SDK's own HTTP: what is sent is read as EC2 would, and what a test says is answered, so that
 * the SDK's way of making requests and of reading refusals is part of what is tested.
 */
import { EC2Client } from '@aws-sdk/client-ec2';

export interface ScriptedAnswer {
  readonly status: number;
  readonly body: string;
}

export interface ScriptedEc2 {
  readonly client: EC2Client;
  /** The parameters of each request, as EC2 is given them. */
  readonly requests: Readonly<Record<string, string>>[];
}

interface HttpRequestLike {
  readonly body?: unknown;
}

/** `answer` is asked for each request; what it rejects is a connection that broke. */
export function scriptedEc2(
  answer: (request: number) => ScriptedAnswer | Promise<ScriptedAnswer>,
): ScriptedEc2 {
  const requests: Record<string, string>[] = [];
  const requestHandler = {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle({ body }: HttpRequestLike, { abortSignal }: { abortSignal?: AbortSignal } = {}) {
      requests.push(Object.fromEntries(new URLSearchParams(String(body))));
      const aborted = new Promise<never>((_, reject) => {
        abortSignal?.addEventListener('abort', () =>
          reject(Object.assign(new Error('aborted'), { name: 'AbortError' })),
        );
      });
      const { status, body: text } = await Promise.race([answer(requests.length), aborted]);
      return {
        response: {
          statusCode: status,
          headers: { 'content-type': 'text/xml' },
          body: new TextEncoder().encode(text),
        },
      };
    },
  };
  const client = new EC2Client({
    region: 'eu-north-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
    requestHandler: requestHandler as never,
  });
  return { client, requests };
}

export function refusal(code: string, status = 400, message = 'as the test says'): ScriptedAnswer {
  const body = `<Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>r</RequestID></Response>`;
  return { status, body };
}

export function ranInstance(instanceId: string, state = 'pending'): ScriptedAnswer {
  const body = `<RunInstancesResponse><instancesSet><item><instanceId>${instanceId}</instanceId><instanceState><code>0</code><name>${state}</name></instanceState></item></instancesSet></RunInstancesResponse>`;
  return { status: 200, body };
}
