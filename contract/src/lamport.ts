/**
 * Lamport time over HTTP: each request of an agent and each answer to one carry the sender's stamp, so that
 * whatever follows from a call is stamped after it, at both ends.
 */

/** A decimal count. Missing or anything else: nothing is known, and nothing is merged. */
export const lamportHeader = 'skep-lamport';

/** The stamp of a request or an answer, if it has a proper one. */
export function lamportOf(headers: Pick<Headers, 'get'>): number | undefined {
  const text = headers.get(lamportHeader);
  // 15 digits are below what a number counts exactly.
  return text !== null && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}
