/**
 * One connection of the peer wire: handshake, framing, keep-alive, and where a block's payload goes.
 * What messages mean is the session's business (`peer.ts`); this is only how they travel. A remote that
 * breaks the protocol is disconnected with a reason, and nothing thrown leaves the socket's callbacks.
 */
import { equalBytes, toHex } from '../bytes.ts';
import type {
  Address,
  Clock,
  HostError,
  PieceBuffer,
  TcpConnection,
  TcpHandler,
  Timer,
} from '../host/host.ts';
import {
  type Block,
  decodeHandshake,
  decodeMessage,
  encodeHandshake,
  encodeMessage,
  HANDSHAKE_LENGTH,
  type Handshake,
  type HandshakeFlags,
  type OutgoingMessage,
  type PeerMessage,
  type WireCursor,
  WireError,
} from '../wire/peer-messages.ts';

export const HANDSHAKE_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 100_000;
const SILENCE_MS = 180_000;
/**
 * Messages that may be sent to a peer that does not read: its queue is full of blocks already, and every one of
 * its messages may call for an answer.
 */
export const MAX_UNREAD_MESSAGES = 20_000;

/** Messages that carry no payload to be skipped or stored. */
export type SessionMessage = Exclude<PeerMessage, { type: 'piece' | 'unknown' | 'keep-alive' }>;

/** Who a connection is for, once the handshake has told. May throw WireError from its message callbacks. */
export interface PeerSession {
  onMessage(message: SessionMessage): void;
  /** A block comes: where to put it, or undefined to drop it. `onBlockArrived` follows only if it is put. */
  onBlock(block: Block): { buffer: PieceBuffer; offset: number } | undefined;
  onBlockArrived(): void;
  /** All that had come at once has been told; the time to answer in one go. */
  onTurnEnd(): void;
  onDrain(): void;
  /** Once. `error` is set if content of ours could not be read. */
  onClose(reason: string, error?: HostError): void;
}

export interface PeerConnectionOptions {
  /** Infohash to ask for: of an outgoing connection. An incoming one leaves it out, and answers what it is asked. */
  readonly infoHash?: Uint8Array;
  /** Whether an incoming connection may be for this torrent at all. */
  readonly isServed?: (infoHash: Uint8Array) => boolean;
  readonly peerId: Uint8Array;
  readonly supports: HandshakeFlags;
  /** The remote's handshake has come: gives the session, or the reason to disconnect. */
  readonly welcome: (connection: PeerConnection, handshake: Handshake) => PeerSession | string;
  /** Once, when the connection ended, whether it ever had a session or not; after the session's own `onClose`. */
  readonly onEnd?: (connection: PeerConnection, reason: string) => void;
}

export class PeerConnection implements TcpHandler {
  readonly #clock: Clock;
  readonly #options: PeerConnectionOptions;
  readonly #cursor: WireCursor = { offset: 0 };
  readonly #handshakeTimer: Timer;
  #tcp!: TcpConnection;
  #session: PeerSession | undefined;
  #remoteSupports: HandshakeFlags | undefined;
  #peerIdHex: string | undefined;
  #closeReason: string | undefined;
  #readError: HostError | undefined;
  #isBlockComing = false;
  /** Sent since the queue was last below its high-water mark. */
  #unreadMessages = 0;
  #receivedMs: number;
  #sentMs: number;

