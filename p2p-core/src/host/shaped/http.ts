/**
 * HTTP over shaped paths. A Host's HTTP need not run over its own sockets, so an exchange is shaped as a whole:
 * the request is held for its time on link and path, and so is each part of the answer; in a cut it waits.
 */
import type {
  Address,
  Http,
  HttpHandler,
  HttpInit,
  HttpServer,
  HttpServerOptions,
  Network,
} from '../host.ts';
import { HostError } from '../host.ts';
import { Crossing, streamWireBytes } from './link.ts';
import { LEAST_RETRY_MS, type Path, type Shape } from './shape.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** Request line or status, and headers. */
const HEAD_BYTES = 400;
/** Parts of an answer that may be on a path with delay at once. */
const PARTS_UNDER_WAY = 16;

export class ShapedHttp implements Http {
  readonly #http: Http;
  readonly #net: Network;
  readonly #shape: Shape;

  constructor(components: { http: Http; net: Network; shape: Shape }) {
    this.#http = components.http;
    this.#net = components.net;
    this.#shape = components.shape;
  }

  async fetch(url: string, init: HttpInit = {}): Promise<Response> {
    const exchange = new Exchange(this.#shape, url, init);
    try {
      const passage = new Passage(this.#shape, await this.#hostOf(url), exchange.signal);
      if (!passage.isPlainOut) await exchange.orEnd(passage.goOut(HEAD_BYTES + lengthOf(init.body)));
      const { signal, leftMs } = exchange;
      const response = await exchange.orEnd(this.#http.fetch(url, { ...init, signal, timeoutMs: leftMs }));
      if (!passage.isPlainIn) await exchange.orEnd(passage.comeIn(HEAD_BYTES));
      if (response.body === null) {
        exchange.end();
        return response;
      }
      const { status, statusText, headers } = response;
      const body = shapeBody(response.body, {
        pass: async (bytes) => {
          if (!passage.isPlainIn) await exchange.orEnd(passage.comeIn(bytes));
        },
        ahead: () => 1,
        failed: (error) => exchange.failure ?? error,
        ended: () => exchange.end(),
      });
      return new Response(body, { status, statusText, headers });
    } catch (error) {
      exchange.end();
      throw exchange.failure ?? error;
    }
  }

  async serve(local: Address, handler: HttpHandler, options?: HttpServerOptions): Promise<HttpServer> {
    return this.#http.serve(local, (request, remote) => this.#serve(request, remote, handler), options);
  }

  async #serve(request: Request, remote: Address, handler: HttpHandler): Promise<Response> {
    const passage = new Passage(this.#shape, remote.host, request.signal);
    if (!passage.isPlainIn)
      await passage.comeIn(HEAD_BYTES + Number(request.headers.get('content-length') ?? 0));
    // It waited until its sender gave it up: it never got here, and nobody hears the answer.
    if (request.signal.aborted) return new Response(null, { status: 503 });
    const response = await handler(request, remote);
    if (!passage.isPlainOut) await passage.goOut(HEAD_BYTES);
    if (response.body === null) return response;
    const { status, statusText, headers } = response;
    const body = shapeBody(response.body, {
      pass: async (bytes) => {
        if (!passage.isPlainOut) await passage.goOut(bytes);
      },
      ahead: () => (passage.isPlainOut ? 1 : PARTS_UNDER_WAY),
      failed: (error) => error,
      ended: () => undefined,
    });
    return new Response(body, { status, statusText, headers });
  }

  /** The address that decides about the path; a name where it makes no difference, or is nobody's. */
  async #hostOf(url: string): Promise<string> {
    const name = URL.parse(url)?.hostname.replace(/^\[|\]$/g, '') ?? '';
    if (!this.#shape.hasNamedPaths || name === '') return name;
    try {
      return (await this.#net.resolve(name))[0] ?? name;
    } catch {
      return name;
    }
  }
}

/** The two ways between this machine and one remote. Waiting ends, too, when nobody waits for the exchange any more. */
class Passage {
  readonly #shape: Shape;
  readonly #host: string;
  readonly #signal: AbortSignal;
  #lastOutMs = 0;

  constructor(shape: Shape, host: string, signal: AbortSignal) {
    this.#shape = shape;
    this.#host = host;
    this.#signal = signal;
  }

  get isPlainOut(): boolean {
    return this.#path.isPlain && !this.#shape.up.isLimited;
  }

  get isPlainIn(): boolean {
    return !this.#path.isCutIn && !this.#shape.down.isLimited;
  }

  async goOut(bytes: number): Promise<void> {
    const { clock } = this.#shape;
    await this.#uncut('isCutOut');
    if (this.#shape.up.isLimited) await this.#cross('up', bytes);
    const atMs = clock.now() + this.#shape.drawDelayMs(this.#path) + this.#lossMs();
    this.#lastOutMs = Math.max(this.#lastOutMs, atMs);
    const waitMs = this.#lastOutMs - clock.now();
    if (waitMs > 0) await new Promise<void>((resolve) => clock.setTimer(waitMs, resolve));
    await this.#uncut('isCutOut');
  }

  async comeIn(bytes: number): Promise<void> {
    await this.#uncut('isCutIn');
    if (this.#shape.down.isLimited) await this.#cross('down', bytes);
  }

  get #path(): Path {
    return this.#shape.pathOf(this.#host);
  }

  #cross(way: 'up' | 'down', bytes: number): Promise<void> | undefined {
    if (bytes === 0 || this.#signal.aborted) return undefined;
    return new Promise((resolve) => {
      const over = (): void => {
        this.#signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        crossing.cancel();
        over();
      };
      this.#signal.addEventListener('abort', giveUp);
      const crossing = new Crossing(this.#shape[way], streamWireBytes(bytes), over);
    });
  }

  #lossMs(): number {
    const path = this.#path;
    if (path.isCutOut) return 0;
    return this.#shape.drawRetriesMs(path, Math.max(LEAST_RETRY_MS, 4 * path.delayMs));
  }

  #uncut(way: 'isCutIn' | 'isCutOut'): Promise<void> | undefined {
    if (!this.#path[way] || this.#signal.aborted) return undefined;
    return new Promise((resolve) => {
      const go = (): void => {
        if (this.#path[way] && !this.#signal.aborted) return;
        forget();
        this.#signal.removeEventListener('abort', go);
        resolve();
      };
      const forget = this.#shape.onChange(go);
      this.#signal.addEventListener('abort', go);
    });
  }
}

/** One request of ours: its time limit and its end. */
class Exchange {
  readonly #shape: Shape;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #deadlineMs: number;
  readonly #timer: { cancel(): void } | undefined;
  readonly #ended: Promise<never>;
  #reject!: (error: HostError) => void;
  readonly #onAbort = (): void =>
    this.#fail(new HostError('closed', 'the request was given up by its caller'));
  /** Why it ended before its time. */
  failure: HostError | undefined;

  constructor(shape: Shape, url: string, { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: HttpInit) {
    this.#shape = shape;
    this.#caller = signal;
    this.#deadlineMs = shape.clock.now() + timeoutMs;
    this.#ended = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#ended.catch(() => undefined);
    if (Number.isFinite(timeoutMs))
      this.#timer = shape.clock.setTimer(timeoutMs, () =>
        this.#fail(
          new HostError(
            'timeout',
            `${url} did not answer within ${timeoutMs} ms; check that it is up, or allow more time`,
          ),
        ),
      );
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get leftMs(): number {
    return this.#deadlineMs - this.#shape.clock.now();
  }

  /** `work`, or the failure that ends the exchange first. */
  orEnd<T>(work: Promise<T>): Promise<T> {
    return Promise.race([this.#ended, work]);
  }

  end(): void {
    this.#timer?.cancel();
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }

  #fail(error: HostError): void {
    this.failure ??= error;
    this.#controller.abort(error);
    this.#reject(error);
  }
}

interface BodyShape {
  /** Resolves when a part of so many bytes has passed. */
  pass(bytes: number): Promise<void>;
  /** How many parts may be read before the first of them has passed. */
  ahead(): number;
  failed(error: unknown): unknown;
  ended(): void;
}

type Part = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>['read']>>;

/** `body` with each part in its time. */
function shapeBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  shape: BodyShape,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const underWay: Promise<Part>[] = [];
  const next = async (): Promise<Part> => {
    const part = await reader.read();
    if (!part.done) await shape.pass(part.value.length);
    return part;
  };
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          while (underWay.length < shape.ahead() || underWay.length === 0) {
            const part = next();
            // It is told of in its turn, if its turn comes.
            part.catch(() => undefined);
            underWay.push(part);
          }
          const { done, value } = await underWay.shift()!;
          if (!done) return controller.enqueue(value);
          shape.ended();
          controller.close();
        } catch (error) {
          shape.ended();
          reader.cancel(error).catch(() => undefined);
          controller.error(shape.failed(error));
        }
      },
      cancel: async (reason) => {
        shape.ended();
        await reader.cancel(reason).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function lengthOf(body: string | Uint8Array | undefined): number {
  return body?.length ?? 0;
}
