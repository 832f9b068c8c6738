/** Refusals as RFC 9457 problem documents: one status and title a code. */
import type { Problem, ProblemCode } from '@skep/contract';
import type { Refusal } from './decisions/decision.ts';

const titles: Record<ProblemCode, readonly [status: number, title: string]> = {
  'bad-request': [400, 'The request is malformed'],
  'bad-metainfo': [400, 'This is no torrent'],
  unauthorized: [401, 'A token is needed'],
  forbidden: [403, 'The token does not allow this'],
  'join-refused': [403, 'The join was refused'],
  'not-found': [404, 'Not found'],
  'node-not-found': [404, 'No such node'],
  'method-not-allowed': [405, 'Method not allowed'],
  'cluster-exists': [409, 'The cluster exists'],
  'cluster-deleting': [409, 'The cluster is being deleted'],
  'fault-not-possible': [409, 'This fault is not possible here'],
  'torrent-exists': [409, 'The torrent exists'],
  'old-term': [409, 'The term is over'],
  'wrong-generation': [409, 'Another generation has the slot'],
  'not-healed': [409, 'This node is not redeployed'],
  'still-heard': [409, 'This node is still heard'],
  held: [409, 'An operator holds this slot'],
  'ring-changing': [409, 'The ring cannot change now'],
  'ring-size': [409, 'The ring cannot have this size'],
  'generation-over': [410, 'The machine’s time is over'],
  'too-large': [413, 'The request is too large'],
  'budget-exhausted': [429, 'Too many redeployments'],
  internal: [500, 'Internal error'],
  'store-unavailable': [503, 'The store is unavailable'],
  'no-free-address': [503, 'No free address'],
};

/** Carries a refusal out of wherever it was found. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly refusal: Refusal & Pick<Problem, 'issues'>;
  constructor(refusal: Refusal & Pick<Problem, 'issues'>, options?: ErrorOptions) {
    super(refusal.detail, options);
    this.refusal = refusal;
  }
}

export function problemResponse(
  refusal: Refusal & Pick<Problem, 'issues'>,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const [status, title] = titles[refusal.code];
  const problem: Problem = { type: `urn:skep:problem:${refusal.code}`, title, status, ...refusal };
  return new Response(JSON.stringify(problem), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(refusal.code === 'unauthorized' ? { 'www-authenticate': 'Bearer' } : {}),
      ...headers,
    },
  });
}
