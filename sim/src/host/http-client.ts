/** One HTTP request of a simulated machine and its answer, over a simulated connection of its own. */
import type { HttpInit, TcpHandler } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import type { Frame, ResponseHead } from './http-frames.ts';
import { encodeBody, encodeEnd, encodeHead, readFrames } from './http-frames.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimNetwork } from './sockets.ts';
import type { TcpEndpoint } from './tcp.ts';

const STATUSES_WITHOUT_BODY = new Set([101, 103, 204, 205, 304]);
const BODY_BUFFER_BYTES = 64 * 1024;

export class HttpExchange implements TcpHandler {
  readonly #process: SimProcess;
  readonly #url: URL;
  readonly #init: HttpInit;
  readonly #settle: { resolve: (response: Response) => void; reject: (error: unknown) => void };
  #connection: TcpEndpoint | undefined;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  #phase: 'head' | 'body' | 'over' = 'head';
  #isHeld = false;
  readonly #onOver: () => void;

  constructor(
    components: { process: SimProcess; onOver: () => void },
    url: URL,
    init: HttpInit,
    settle: { resolve: (response: Response) => void; reject: (error: unknown) => void },
  ) {
    this.#process = components.process;
    this.#onOver = components.onOver;
    this.#url = url;
    this.#init = init;
    this.#settle = settle;
  }

  /** Sends the request to the first of the server's addresses. */
  start(net: SimNetwork, host: string): void {
    if (this.#phase === 'over') return;
    const { protocol, port, pathname, search, host: authority } = this.#url;
    const remote = { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
    const { method = 'GET', headers = {}, body } = this.#init;
    const connection = net.connect(remote, this, Number.POSITIVE_INFINITY);
    this.#connection = connection;
    const head = { method, target: pathname + search, authority, headers: Object.entries(headers) };
    connection.send(encodeHead(head));
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
    if (bytes !== undefined) for (const frame of encodeBody(bytes)) connection.send(frame);
    connection.send(encodeEnd());
  }

  fail(error: HostError): void {
    if (this.#phase === 'over') return;
    const wasHead = this.#phase === 'head';
    this.#end();
    this.#connection?.destroy();
    if (wasHead) this.#settle.reject(error);
    else this.#body?.error(error);
  }

  onBytes(view: Uint8Array): number {
    return readFrames<ResponseHead>(view, (frame) => this.#take(frame));
  }

  onClose(error?: HostError): void {
    this.fail(error ?? new HostError('reset', `${this.#url.host} ended the exchange early. Try again.`));
  }

  #take(frame: Frame<ResponseHead>): void {
    if (this.#phase === 'over') return;
    if (frame.kind === 'head') {
      this.#phase = 'body';
      this.#settle.resolve(this.#responseOf(frame.head));
    } else if (frame.kind === 'body') {
      this.#body?.enqueue(frame.bytes);
      if ((this.#body?.desiredSize ?? 1) <= 0) this.#hold(true);
    } else {
      this.#end();
      this.#body?.close();
      this.#connection?.close();
    }
  }

  #responseOf({ status, headers }: ResponseHead): Response {
    const init = { status, headers: headers.map(([name, value]): [string, string] => [name, value]) };
    if (STATUSES_WITHOUT_BODY.has(status) || this.#init.method === 'HEAD') return new Response(null, init);
    const source = {
      start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
        this.#body = controller;
      },
      pull: () => this.#hold(false),
      cancel: () => {
        this.#end();
        this.#connection?.destroy();
      },
    };
    const strategy = { highWaterMark: BODY_BUFFER_BYTES, size: (part?: Uint8Array) => part?.length ?? 0 };
    return new Response(new ReadableStream(source, strategy), init);
  }

  /** A slow reader slows the sender down. */
  #hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld || this.#process.isDead) return;
    this.#isHeld = isHeld;
    this.#connection?.holdInput(isHeld);
  }

  #end(): void {
    this.#phase = 'over';
    this.#onOver();
  }
}
