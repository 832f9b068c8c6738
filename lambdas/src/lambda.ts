/** What Lambda asks of a handler, and the frame that all of ours have: bad requests are refused, and bad answers not given. */
import * as z from 'zod';

/** The part of Lambda's context that is used. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/** What is made for the first request, and kept for those that come while the function is warm. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Kept of a function's time for its answer. */
const answerMs = 10_000;

/** How long may be waited: as asked, but not beyond the function's own end. */
export function waitWithin(context: LambdaContext, waitMs: number): number {
  return Math.max(0, Math.min(waitMs, context.getRemainingTimeInMillis() - answerMs));
}

/** The request, checked. Throws an Error that says what is wrong with it, but not what it holds. */
export function readRequest<T extends z.ZodType>(schema: T, event: unknown): z.infer<T> {
  const read = schema.safeParse(event);
  if (read.success) return read.data;
  throw new Error(`the request is not as it must be: ${z.prettifyError(read.error).replaceAll('\n', ' ')}`);
}
