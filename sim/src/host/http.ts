/** Http of a simulated machine: exchanges with other machines of its world, through the simulated network. */
import type {
  Address,
  Http,
  HttpHandler,
  HttpInit,
  HttpServer,
  HttpServerOptions,
} from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import { HttpExchange } from './http-client.ts';
import { ServedRequest } from './http-server.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimNetwork } from './sockets.ts';
import type { TcpEndpoint } from './tcp.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_REDIRECTS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class SimHttp implements Http {
  readonly #process: SimProcess;
  readonly #net: SimNetwork;
  readonly #now: () => number;

  constructor(components: { process: SimProcess; net: SimNetwork; now: () => number }) {
    this.#process = components.process;
    this.#net = components.net;
    this.#now = components.now;
  }

  async fetch(url: string, init: HttpInit = {}): Promise<Response> {
    const deadlineMs = this.#now() + (init.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    let target = httpUrl(url);
    let request = init;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#exchange(target, request, deadlineMs - this.#now());
      const location = response.headers.get('location');
      if (!REDIRECTS.has(response.status) || location === null) return response;
      await response.body?.cancel();
      if (redirects === MAX_REDIRECTS)
        throw new HostError(
          'unreachable',
          `${url} redirects more than ${MAX_REDIRECTS} times. Ask its owner.`,
        );
      target = httpUrl(location, target);
      if (response.status < 307 && request.method !== 'HEAD') {
        const { body: _body, ...rest } = request;
        request = { ...rest, method: 'GET' };
      }
    }
  }

  /** What is simulated cannot be overheard: `tls` changes nothing, and every server is trusted. */
  async serve(local: Address, handler: HttpHandler, options?: HttpServerOptions): Promise<HttpServer> {
    const open = new Set<TcpEndpoint>();
    const listener = await this.#net.listen(local, (connection) => {
      open.add(connection);
      const onOver = () => open.delete(connection);
      return new ServedRequest({ process: this.#process, connection, onOver }, handler, options);
    });
    return {
      local: listener.local,
      close: async () => {
        const closed = listener.close();
        for (const connection of open) connection.destroy();
        await closed;
      },
    };
  }

  #exchange(url: URL, init: HttpInit, timeoutMs: number): Promise<Response> {
    return this.#process.promise((resolve, reject) => {
      const { signal } = init;
      const aborted = () => new HostError('closed', 'The caller gave the exchange up.');
      if (signal?.aborted === true) {
        reject(aborted());
        return;
      }
      const onAbort = () => exchange.fail(aborted());
      const onOver = () => {
        this.#process.cancel(timeout);
        signal?.removeEventListener('abort', onAbort);
      };
      const exchange = new HttpExchange({ process: this.#process, onOver }, url, init, { resolve, reject });
      const timeout = this.#process.later(Math.max(0, timeoutMs), () =>
        exchange.fail(
          new HostError('timeout', `${url.host} took more than ${init.timeoutMs ?? timeoutMs} ms.`),
        ),
      );
      signal?.addEventListener('abort', onAbort);
      const name = url.hostname.replace(/^\[|\]$/g, '');
      this.#net.resolve(name).then(
        (addresses) => exchange.start(this.#net, addresses[0]!),
        (error: HostError) => exchange.fail(error),
      );
    });
  }
}

function httpUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new HostError('unreachable', `${text} is not an http or https address. Correct it.`);
  return url;
}
