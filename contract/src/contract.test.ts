import { describe, expect, it } from 'vitest';
import {
  ApiError,
  ClusterSpec,
  createApiClient,
  endpoints,
  openApiDocument,
  RedeploymentId,
  Role,
  SlotName,
} from './index.ts';

describe('the client', () => {
  const clientAnswering = (answer: (url: string, init: RequestInit) => Response) => {
    const calls: { url: string; init: RequestInit }[] = [];
    const client = createApiClient({
      baseUrl: 'http://127.0.0.1:1',
      token: 'secret',
      fetch: async (url, init) => {
        calls.push({ url, init });
        return answer(url, init);
      },
    });
    return { client, calls };
  };

  it('fills in path and query, and sends token and body', async () => {
    const { client, calls } = clientAnswering(() => Response.json([]));
    await client.listEvents({ params: { cluster: 'bees' }, query: { after: 7 } });
    expect(calls[0]!.url).toBe('http://127.0.0.1:1/v1/clusters/bees/events?after=7');
    expect(calls[0]!.init.headers).toMatchObject({ authorization: 'Bearer secret' });
  });

  it('turns a problem document into an ApiError with its sentence', async () => {
    const problem = {
      type: 'about:blank',
      title: 'Not found',
      status: 404,
      code: 'not-found',
      detail: 'There is no cluster bees.',
    };
    const { client } = clientAnswering(() => Response.json(problem, { status: 404 }));
    const error = await client.getCluster({ params: { cluster: 'bees' } }).catch((caught) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error.message).toBe('There is no cluster bees.');
    expect(error.problem.code).toBe('not-found');
  });

  it.each([
    ['an answer of another shape', () => Response.json({ hello: 'world' }), /one version/],
    ['no JSON', () => new Response('<html>', { status: 200 }), /one version/],
    ['another server’s error', () => new Response('<html>', { status: 502 }), /not as a Skep control API/],
  ])('refuses %s', async (_, answer, message) => {
    const { client } = clientAnswering(answer);
    await expect(client.getCluster({ params: { cluster: 'bees' } })).rejects.toThrow(message);
  });
});

describe('the OpenAPI document', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument('1.2.3')));

  it('has every endpoint once, with its answers', () => {
    const operations = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap(
      (path) => Object.values(path).map((operation) => operation.operationId),
    );
    expect(operations.toSorted()).toEqual(Object.keys(endpoints).toSorted());
    expect(document.openapi).toBe('3.1.0');
  });

  it('resolves every reference', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, name] of references) expect(Object.keys(document.components.schemas)).toContain(name);
  });

  it('lets a request leave out what has a default, and an answer not', () => {
    const { ClusterSpec: output, ClusterSpecInput: input } = document.components.schemas;
    expect(input.required).toEqual(['name']);
    expect(output.required).toContain('bootstrap');
  });
});

describe('names', () => {
  it.each(Role.options)('there are of every role: %s', (role) => {
    expect(SlotName.safeParse(`${role}-12`).success).toBe(true);
    expect(RedeploymentId.safeParse(`${role}-12@3`).success).toBe(true);
  });

  it.each(['queen-1', 'index', 'index-0', 'xindex-1', 'index-1x', 'index-1@1'])(
    'are no others: %s',
    (name) => {
      expect(SlotName.safeParse(name).success).toBe(false);
    },
  );
});

describe('a cluster spec', () => {
  it('has sensible defaults', () => {
    expect(ClusterSpec.parse({ name: 'bees' })).toMatchObject({
      bootstrap: 3,
      index: 0,
      peers: 5,
      heal: ['bootstrap', 'index', 'peer'],
      graceMs: 6_000,
    });
  });

  it.each([
    { name: 'Bees' },
    { name: '../etc' },
    { name: 'bees', bootstrap: 0 },
    { name: 'bees', peers: -1 },
    { name: 'bees', index: 101 },
    { name: 'bees', typo: 1 },
  ])('refuses %j', (spec) => {
    expect(ClusterSpec.safeParse(spec).success).toBe(false);
  });
});
