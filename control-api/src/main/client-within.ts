/** A client of the control API within its own process: what else runs there asks as everybody does. */
import { type ApiClient, createApiClient } from '@skep/contract';
import type { ControlApi } from '../control-api.ts';

/** Of requests that never leave the process. */
const baseUrl = 'http://control-api.invalid';
const remote = { host: '127.0.0.1', port: 0 };

export function clientWithin(api: Pick<ControlApi, 'handler'>, token: string): ApiClient {
  return createApiClient({
    baseUrl,
    token,
    fetch: async (url, { method, headers, body }) =>
      api.handler(new Request(url, { method, headers, ...(body !== undefined && { body }) }), remote),
  });
}
