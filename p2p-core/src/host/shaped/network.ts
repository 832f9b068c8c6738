/** A network whose paths have delay, loss and cuts, and whose links have rates. */
import { addressFamily, formatAddress } from '../address.ts';
import type { Address, Network, TcpConnection, TcpHandler, TcpListener, Timer, UdpSocket } from '../host.ts';
import { HostError } from '../host.ts';
import type { Path, Shape } from './shape.ts';
import { ShapedTcp, type TcpContext } from './tcp.ts';
import { ShapedUdp } from './udp.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** When a connection's first packet is sent again (RFC 6298, 2.1); the time doubles each time. */
const FIRST_SYN_RETRY_MS = 1_000;

export class ShapedNetwork implements Network {
  readonly #net: Network;
  readonly #shape: Shape;
  readonly #context: TcpContext;

  constructor(components: { net: Network; shape: Shape }) {
    this.#net = components.net;
    this.#shape = components.shape;
    this.#context = { shape: this.#shape, open: new Set(), unshown: new Set() };
    this.#shape.onChange(() => {
      for (const connection of [...this.#context.open]) connection.refresh();
    });
  }

  connectTcp(
    remote: Address,
    handler: TcpHandler,
    { timeoutMs = CONNECT_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): TcpConnection {
    const unconnected = { host: addressFamily(remote.host) === 6 ? '::' : '0.0.0.0', port: 0 };
    const connection = new ShapedTcp(this.#context, remote, unconnected);
    const { clock } = this.#shape;
    const startedMs = clock.now();
    const begin = (): void => {
      const leftMs = Math.max(1, timeoutMs - (clock.now() - startedMs));
      connection.connected(this.#net.connectTcp(remote, connection, { timeoutMs: leftMs }));
    };
    const path = this.#shape.pathOf(remote.host);
    if (path.isPlain && !path.isCutIn) {
      connection.connecting(handler, () => undefined);
      begin();
      return connection;
    }
    const attempt = new Attempt(this.#shape, remote.host, {
      timeoutMs,
      begin,
      fail: () =>
        connection.failed(
          new HostError('timeout', `${formatAddress(remote)} did not answer in ${timeoutMs} ms`),
        ),
    });
    connection.connecting(handler, () => attempt.cancel());
    return connection;
  }

  listenTcp(local: Address, accept: (connection: TcpConnection) => TcpHandler): Promise<TcpListener> {
    return this.#net.listenTcp(local, (inner) => {
      const connection = new ShapedTcp(this.#context, inner.remote, inner.local);
      connection.accepted(inner, accept);
      return connection;
    });
  }

  async bindUdp(local: Address, onMessage: (message: Uint8Array, from: Address) => void): Promise<UdpSocket> {
    const socket: ShapedUdp = new ShapedUdp(this.#shape, onMessage);
    socket.bound(await this.#net.bindUdp(local, (message, from) => socket.arrived(message, from)));
    return socket;
  }

  resolve(name: string): Promise<readonly string[]> {
    return this.#net.resolve(name);
  }
}

/** An attempt to connect: sends its first packet, again and again until one gets there and its answer back. */
class Attempt {
  readonly #shape: Shape;
  readonly #host: string;
  readonly #begin: () => void;
  readonly #deadline: Timer | undefined;
  #next: Timer | undefined;

  constructor(
    shape: Shape,
    host: string,
    { timeoutMs, begin, fail }: { timeoutMs: number; begin: () => void; fail: () => void },
  ) {
    this.#shape = shape;
    this.#host = host;
    this.#begin = begin;
    if (Number.isFinite(timeoutMs))
      this.#deadline = shape.clock.setTimer(timeoutMs, () => {
        this.cancel();
        fail();
      });
    this.#try(FIRST_SYN_RETRY_MS);
  }

  cancel(): void {
    this.#deadline?.cancel();
    this.#next?.cancel();
  }

  #try(retryMs: number): void {
    const { clock } = this.#shape;
    const path = this.#path;
    if (path.isCutIn || path.isCutOut || this.#shape.draw(path.lossRate)) {
      this.#next = clock.setTimer(retryMs, () => this.#try(2 * retryMs));
      return;
    }
    this.#next = clock.setTimer(this.#shape.drawDelayMs(path), () => {
      const { isCutIn, isCutOut } = this.#path;
      if (isCutIn || isCutOut) return this.#try(retryMs);
      this.cancel();
      this.#begin();
    });
  }

  get #path(): Path {
    return this.#shape.pathOf(this.#host);
  }
}
