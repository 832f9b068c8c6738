/** RFC 9457 problem documents: a stable code for programs, a sentence that says what to do for people. */
import * as z from 'zod';

export const ProblemCode = z.enum([
  'bad-request',
  'unauthorized',
  'forbidden',
  'not-found',
  'method-not-allowed',
  'cluster-exists',
  'cluster-deleting',
  'node-not-found',
  'torrent-exists',
  'bad-metainfo',
  'fault-not-possible',
  'old-term',
  'wrong-generation',
  'generation-over',
  'join-refused',
  'budget-exhausted',
  'not-healed',
  'still-heard',
  'held',
  'ring-changing',
  'ring-size',
  'no-free-address',
  'too-large',
  'store-unavailable',
  'internal',
]);
export type ProblemCode = z.infer<typeof ProblemCode>;

export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: ProblemCode,
    /** What went wrong here, and what to do about it. */
    detail: z.string(),
    /** For `bad-request`: where in the request, and what was expected. */
    issues: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    /** For `old-term` and `wrong-generation`: what it is now. */
    current: z.number().optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;
