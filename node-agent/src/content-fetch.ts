/**
 * A file fetched from the web to where a seed looks for its content. It goes on where it was broken off, by the length of
 * what is on disk. Whether it is the right content the torrent's own hashes say afterwards.
 */
import { type Host, sleep } from '@skep/p2p-core/host';

export interface ContentFetchOptions {
  readonly url: string;
  readonly path: string;
  readonly lengthBytes: number;
  /** Told how much is on disk. */
  readonly onProgress: (haveBytes: number) => void;
  readonly signal: AbortSignal;
}

/** In a row, without a byte between them. */
const mostFailures = 8;
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** What the server says no to is not asked again: the address is wrong, or its time is over. */
const refusals = new Set([400, 401, 403, 404, 410]);

/** What asking again will not mend. */
class Refused extends Error {}

/**
 * Resolves when the file is there at its full length. Rejects with a sentence when the server refuses, gives another
 * length, or fails too often; with the signal's reason when that is aborted.
 */
export async function fetchContent(host: Host, options: ContentFetchOptions): Promise<void> {
  const { path, lengthBytes, onProgress, signal } = options;
  await host.files.makeDirectory(path.slice(0, path.lastIndexOf('/')));
  let failures = 0;
  for (;;) {
    const have = await lengthOf(host, path);
    onProgress(have);
    if (have === lengthBytes) return;
    if (have > lengthBytes) await host.files.remove(path);
    try {
      await fetchFrom(host, options, have > lengthBytes ? 0 : have);
      failures = 0;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Refused) throw error;
      failures = (await lengthOf(host, path)) > have ? 1 : failures + 1;
      if (failures >= mostFailures) throw error;
      await sleep(host.clock, Math.min(longestPauseMs, firstPauseMs * 2 ** failures), signal);
    }
  }
}

async function lengthOf(host: Host, path: string): Promise<number> {
  return (await host.files.stat(path))?.sizeBytes ?? 0;
}

/** One request, for what is missing from `from` on. */
async function fetchFrom(host: Host, options: ContentFetchOptions, from: number): Promise<void> {
  const { url, path, lengthBytes, onProgress, signal } = options;
  const headers: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` };
  const response = await host.http.fetch(url, { headers, timeoutMs: Number.POSITIVE_INFINITY, signal });
  const { status, body } = response;
  if (!response.ok || body === null) {
    await body?.cancel();
    const said = `the web address of the content answers ${status}`;
    throw refusals.has(status) ? new Refused(said) : new Error(said);
  }
  let have = from;
  if (from > 0 && status !== 206) {
    // A server that knows no ranges begins anew.
    await host.files.remove(path);
    have = 0;
  }
  for await (const chunk of body) {
    if (have + chunk.length > lengthBytes) {
      await host.files.remove(path);
      throw new Refused(`the web address gives more than the ${lengthBytes} bytes of the torrent`);
    }
    await host.files.append(path, chunk);
    have += chunk.length;
    onProgress(have);
  }
  if (have < lengthBytes) throw new Error(`the web address broke off after ${have} of ${lengthBytes} bytes`);
}
