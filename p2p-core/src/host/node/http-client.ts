/** The Web's fetch with a time limit over the whole exchange, and HostErrors. */
import type { HttpInit } from '../host.ts';
import { HostError } from '../host.ts';
import { hostErrorFrom } from './errors.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** Statuses whose responses have no body; Response refuses to be made with one. */
const BODILESS = new Set([101, 204, 205, 304]);

export async function fetchUrl(url: string, init: HttpInit = {}): Promise<Response> {
  const exchange = new Exchange(url, init);
  try {
    const response = await fetch(url, {
      method: init.method ?? 'GET',
      headers: { ...init.headers },
      body: (init.body ?? null) as NonNullable<RequestInit['body']>,
      signal: exchange.signal,
    });
    const body =
      response.body === null || BODILESS.has(response.status) ? null : exchange.guard(response.body);
    if (body === null) exchange.end();
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  } catch (error) {
    throw exchange.fail(error);
  }
}

/** One request and its answer: its time limit, its end, and what its errors mean. */
class Exchange {
  readonly #url: string;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => {
    this.#controller.abort(new HostError('closed', `the request to ${this.#url} was given up by its caller`));
  };

  constructor(url: string, init: HttpInit) {
    this.#url = url;
    this.#caller = init.signal;
    const timeoutMs = init.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    if (timeoutMs < 2 ** 31)
      this.#timer = setTimeout(() => {
        const message = `${url} did not answer within ${timeoutMs} ms; check that it is up, or allow more time`;
        this.#controller.abort(new HostError('timeout', message));
      }, timeoutMs);
    if (this.#caller?.aborted) this.#onAbort();
    else this.#caller?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }

  /** Ends the exchange, and gives the error to tell: an end of our own making explains all others. */
  fail(error: unknown): HostError {
    this.end();
    const reason: unknown = this.#controller.signal.reason;
    if (reason instanceof HostError) return reason;
    if (isCut(error))
      return new HostError('reset', `${this.#url} ended its answer in the middle`, { cause: error });
    return hostErrorFrom(error, `fetching ${this.#url}`);
  }

  /** `body`, with its errors told as HostErrors and its end ending the exchange. */
  guard(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          try {
            const { done, value } = await reader.read();
            if (!done) return controller.enqueue(value as Uint8Array<ArrayBuffer>);
            this.end();
            controller.close();
          } catch (error) {
            controller.error(this.fail(error));
          }
        },
        cancel: async (reason) => {
          this.end();
          await reader.cancel(reason).catch(() => {});
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/** fetch tells a connection lost in the middle of a body by `terminated`, with or without a code. */
function isCut(error: unknown): boolean {
  return error instanceof TypeError && error.message === 'terminated';
}
