/** Network over the system's sockets and resolver. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { addressFamily, formatAddress } from '../address.ts';
import type { Address, Network, TcpConnection, TcpHandler, TcpListener, UdpSocket } from '../host.ts';
import { HostError } from '../host.ts';
import { hostErrorFrom } from './errors.ts';
import { connectTcp, listenTcp, plainAddress, type TcpContext } from './tcp.ts';

/** Enough for the bursts of a DHT node; the system may grant less. */
const UDP_BUFFER_BYTES = 2 ** 20;

export class NodeNetwork implements Network {
  readonly #context: TcpContext;
  constructor(context: TcpContext) {
    this.#context = context;
  }

  connectTcp(remote: Address, handler: TcpHandler, options?: { timeoutMs?: number }): TcpConnection {
    return connectTcp(this.#context, remote, handler, options?.timeoutMs);
  }

  listenTcp(local: Address, accept: (connection: TcpConnection) => TcpHandler): Promise<TcpListener> {
    return listenTcp(this.#context, local, accept);
  }

  async bindUdp(local: Address, onMessage: (message: Uint8Array, from: Address) => void): Promise<UdpSocket> {
    const family = addressFamily(local.host);
    if (family === undefined)
      throw new HostError('address-unavailable', `${local.host} is not an IP literal; resolve names first`);
    const socket = createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      ipv6Only: family === 6,
      recvBufferSize: UDP_BUFFER_BYTES,
      // Addresses are literals: looked up at once, a message leaves in the call that sends it.
      lookup: (host, _options, callback) => callback(null, host, family),
    });
    await new Promise<void>((resolve, reject) => {
      const fail = (error: unknown): void => {
        socket.close();
        reject(hostErrorFrom(error, `binding ${formatAddress(local)}`));
      };
      socket.once('error', fail);
      socket.bind({ address: local.host, port: local.port, exclusive: true }, () => {
        socket.off('error', fail);
        resolve();
      });
    });
    // Errors of single messages (nobody there, no route) are loss like any other.
    socket.on('error', () => {});
    socket.on('message', (message, from) =>
      this.#context.guard(() =>
        // Not as a Buffer, whose `slice` shares memory where every other one copies.
        onMessage(
          new Uint8Array(message.buffer, message.byteOffset, message.length),
          plainAddress(from.address, from.port),
        ),
      ),
    );
    const bound = socket.address();
    let closed = false;
    const close = (): void => {
      if (closed) return;
      closed = true;
      this.#context.open.delete(entry);
      socket.close();
    };
    const entry = { destroy: close };
    this.#context.open.add(entry);
    return {
      local: plainAddress(bound.address, bound.port),
      send: (message, to) => {
        if (closed || addressFamily(to.host) !== family || !(to.port > 0 && to.port < 65536)) return;
        socket.send(Buffer.from(message), to.port, to.host, () => {});
      },
      close,
    };
  }

  async resolve(name: string): Promise<readonly string[]> {
    try {
      const found = await lookup(name, { all: true, order: 'ipv4first' });
      if (found.length > 0) return found.map(({ address }) => plainAddress(address, 0).host);
    } catch (error) {
      throw new HostError('name-not-found', hostErrorFrom(error, `looking up ${name}`).message, {
        cause: error,
      });
    }
    throw new HostError('name-not-found', `${name} has no address`);
  }
}
