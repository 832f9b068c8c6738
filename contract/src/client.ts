/** The typed client of the control API, derived from the endpoint table. */
import type * as z from 'zod';
import { type Endpoint, type EndpointName, type Endpoints, endpoints } from './endpoints.ts';
import { Problem } from './problem.ts';

type Input<T> = T extends z.ZodType ? z.input<T> : never;

type Part<E, K extends 'params' | 'query' | 'body'> = E extends { readonly [P in K]: infer S }
  ? Record<string, never> extends Input<S>
    ? { readonly [P in K]?: Input<S> }
    : { readonly [P in K]: Input<S> }
  : unknown;

/** What a call takes: the parts that its endpoint has, beside a time limit and a signal. */
export type CallInput<E> = Part<E, 'params'> &
  Part<E, 'query'> &
  Part<E, 'body'> & { readonly timeoutMs?: number; readonly signal?: AbortSignal };

type Answer<E> = E extends { readonly response: infer R }
  ? R extends z.ZodType
    ? z.output<R>
    : R extends 'none'
      ? undefined
      : Response
  : never;

/** One method per endpoint. JSON answers are checked and returned; other ones come as the Response. */
export type ApiClient = {
  readonly [N in EndpointName]: (input: CallInput<Endpoints[N]>) => Promise<Answer<Endpoints[N]>>;
};

/** The control API answered with a problem document, or with something that is none of its answers. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | undefined;
  constructor(status: number, message: string, problem?: Problem) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.problem = problem;
  }
}

/** The part of a Host's `Http` that the client needs. */
export type Fetch = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    body?: string;
    timeoutMs?: number;
    signal?: AbortSignal;
  },
) => Promise<Response>;

export interface ApiClientOptions {
  /** For instance http://127.0.0.1:7700 */
  readonly baseUrl: string;
  readonly token?: string;
  readonly fetch: Fetch;
}

/**
 * Makes a client. A call rejects with ApiError if the API refuses, and with what `fetch` rejects with
 * (a HostError) if it cannot be reached.
 */
export function createApiClient(options: ApiClientOptions): ApiClient {
  const methods = Object.entries(endpoints).map(([name, endpoint]) => [
    name,
    (input: LooseInput) => call(options, endpoint, input),
  ]);
  return Object.fromEntries(methods) as ApiClient;
}

interface LooseInput {
  readonly params?: Record<string, string>;
  readonly query?: Record<string, string | number | undefined>;
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

async function call(options: ApiClientOptions, endpoint: Endpoint, input: LooseInput): Promise<unknown> {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`;
  if (input.body !== undefined) headers['content-type'] = 'application/json';
  const response = await options.fetch(options.baseUrl + pathOf(endpoint.path, input), {
    method: endpoint.method,
    headers,
    ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
    ...(input.timeoutMs === undefined ? {} : { timeoutMs: input.timeoutMs }),
    ...(input.signal === undefined ? {} : { signal: input.signal }),
  });
  if (!response.ok) throw await apiErrorOf(response);
  if (endpoint.response === 'none') {
    await response.body?.cancel();
    return undefined;
  }
  if (typeof endpoint.response === 'string') return response;
  const parsed = endpoint.response.safeParse(await jsonOf(response));
  if (parsed.success) return parsed.data;
  throw new ApiError(
    response.status,
    `${endpoint.method} ${endpoint.path} gave an answer that this client does not understand: check that both sides are of one version`,
  );
}

function pathOf(template: string, input: LooseInput): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(input.params?.[name] ?? ''),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(input.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

async function apiErrorOf(response: Response): Promise<ApiError> {
  const problem = Problem.safeParse(await jsonOf(response));
  return problem.success
    ? new ApiError(response.status, problem.data.detail, problem.data)
    : new ApiError(
        response.status,
        `the address answered ${response.status}, but not as a Skep control API does`,
      );
}

async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
