/** Waiting for what must come true: conditions with generous deadlines, never a pause as proof. */

/** Resolves after about `ms` of wall clock. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until there is an answer; rejects with what was awaited, and `state`, if it does not come. */
export async function until<T>(
  awaited: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 60_000, everyMs = 20, state = () => '' as string | Promise<string> } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms for ${awaited}: it did not come. ${await state()}`);
    }
    await pause(everyMs);
  }
}
