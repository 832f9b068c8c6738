/**
 * The routes, derived from the endpoint table: each validates its request, finds out who calls and whether
 * they may, lets the handler act, and answers as the table says. Everything that goes wrong becomes a
 * problem document.
 */
import {
  type Access,
  type Endpoint,
  type EndpointName,
  endpoints,
  lamportHeader,
  lamportOf,
  openApiDocument,
} from '@skep/contract';
import type { Compute } from '@skep/p2p-core/host';
import { Hono } from 'hono';
import type { Clusters } from './clusters.ts';
import { equalSecrets, hashText } from './credentials.ts';
import type { MachineRow } from './decisions/rows.ts';
import type { Call, Handlers } from './handlers.ts';
import type { Pages } from './page/pages.ts';
import { StoreError } from './ports/store.ts';
import { ProblemError, problemResponse } from './problems.ts';
import { parseRequest } from './requests.ts';

export interface RouteComponents {
  readonly compute: Compute;
  readonly clusters: Clusters;
  readonly handlers: Handlers;
  readonly pages: Pages | undefined;
}

export interface RouteOptions {
  readonly version: string;
  /** Without the pages and the OpenAPI document: nobody is answered without a token, but for health. */
  readonly isClosed?: boolean;
  readonly adminToken: string;
  readonly viewerToken?: string | undefined;
  /** Told of what is a fault of the control API itself. */
  readonly onTrouble: (message: string) => void;
}

const defaultBodyBytes = 1024 * 1024;
/** A .torrent in base64 is the largest thing that anybody sends. */
const bodyBytes: Partial<Record<EndpointName, number>> = { addTorrent: 16 * 1024 * 1024 };
/** Whose requests and answers are stamped. */
const speaksLamport: ReadonlySet<Access> = new Set(['agent', 'joiner']);
/** What a server in front of the routes must let through. */
export const largestBodyBytes = Math.max(defaultBodyBytes, ...Object.values(bodyBytes));

export function createRoutes(components: RouteComponents, options: RouteOptions): Hono {
  const { clusters, handlers, pages } = components;
  const app = new Hono();
  const failure = failureTeller(options.onTrouble);
  const authorise = authoriser(components, options);
  const methods = new Map<string, string[]>();

  for (const [name, endpoint] of Object.entries(endpoints) as [EndpointName, Endpoint][]) {
    const path = endpoint.path.replace(/\{(\w+)\}/g, ':$1');
    const handler = handlers[name] as unknown as (call: Call) => Promise<unknown>;
    methods.set(path, [...(methods.get(path) ?? []), endpoint.method]);
    app.on(endpoint.method, path, async (context) => {
      const request = context.req.raw;
      const params = context.req.param() as Record<string, string>;
      const machine = authorise(endpoint.access, request, params.cluster);
      const act = async (): Promise<Response> => {
        const parsed = await parseRequest(endpoint, request, params, bodyBytes[name] ?? defaultBodyBytes);
        return respond(endpoint, await handler({ ...parsed, machine, request } as unknown as Call));
      };
      const record = clusters.byName(params.cluster ?? '');
      if (record === undefined || !speaksLamport.has(endpoint.access)) return act();
      // Who only claims to be a machine moves nobody's clock before the join secret was seen to be right.
      const stamp = lamportOf(request.headers);
      if (machine !== undefined) clusters.receiveLamport(record, stamp);
      const response = await act().catch(failure);
      if (machine === undefined && response.ok) clusters.receiveLamport(record, stamp);
      response.headers.set(lamportHeader, String(clusters.sendLamport(record)));
      return response;
    });
  }
  for (const [path, answer] of options.isClosed ? [] : documentsOf(options.version, pages)) {
    app.get(path, answer);
    methods.set(path, ['GET']);
  }
  for (const [path, allowed] of methods) {
    app.all(path, (context) =>
      problemResponse(
        {
          code: 'method-not-allowed',
          detail: `${context.req.method} is not possible here: use ${allowed.join(' or ')}`,
        },
        { allow: allowed.join(', ') },
      ),
    );
  }
  app.notFound((context) =>
    problemResponse({ code: 'not-found', detail: `there is nothing at ${context.req.path}: see /docs` }),
  );
  app.onError(failure);
  return app;
}

/** What anybody may read, for it tells of no cluster. */
function documentsOf(
  version: string,
  pages: Pages | undefined,
): readonly (readonly [path: string, answer: () => Response])[] {
  const document = JSON.stringify(openApiDocument(version));
  const openApi = () => new Response(document, { headers: { 'content-type': 'application/json' } });
  return [
    ['/openapi.json', openApi],
    ...(pages === undefined
      ? []
      : ([
          ['/', pages.index],
          ['/docs', pages.docs],
        ] as const)),
  ];
}

/** Turns whatever was thrown into a problem document, and tells of what is a fault of the control API itself. */
function failureTeller(onTrouble: (message: string) => void): (error: Error) => Response {
  return (error) => {
    if (error instanceof ProblemError) return problemResponse(error.refusal);
    if (error instanceof StoreError) {
      onTrouble(error.message);
      return problemResponse({
        code: 'store-unavailable',
        detail: `the store did not take or give what was asked (${error.message}): see to it, then try again`,
      });
    }
    onTrouble(error.stack ?? error.message);
    return problemResponse({
      code: 'internal',
      detail: 'the control API failed; its log says how: report it',
    });
  };
}

/** Finds the calling machine, for endpoints of agents; throws ProblemError if the caller may not. */
function authoriser({ compute, clusters }: RouteComponents, options: RouteOptions) {
  const admin = hashText(compute, options.adminToken);
  const viewer = options.viewerToken === undefined ? undefined : hashText(compute, options.viewerToken);
  return (access: Access, request: Request, cluster: string | undefined): MachineRow | undefined => {
    if (access === 'anyone' || access === 'joiner') return undefined;
    const [, token] =
      /^Bearer +([\x21-\x7e]{1,512})$/i.exec(request.headers.get('authorization') ?? '') ?? [];
    if (token === undefined) throw unauthorized('send a token as `authorization: Bearer …`');
    const hash = hashText(compute, token);
    const isAdmin = equalSecrets(hash, admin);
    const isViewer = viewer !== undefined && equalSecrets(hash, viewer);
    if (access === 'agent') {
      if (isAdmin || isViewer) throw forbidden('only agents call this, with the token they joined with');
      const record = clusters.byName(cluster ?? '');
      // Not `unauthorized`: an agent must learn that its cluster is gone.
      if (record === undefined) throw noCluster(cluster ?? '');
      const machine = record.machineByToken(hash);
      if (machine === undefined) throw unauthorized('this token is not known here: join first');
      return machine;
    }
    if (isAdmin || (isViewer && access === 'viewer')) return undefined;
    if (isViewer) throw forbidden('a viewer only reads: use the admin token');
    throw unauthorized('this token is not known here');
  };
}

function respond(endpoint: Endpoint, answer: unknown): Response {
  const headers = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  if (endpoint.response === 'none') return new Response(null, { status: endpoint.status, headers });
  if (answer instanceof Response) {
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
    return answer;
  }
  return new Response(JSON.stringify(answer), {
    status: endpoint.status,
    headers: { ...headers, 'content-type': 'application/json' },
  });
}

const unauthorized = (detail: string) => new ProblemError({ code: 'unauthorized', detail });
const forbidden = (detail: string) => new ProblemError({ code: 'forbidden', detail });
const noCluster = (name: string) =>
  new ProblemError({ code: 'not-found', detail: `there is no cluster ${name}` });
