/** TCP over node:net: one connection, its two halves, and how it ends. */
import { connect, createServer, type Server, Socket } from 'node:net';
import { addressFamily, formatAddress, formatIp, parseIp } from '../address.ts';
import type {
  Address,
  Content,
  OutgoingBlock,
  PieceBuffer,
  TcpConnection,
  TcpHandler,
  TcpListener,
} from '../host.ts';
import { HostError } from '../host.ts';
import type { ReadBuffers } from './buffers.ts';
import type { Guard } from './clock.ts';
import { NodeContent } from './content.ts';
import { hostErrorFrom } from './errors.ts';
import { HEADROOM, Inbox, READ_BYTES } from './inbox.ts';
import { HIGH_WATER_BYTES, Outbox } from './outbox.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** After `close`, a peer that neither reads nor ends its side for this long is dropped. */
const LINGER_IDLE_MS = 30_000;

/**
 * All sockets of the thread read into one buffer: it is filled and handed over in one turn, so it is never
 * in two hands, and stays in the cache. Windows hands buffers to the system ahead of time and needs one each.
 */
const sharedReadBuffer = process.platform === 'win32' ? undefined : newReadBuffer();

function newReadBuffer(): Uint8Array {
  return new Uint8Array(HEADROOM + READ_BYTES);
}

/** What connections share. */
export interface TcpContext {
  readonly buffers: ReadBuffers;
  readonly guard: Guard;
  readonly report: (error: unknown) => void;
  /** Connections and listeners that are open, to be ended with the Host. */
  readonly open: Set<{ destroy(): void }>;
  /** Where outgoing connections come from, if not from where the system routes them. */
  readonly outgoingHost: string | undefined;
}

/** A `Socket` whose handle can be given to another one. `_handle` is Node's own: see `adopt` for where it is missing. */
type SocketWithHandle = Socket & { _handle?: { useUserBuffer?: unknown } | null };

export class NodeTcpConnection implements TcpConnection {
  readonly remote: Address;
  readonly highWaterBytes = HIGH_WATER_BYTES;
  #local: Address;
  readonly #context: TcpContext;
  readonly #handler: TcpHandler;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #socket: Socket;
  readonly #readBuffer = sharedReadBuffer ?? newReadBuffer();
  #closing = false;
  #destroyed = false;
  #inputHeld = false;
  #error: HostError | undefined;
  #uncork: (() => void) | undefined;

