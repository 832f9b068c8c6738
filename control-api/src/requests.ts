/** Reads what callers send: bodies within limits, every part checked against the endpoint's schemas. */
import type { Endpoint } from '@skep/contract';
import type * as z from 'zod';
import { ProblemError } from './problems.ts';

/** The parts of a request as their schemas say; a part that the endpoint does not have is undefined. */
export interface ParsedRequest {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** Rejects ProblemError `bad-request` with all that is wrong, or `too-large`. */
export async function parseRequest(
  endpoint: Endpoint,
  request: Request,
  params: Readonly<Record<string, string>>,
  maxBodyBytes: number,
): Promise<ParsedRequest> {
  const query = Object.fromEntries(new URL(request.url).searchParams);
  return {
    params: endpoint.params && checked('path', endpoint.params, params),
    query: endpoint.query && checked('query', endpoint.query, query),
    body: endpoint.body && checked('body', endpoint.body, await readJson(request, maxBodyBytes)),
  };
}

function checked(part: string, schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 20).map(({ path, message }) => ({
    path: [part, ...path.map(String)].join('.'),
    message,
  }));
  const [first] = issues;
  throw new ProblemError({
    code: 'bad-request',
    detail: `${first?.path ?? part}: ${first?.message ?? 'not understood'}; see /docs for what is expected`,
    issues,
  });
}

async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const text = new TextDecoder('utf-8').decode(await readBody(request, maxBytes));
  try {
    return JSON.parse(text);
  } catch {
    throw new ProblemError({ code: 'bad-request', detail: 'the body is no JSON: send a JSON document' });
  }
}

/** Counts while reading: what a caller says of the length is only believed if it is too much. */
async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new ProblemError({
      code: 'too-large',
      detail: `the body is longer than the ${maxBytes} bytes allowed here`,
    });
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
