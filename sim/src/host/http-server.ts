/** One HTTP request that a simulated machine serves, from the connection's first byte to its end. */
import type { Address, HostError, HttpHandler, HttpServerOptions, TcpHandler } from '@skep/p2p-core/host';
import { joinSlices } from './extent.ts';
import type { Frame, RequestHead } from './http-frames.ts';
import { encodeBody, encodeEnd, encodeHead, readFrames } from './http-frames.ts';
import type { SimProcess } from './sim-process.ts';
import type { TcpEndpoint } from './tcp.ts';

const DEFAULT_BODY_BYTES = 2 ** 20;

export class ServedRequest implements TcpHandler {
  readonly #process: SimProcess;
  readonly #connection: TcpEndpoint;
  readonly #handler: HttpHandler;
  readonly #maxBodyBytes: number;
  readonly #onOver: () => void;
  readonly #aborter = new AbortController();
  #head: RequestHead | undefined;
  #body: Uint8Array[] = [];
  #bodyBytes = 0;
  #isAnswered = false;
  #isClosed = false;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #onRoom: (() => void) | undefined;

  constructor(
    components: { process: SimProcess; connection: TcpEndpoint; onOver: () => void },
    handler: HttpHandler,
    { maxBodyBytes = DEFAULT_BODY_BYTES }: HttpServerOptions = {},
  ) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#process = components.process;
    this.#connection = components.connection;
    this.#onOver = components.onOver;
    this.#handler = handler;
  }

  onBytes(view: Uint8Array): number {
    return readFrames<RequestHead>(view, (frame) => this.#take(frame));
  }

  onDrain(): void {
    const onRoom = this.#onRoom;
    this.#onRoom = undefined;
    onRoom?.();
  }

  onClose(_error?: HostError): void {
    this.#isClosed = true;
    this.#onOver();
    this.#aborter.abort();
    this.#reader?.cancel().catch(() => undefined);
  }

  #take(frame: Frame<RequestHead>): void {
    if (frame.kind === 'head') {
      this.#head = frame.head;
    } else if (frame.kind === 'body') {
      this.#bodyBytes += frame.bytes.length;
      if (this.#bodyBytes <= this.#maxBodyBytes) this.#body.push(frame.bytes);
      else this.#body = [];
    } else if (this.#head !== undefined && !this.#isAnswered) {
      this.#isAnswered = true;
      void this.#answer(this.#head);
    }
  }

  async #answer(head: RequestHead): Promise<void> {
    try {
      const response = await this.#respond(head);
      if (this.#isClosed || this.#process.isDead) {
        await response.body?.cancel();
        return;
      }
      this.#connection.send(encodeHead({ status: response.status, headers: [...response.headers] }));
      if (head.method !== 'HEAD' && response.body !== null) await this.#stream(response.body);
      this.#connection.send(encodeEnd());
      this.#connection.close();
    } catch (error) {
      // The handler's body failed; unless that is because its reader left, it is the handler's mistake.
      if (!this.#isClosed && !this.#process.isDead) this.#process.report(error);
      this.#connection.destroy();
    }
  }

  async #respond(head: RequestHead): Promise<Response> {
    if (this.#bodyBytes > this.#maxBodyBytes) return new Response('The body is too large.', { status: 413 });
    try {
      return await this.#handler(this.#requestOf(head), this.#remote());
    } catch (error) {
      this.#process.report(error);
      return new Response('The server failed on this request.', { status: 500 });
    }
  }

  #requestOf({ method, target, authority, headers }: RequestHead): Request {
    const hasBody = method !== 'GET' && method !== 'HEAD';
    return new Request(`http://${authority}${target}`, {
      method,
      headers: headers.map(([name, value]): [string, string] => [name, value]),
      signal: this.#aborter.signal,
      ...(hasBody && this.#bodyBytes > 0 ? { body: new Uint8Array(joinSlices(this.#body)) } : {}),
    });
  }

  async #stream(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    this.#reader = reader;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#isClosed) return;
      for (const frame of encodeBody(value)) this.#connection.send(frame);
      if (this.#connection.queuedBytes > this.#connection.highWaterBytes)
        await new Promise<void>((resolve) => {
          this.#onRoom = resolve;
        });
    }
  }

  #remote(): Address {
    return this.#connection.remote;
  }
}