  constructor(components: { clock: Clock }, options: PeerConnectionOptions) {
    this.#clock = components.clock;
    this.#options = options;
    this.#receivedMs = this.#clock.now();
    this.#sentMs = this.#receivedMs;
    this.#handshakeTimer = this.#clock.setTimer(HANDSHAKE_TIMEOUT_MS, () =>
      this.close('The peer did not complete the handshake in time.'),
    );
  }

  /** Must be called at once with the connection that this is the handler of. */
  attach(tcp: TcpConnection): void {
    this.#tcp = tcp;
  }

  get tcp(): TcpConnection {
    return this.#tcp;
  }

  get remoteAddress(): Address {
    return this.#tcp.remote;
  }

  get isOutgoing(): boolean {
    return this.#options.infoHash !== undefined;
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
  }

  /** What the remote said that it speaks. Only from `welcome` on. */
  get remoteSupports(): HandshakeFlags {
    return this.#remoteSupports!;
  }

  /** Only from `welcome` on. */
  get peerIdHex(): string {
    return this.#peerIdHex!;
  }

  /** Both sides speak the fast extension. */
  get isFast(): boolean {
    return this.#options.supports.fast && this.remoteSupports.fast;
  }

  send(message: OutgoingMessage): void {
    this.sendBytes(encodeMessage(message));
  }

  sendBytes(bytes: Uint8Array): void {
    if (this.isClosed || bytes.length === 0) return;
    this.#sentMs = this.#clock.now();
    if (this.#tcp.queuedBytes < this.#tcp.highWaterBytes) this.#unreadMessages = 0;
    else if (++this.#unreadMessages > MAX_UNREAD_MESSAGES) {
      this.close('The peer does not read what it is sent.');
      return;
    }
    this.#tcp.send(bytes);
  }

  /** Drops the connection. The session hears of it later, by `onClose`. */
  close(reason: string): void {
    if (this.isClosed) return;
    this.#closeReason = reason;
    this.#tcp.destroy();
  }

  /** To be called every few seconds: keeps the connection alive, or ends it if the remote has gone silent. */
  tick(nowMs: number): void {
    if (nowMs - this.#receivedMs > SILENCE_MS) this.close('The peer was silent for three minutes.');
    else if (nowMs - this.#sentMs > KEEP_ALIVE_MS) this.send({ type: 'keep-alive' });
  }

  // -------------------------------------------------------------- TcpHandler

  onOpen(): void {
    if (this.isOutgoing) this.#sendHandshake(this.#options.infoHash!);
  }

  onBytes(view: Uint8Array): number {
    if (this.isClosed) return view.length;
    this.#receivedMs = this.#clock.now();
    this.#cursor.offset = 0;
    try {
      if (this.#session === undefined && !this.#readHandshake(view)) return this.isClosed ? view.length : 0;
      this.#readMessages(view);
      if (!this.isClosed) this.#session?.onTurnEnd();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.close(error.message);
    }
    return this.#cursor.offset;
  }

  onPayload(): void {
    if (!this.#isBlockComing || this.isClosed) return;
    this.#isBlockComing = false;
    this.#receivedMs = this.#clock.now();
    this.#session?.onBlockArrived();
  }

  onDrain(): void {
    if (!this.isClosed) this.#session?.onDrain();
  }

  onReadError(error: HostError): void {
    this.#readError = error;
  }

  onClose(error?: HostError): void {
    this.#handshakeTimer.cancel();
    const reason = this.#closeReason ?? error?.message ?? 'The peer closed the connection.';
    this.#closeReason = reason;
    const session = this.#session;
    this.#session = undefined;
    session?.onClose(reason, this.#readError);
    this.#options.onEnd?.(this, reason);
  }

  // -------------------------------------------------------------- reading

  /** True once there is a session to go on with. */
  #readHandshake(view: Uint8Array): boolean {
    const handshake = decodeHandshake(view);
    if (handshake === undefined) return false;
    const asked = this.#options.infoHash;
    if (asked !== undefined && !equalBytes(asked, handshake.infoHash)) {
      throw new WireError('bad-handshake', 'The peer answered for another torrent.');
    }
    this.#cursor.offset = HANDSHAKE_LENGTH;
    this.#remoteSupports = handshake.supports;
    this.#peerIdHex = toHex(handshake.peerId);
    this.#handshakeTimer.cancel();
    if (asked === undefined) {
      if (this.#options.isServed?.(handshake.infoHash) === false) {
        throw new WireError('bad-handshake', 'The peer wants a torrent that is not here.');
      }
      this.#sendHandshake(handshake.infoHash);
    }
    const session = this.#options.welcome(this, handshake);
    if (typeof session === 'string') {
      // What was sent still arrives, so that the peer learns who refused it: itself, perhaps.
      this.#closeReason = session;
      this.#tcp.close();
      return false;
    }
    this.#session = session;
    return true;
  }

  #sendHandshake(infoHash: Uint8Array): void {
    const { peerId, supports } = this.#options;
    this.sendBytes(encodeHandshake({ infoHash, peerId, supports }));
  }

  #readMessages(view: Uint8Array): void {
    while (!this.isClosed) {
      const message = decodeMessage(view, this.#cursor);
      if (message === undefined) return;
      if (message.type === 'piece') {
        const target = this.#session!.onBlock(message);
        this.#isBlockComing = target !== undefined;
        this.#tcp.receivePayload(message.length, target?.buffer, target?.offset ?? 0);
        return;
      }
      if (message.type === 'unknown') {
        if (message.length === 0) continue;
        this.#tcp.receivePayload(message.length, undefined, 0);
        return;
      }
      if (message.type !== 'keep-alive') this.#session!.onMessage(message);
    }
  }
}
