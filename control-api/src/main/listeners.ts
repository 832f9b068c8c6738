/**
 * Where the control API is heard: at one address, over TLS if it has an identity; at a second one, without TLS, by
 * people on this computer; and, as networks of containers come and go, at that of this computer in each of them, on
 * the same port.
 */
import {
  type Address,
  formatAddress,
  type Host,
  type HttpHandler,
  type HttpServer,
  type ServerIdentity,
} from '@skep/p2p-core/host';
import { largestBodyBytes } from '../routes.ts';

/** What machines, and whoever else comes from outside, are answered over TLS. */
export interface Door {
  readonly identity: ServerIdentity;
  readonly handler: HttpHandler;
}

const everywhere = new Set(['0.0.0.0', '::']);

export class Listeners {
  readonly #host: Host;
  readonly #handler: HttpHandler;
  readonly #servers = new Set<HttpServer>();
  readonly #door: Door | undefined;
  #main: Address | undefined;

  constructor(host: Host, handler: HttpHandler, door?: Door) {
    this.#host = host;
    this.#handler = handler;
    this.#door = door;
  }

  /** Gives the address with the port that it got. Rejects HostError. */
  async listen(address: Address): Promise<Address> {
    const { local } = await this.#serve(address, this.#door);
    this.#main = local;
    return local;
  }

  /** Without TLS, so at a loopback address only. Gives it with the port that it got. Rejects HostError. */
  async listenLocally(address: Address): Promise<Address> {
    if (!isLoopback(address.host)) {
      throw new Error(
        `${formatAddress(address)} can be reached by others, who could overhear: listen at 127.0.0.1`,
      );
    }
    return (await this.#serve(address)).local;
  }

  /** Listens at a further address of this computer too. Rejects HostError. */
  async listenAlsoAt(host: string): Promise<{ url: string; close(): Promise<void> }> {
    if (this.#main === undefined) throw new Error('the control API does not listen yet');
    const address = { host, port: this.#main.port };
    const url = `http://${formatAddress(address)}`;
    if (everywhere.has(this.#main.host)) return { url, close: async () => undefined };
    const server = await this.#serve(address);
    return {
      url,
      close: async () => {
        this.#servers.delete(server);
        await server.close();
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers].map((server) => server.close()));
  }

  async #serve(address: Address, door?: Door): Promise<HttpServer> {
    const options = { maxBodyBytes: largestBodyBytes, ...(door && { tls: door.identity }) };
    const server = await this.#host.http.serve(address, door?.handler ?? this.#handler, options);
    this.#servers.add(server);
    return server;
  }
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}
