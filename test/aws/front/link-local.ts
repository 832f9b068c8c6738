/**
 * Where guests bring what they ask at their link-local addresses: metadata over HTTP, names over UDP. They come by the
 * bridge of the network, so that the address of who asks is the instance's own.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Instances } from './instances.ts';
import type { Metadata } from './metadata.ts';
import type { PrivateNames } from './private-names.ts';

export interface LinkLocalPorts {
  readonly metadataPort: number;
  readonly resolverPort: number;
}

export class LinkLocal {
  readonly #instances: Instances;
  readonly #metadata: Metadata;
  readonly #names: PrivateNames;
  readonly #server: Server = createServer((incoming, outgoing) => this.#tell(incoming, outgoing));
  readonly #socket: Socket = createSocket('udp4');

  constructor(components: { instances: Instances; metadata: Metadata; names: PrivateNames }) {
    this.#instances = components.instances;
    this.#metadata = components.metadata;
    this.#names = components.names;
  }

  async listen(host: string): Promise<LinkLocalPorts> {
    this.#socket.on('message', (datagram, { address, port }) => {
      // Nothing is answered to what cannot be: who asks, asks again.
      this.#names.answer(datagram).then(
        (answer) => this.#socket.send(answer, port, address),
        () => {},
      );
    });
    this.#server.listen(0, host);
    this.#socket.bind(0, host);
    await Promise.all([once(this.#server, 'listening'), once(this.#socket, 'listening')]);
    return {
      metadataPort: (this.#server.address() as { port: number }).port,
      resolverPort: this.#socket.address().port,
    };
  }

  async close(): Promise<void> {
    const closed = Promise.all([once(this.#server, 'close'), once(this.#socket, 'close')]);
    this.#server.close();
    this.#server.closeAllConnections();
    this.#socket.close();
    await closed;
  }

  #tell({ socket, method = '', url = '', headers }: IncomingMessage, outgoing: ServerResponse): void {
    const instance = this.#instances.at(socket.remoteAddress ?? '');
    const answer =
      instance === undefined
        ? { status: 404, body: '' }
        : this.#metadata.answer(instance, {
            method,
            path: new URL(url, 'http://metadata').pathname,
            headers,
          });
    outgoing.writeHead(answer.status, { 'content-type': 'text/plain' }).end(answer.body);
  }
}