  constructor(
    context: TcpContext,
    remote: Address,
    local: Address,
    makeHandler: (connection: TcpConnection) => TcpHandler,
    makeSocket: (options: ReadOptions) => Socket,
  ) {
    this.#context = context;
    this.remote = remote;
    this.#local = local;
    this.#outbox = new Outbox(
      {
        write: (bytes, done) => this.#write(bytes, done),
        drained: () => this.#tell(() => this.#handler.onDrain?.()),
        readFailed: (error) => this.#readFailed(error),
        emptied: () => this.#endIfDone(),
      },
      context.buffers,
    );
    this.#socket = makeSocket({
      allowHalfOpen: true,
      onread: {
        buffer: this.#readBuffer.subarray(HEADROOM),
        callback: (length) => this.#tell(() => this.#inbox.feedRead(this.#readBuffer, length)),
      },
    });
    try {
      this.#handler = makeHandler(this);
    } catch (error) {
      this.#socket.destroy();
      throw error;
    }
    this.#inbox = new Inbox(this.#handler, () => !this.#destroyed && !this.#inputHeld);
    this.#listen();
    context.open.add(this);
  }

  get local(): Address {
    return this.#local;
  }

  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  send(bytes: Uint8Array): void {
    if (!this.#closing && !this.#destroyed) this.#outbox.send(bytes);
  }

  sendBlocks(content: Content, blocks: readonly OutgoingBlock[]): void {
    if (!(content instanceof NodeContent)) throw new TypeError('the content belongs to another Host');
    if (!this.#closing && !this.#destroyed) this.#outbox.sendBlocks(content, blocks);
  }

  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    this.#inbox.receivePayload(length, target, targetOffset);
  }

  holdInput(isHeld: boolean): void {
    if (this.#inputHeld === isHeld || this.#destroyed) return;
    this.#inputHeld = isHeld;
    if (isHeld) this.#socket.pause();
    else process.nextTick(() => this.#letInput());
  }

  close(): void {
    if (this.#closing || this.#destroyed) return;
    this.#closing = true;
    this.#socket.setTimeout(LINGER_IDLE_MS);
    this.#endIfDone();
  }

  destroy(error?: HostError): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#error ??= error;
    this.#outbox.stop();
    this.#socket.destroy();
  }

  /** Calls the handler's side; a HostError thrown by our own halves ends the connection, anything else is a fault too. */
  #tell(callback: () => void): boolean {
    if (this.#destroyed) return true;
    try {
      callback();
    } catch (error) {
      if (!(error instanceof HostError)) this.#context.report(error);
      this.destroy(hostErrorFrom(error, `connection with ${formatAddress(this.remote)}`));
    }
    return true;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('end', () => {
      if (this.#handler.onEnd === undefined) this.close();
      else this.#tell(() => this.#handler.onEnd?.());
    });
    socket.on('timeout', () => {
      // Before `close` the only timeout is the one of connecting.
      if (!this.#closing)
        this.#error ??= new HostError('timeout', `${formatAddress(this.remote)} did not answer in time`);
      this.destroy();
    });
    socket.on('error', (error) => {
      this.#error ??= hostErrorFrom(error, `connection with ${formatAddress(this.remote)}`);
    });
    socket.on('close', () => {
      this.#destroyed = true;
      this.#outbox.stop();
      this.#context.open.delete(this);
      this.#context.guard(() => this.#handler.onClose(this.#error));
    });
  }

  /** What was left over comes before what the socket will read. */
  #letInput(): void {
    if (this.#inputHeld || this.#destroyed) return;
    this.#tell(() => this.#inbox.offerAgain());
    if (!this.#inputHeld) this.#socket.resume();
  }

  /** The socket is connected: tells the handler so. */
  opened(): void {
    const { localAddress, localPort } = this.#socket;
    if (localAddress !== undefined && localPort !== undefined)
      this.#local = plainAddress(localAddress, localPort);
    if (!this.#closing) this.#socket.setTimeout(0);
    this.#tell(() => this.#handler.onOpen?.());
  }

  /** Writes of one turn go out together. */
  #write(bytes: Uint8Array, done: (lost: boolean) => void): void {
    if (this.#uncork === undefined) {
      this.#socket.cork();
      this.#uncork = () => {
        this.#uncork = undefined;
        this.#socket.uncork();
      };
      process.nextTick(this.#uncork);
    }
    this.#socket.write(bytes, (error) => done(error !== null && error !== undefined));
  }

  #endIfDone(): void {
    if (this.#closing && this.#outbox.queuedBytes === 0) this.#socket.end();
  }

  #readFailed(error: unknown): void {
    const failure = hostErrorFrom(error, 'reading a block to send');
    this.#tell(() => this.#handler.onReadError?.(failure));
    this.destroy(failure);
  }
}

interface ReadOptions {
  readonly allowHalfOpen: true;
  readonly onread: { readonly buffer: Uint8Array; readonly callback: (length: number) => boolean };
}

export function connectTcp(
  context: TcpContext,
  remote: Address,
  handler: TcpHandler,
  timeoutMs = CONNECT_TIMEOUT_MS,
): TcpConnection {
  const unspecified = { host: addressFamily(remote.host) === 6 ? '::' : '0.0.0.0', port: 0 };
  const connection: NodeTcpConnection = new NodeTcpConnection(
    context,
    remote,
    unspecified,
    () => handler,
    (options) => {
      if (addressFamily(remote.host) === undefined || !(remote.port > 0 && remote.port < 65536)) {
        // No address of anything: ends like any other that cannot be reached, only sooner.
        const socket = new Socket(options);
        const advice = 'resolve names first; ports are 1 to 65535';
        socket.destroy(new HostError('unreachable', `${formatAddress(remote)} is no address: ${advice}`));
        return socket;
      }
      const { outgoingHost } = context;
      const isOfFamily =
        outgoingHost !== undefined && addressFamily(outgoingHost) === addressFamily(remote.host);
      const socket = connect(
        {
          ...options,
          host: remote.host,
          port: remote.port,
          noDelay: true,
          ...(isOfFamily ? { localAddress: outgoingHost } : {}),
        },
        () => connection.opened(),
      );
      if (Number.isFinite(timeoutMs)) socket.setTimeout(Math.max(1, Math.ceil(timeoutMs)));
      return socket;
    },
  );
  return connection;
}

export async function listenTcp(
  context: TcpContext,
  local: Address,
  accept: (connection: TcpConnection) => TcpHandler,
): Promise<TcpListener> {
  const server = createServer({ noDelay: true, pauseOnConnect: true, allowHalfOpen: true });
  await listening(server, local);
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new HostError('io', 'the listener has no address');
  server.on('error', context.report);
  server.on('connection', (socket: Socket) => {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    // Gone before it was accepted.
    if (remoteAddress === undefined || remotePort === undefined) return void socket.destroy();
    context.guard(() => {
      const connection = new NodeTcpConnection(
        context,
        plainAddress(remoteAddress, remotePort),
        plainAddress(localAddress ?? address.address, localPort ?? address.port),
        accept,
        (options) => adopt(socket, options),
      );
      process.nextTick(() => connection.opened());
    });
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    context.open.delete(entry);
    closed ??= new Promise((resolve) => {
      server.close(() => resolve());
    });
    return closed;
  };
  const entry = { destroy: () => void close() };
  context.open.add(entry);
  return { local: plainAddress(address.address, address.port), close };
}

/**
 * Takes an accepted socket's handle into a socket that reads into our buffer, which node:net offers for
 * outgoing connections only. Reads are four times as long that way and allocate nothing. On a Node that does
 * not have what this needs, the socket stays as it is, and what it reads is copied.
 */
function adopt(accepted: SocketWithHandle, options: ReadOptions): Socket {
  const handle = accepted._handle;
  if (typeof handle?.useUserBuffer !== 'function') return copyReads(accepted, options);
  accepted._handle = null;
  accepted.destroy();
  return new Socket({ ...options, handle } as unknown as ConstructorParameters<typeof Socket>[0]);
}

function copyReads(socket: Socket, { onread: { buffer, callback } }: ReadOptions): Socket {
  socket.on('data', (chunk: Uint8Array) => {
    for (let at = 0; at < chunk.length; at += buffer.length) {
      const part = chunk.subarray(at, at + buffer.length);
      buffer.set(part);
      callback(part.length);
    }
  });
  return socket.resume();
}

/** Starts `server` at `local`; rejects with HostError. */
export function listening(server: Server, local: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(hostErrorFrom(error, `listening at ${formatAddress(local)}`));
    server.once('error', fail);
    try {
      server.listen({ host: local.host, port: local.port, exclusive: true }, () => {
        server.off('error', fail);
        resolve();
      });
    } catch (error) {
      fail(error);
    }
  });
}

/** The one spelling of an address the system gave: IPv4 seen through an IPv6 socket is IPv4, scopes are cut off. */
export function plainAddress(host: string, port: number): Address {
  const bytes = parseIp(host.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, ''));
  return { host: bytes === undefined ? host : formatIp(bytes), port };
}
