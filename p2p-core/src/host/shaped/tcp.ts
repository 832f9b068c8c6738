/**
 * One shaped connection: stands between the handler and a connection of the Host beneath. While nothing is
 * done to its path it passes everything by; conditions may change at any time.
 */
import type {
  Address,
  Content,
  OutgoingBlock,
  PieceBuffer,
  TcpConnection,
  TcpHandler,
  Timer,
} from '../host.ts';
import { HostError } from '../host.ts';
import type { Path, Shape } from './shape.ts';
import { ShapedContent } from './storage.ts';
import { StreamReceiver } from './stream-receiver.ts';
import { StreamSender } from './stream-sender.ts';

const HIGH_WATER_BYTES = 2 ** 20;
/** How often a queue that the connection beneath has taken over is looked at: it tells of its own drains only. */
const DRAIN_POLL_MS = 5;
/** Linux's default backlog of a listener. */
const MOST_UNSHOWN = 128;
const UNCONNECTED: TcpHandler = { onBytes: () => 0, onClose: () => undefined };

/** Why input is held back. */
type Hold = 'link' | 'cut' | 'handler' | 'unaccepted' | 'over';

/** What connections of one Host share. */
export interface TcpContext {
  readonly shape: Shape;
  /** Those that must hear of changed conditions. */
  readonly open: Set<ShapedTcp>;
  /** Those that arrived through a cut and wait to be shown. */
  readonly unshown: Set<ShapedTcp>;
}

export class ShapedTcp implements TcpConnection, TcpHandler {
  readonly remote: Address;
  readonly #context: TcpContext;
  readonly #sender: StreamSender;
  readonly #receiver: StreamReceiver;
  readonly #holds = new Set<Hold>();
  readonly #unconnected: Address;
  #path: Path;
  #inner: TcpConnection | undefined;
  #handler: TcpHandler = UNCONNECTED;
  #isOpen = false;
  #isClosing = false;
  #isDestroyed = false;
  /** The handler was told, or will be in a moment, that it is over; the connection beneath may live on. */
  #isOver = false;
  /** The connection beneath has ended, and with what. */
  #innerEnd: { readonly error: HostError | undefined } | undefined;
  /** Nothing is to be done to what is sent: it passes by. */
  #isPassing = false;
  #aboveHighWater = false;
  #drainTimer: Timer | undefined;
  /** Of a connection that arrived during a cut. */
  #accept: ((connection: TcpConnection) => TcpHandler) | undefined;
  /** Takes back an attempt to connect that was not begun yet. */
  #cancelAttempt: (() => void) | undefined;

  constructor(context: TcpContext, remote: Address, unconnected: Address) {
    this.#context = context;
    this.remote = remote;
    this.#unconnected = unconnected;
    const { shape } = context;
    this.#path = shape.pathOf(remote.host);
    const connection = this;
    this.#sender = new StreamSender({
      shape,
      sink: {
        get path() {
          return connection.#path;
        },
        get isOpen() {
          return connection.#isOpen;
        },
        sendBytes: (bytes) => this.#inner?.send(bytes),
        sendBlocks: (content, blocks) => this.#inner?.sendBlocks(content.inner, blocks),
        ended: (kind) => (kind === 'end' ? this.#inner?.close() : this.#inner?.destroy()),
        taken: () => this.#lookAtQueue(),
        readFailed: (error) => this.#readFailed(error),
        timedOut: () => this.#giveUp(),
      },
    });
    this.#receiver = new StreamReceiver({
      link: shape.down,
      source: {
        get handler() {
          return connection.#handler;
        },
        payloadCrossed: () => this.#call(() => this.#handler.onPayload?.()),
        holdForLink: (isHeld) => this.#hold('link', isHeld),
      },
    });
    this.#hold('cut', this.#path.isCutIn);
    context.open.add(this);
  }

  // ---------------------------------------------------------------- how it comes to be

  /** An attempt to connect that the network has still to let through; `connected` or `failed` follow. */
  connecting(handler: TcpHandler, cancelAttempt: () => void): void {
    this.#handler = handler;
    this.#cancelAttempt = cancelAttempt;
  }

  connected(inner: TcpConnection): void {
    this.#cancelAttempt = undefined;
    this.#inner = inner;
    if (this.#holds.size > 0) inner.holdInput(true);
    this.#passAgain();
  }

  /** The attempt failed before there was a connection beneath. */
  failed(error: HostError): void {
    this.#innerEnd ??= { error };
    this.#tellClose(error);
  }

  /** A connection that arrived; one from behind a cut waits to be shown. */
  accepted(inner: TcpConnection, accept: (connection: TcpConnection) => TcpHandler): void {
    this.connected(inner);
    if (!this.#path.isCutIn && !this.#path.isCutOut) {
      this.#handler = this.#acceptBy(accept);
      return;
    }
    this.#accept = accept;
    this.#context.unshown.add(this);
    this.#hold('unaccepted', true);
    if (this.#context.unshown.size > MOST_UNSHOWN) inner.destroy();
  }

  /** Conditions changed. */
  refresh(): void {
    const { shape } = this.#context;
    this.#path = shape.pathOf(this.remote.host);
    this.#isPassing = false;
    const isCut = this.#path.isCutIn || this.#path.isCutOut;
    if (this.#accept !== undefined && !isCut) shape.clock.setTimer(0, () => this.#acceptLate());
    this.#hold('cut', this.#path.isCutIn);
    const end = this.#innerEnd;
    if (end !== undefined && !this.#isOver && !this.#path.isCutIn)
      return void shape.clock.setTimer(0, () => this.#tellClose(end.error));
    // From here on the queue beneath is a part of ours.
    if (this.#inner !== undefined && this.#inner.queuedBytes > this.highWaterBytes / 2)
      this.#aboveHighWater = true;
    this.#sender.refresh();
    this.#passAgain();
  }

  // ---------------------------------------------------------------- TcpConnection

  get local(): Address {
    return this.#inner?.local ?? this.#unconnected;
  }

  get highWaterBytes(): number {
    return this.#inner?.highWaterBytes ?? HIGH_WATER_BYTES;
  }

  get queuedBytes(): number {
    return this.#sender.queuedBytes + (this.#inner?.queuedBytes ?? 0);
  }

  send(bytes: Uint8Array): void {
    if (this.#isPassing || this.#passAgain()) return void this.#inner!.send(bytes);
    if (this.#isClosing || this.#isOver) return;
    this.#sender.send(bytes);
    this.#lookAtQueue();
  }

  sendBlocks(content: Content, blocks: readonly OutgoingBlock[]): void {
    if (!(content instanceof ShapedContent)) throw new TypeError('the content belongs to another Host');
    const isPlain = this.#context.shape.disk.isPlain;
    if (isPlain && (this.#isPassing || this.#passAgain()))
      return void this.#inner!.sendBlocks(content.inner, blocks);
    if (this.#isClosing || this.#isOver) return;
    this.#isPassing = false;
    this.#sender.sendBlocks(content, blocks);
    this.#lookAtQueue();
  }

  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    if (this.#inner === undefined) throw new Error('receivePayload is called from inside onBytes only');
    this.#inner.receivePayload(length, target, targetOffset);
    this.#receiver.payloadAsked(length);
  }

  holdInput(isHeld: boolean): void {
    if (!isHeld) this.#receiver.offerAgain();
    this.#hold('handler', isHeld);
  }

  close(): void {
    if (this.#isClosing || this.#isOver) return;
    this.#isClosing = true;
    if (this.#isPassing || this.#passAgain()) this.#inner!.close();
    else this.#sender.end();
    this.#isPassing = false;
  }

  destroy(error?: HostError): void {
    if (this.#isOver) return;
    const isPlain = this.#path.isPlain && !this.#path.isCutIn && this.#sender.isLineEmpty;
    if (this.#inner === undefined || this.#innerEnd !== undefined || !isPlain) return void this.#end(error);
    this.#isClosing = this.#isDestroyed = true;
    this.#isPassing = false;
    this.#sender.stop();
    this.#receiver.stop();
    this.#inner.destroy(error);
  }

  // ---------------------------------------------------------------- TcpHandler, of the connection beneath

  onOpen(): void {
    this.#isOpen = true;
    if (this.#accept === undefined && !this.#isOver) this.#handler.onOpen?.();
    this.#sender.refresh();
  }

  onBytes(view: Uint8Array): number {
    return this.#isOver ? view.length : this.#receiver.onBytes(view);
  }

  onPayload(): void {
    if (!this.#isOver) this.#receiver.onPayload();
  }

  onDrain(): void {
    if (!this.#isPassing) return void this.#lookAtQueue();
    this.#aboveHighWater = false;
    this.#handler.onDrain?.();
  }

  onEnd(): void {
    if (this.#isOver) return;
    if (this.#handler.onEnd === undefined) this.close();
    else this.#handler.onEnd();
  }

  onReadError(error: HostError): void {
    if (!this.#isOver) this.#handler.onReadError?.(error);
  }

  onClose(error?: HostError): void {
    this.#innerEnd = { error };
    this.#isPassing = false;
    this.#sender.stop();
    this.#receiver.stop();
    this.#context.unshown.delete(this);
    if (this.#isOver || this.#accept !== undefined) return void this.#context.open.delete(this);
    // What the far end did is not heard of through a cut.
    const isFar = !this.#isDestroyed && this.#isOpen && (error === undefined || error.code === 'reset');
    if (!isFar || !this.#path.isCutIn) this.#tellClose(error);
  }

  // ---------------------------------------------------------------- passing by

  #mayPass(): boolean {
    return (
      this.#inner !== undefined &&
      this.#path.isPlain &&
      !this.#path.isCutIn &&
      !this.#context.shape.up.isLimited &&
      !this.#isClosing &&
      !this.#isOver &&
      this.#sender.isIdle
    );
  }

  /** Whether what held the stream back is gone, and nothing is left of it to be overtaken. */
  #passAgain(): boolean {
    this.#isPassing = this.#mayPass();
    return this.#isPassing;
  }

  /** Tells of a drain, later, when the whole queue has fallen so far. */
  #lookAtQueue(): void {
    const { queuedBytes, highWaterBytes } = this;
    if (queuedBytes > highWaterBytes) this.#aboveHighWater = true;
    if (!this.#aboveHighWater || this.#drainTimer !== undefined || this.#isOver) return;
    const isLow = queuedBytes < highWaterBytes / 2;
    const isUntold = this.#sender.queuedBytes === 0 && queuedBytes <= highWaterBytes;
    if (!isLow && !isUntold) return;
    this.#drainTimer = this.#context.shape.clock.setTimer(isLow ? 0 : DRAIN_POLL_MS, () => {
      this.#drainTimer = undefined;
      if (this.queuedBytes >= highWaterBytes / 2) return this.#lookAtQueue();
      if (!this.#aboveHighWater || this.#isOver) return;
      this.#aboveHighWater = false;
      this.#call(() => this.#handler.onDrain?.());
    });
  }

  // ---------------------------------------------------------------- holding back

  #hold(reason: Hold, isHeld: boolean): void {
    const wasHeld = this.#holds.size > 0;
    if (isHeld) this.#holds.add(reason);
    else this.#holds.delete(reason);
    if (wasHeld !== this.#holds.size > 0) this.#inner?.holdInput(!wasHeld);
  }

  #acceptLate(): void {
    const accept = this.#accept;
    if (accept === undefined || this.#innerEnd !== undefined) return;
    if (this.#path.isCutIn || this.#path.isCutOut) return;
    this.#accept = undefined;
    this.#context.unshown.delete(this);
    const isBroken = this.#context.shape.callGuarded(() => {
      this.#handler = this.#acceptBy(accept);
    });
    if (isBroken) return;
    this.#context.shape.clock.setTimer(0, () => {
      if (this.#isOpen && !this.#isOver) this.#call(() => this.#handler.onOpen?.());
      this.#hold('unaccepted', false);
    });
  }

  #acceptBy(accept: (connection: TcpConnection) => TcpHandler): TcpHandler {
    try {
      return accept(this);
    } catch (error) {
      this.#isOver = true;
      this.#context.open.delete(this);
      this.#inner?.destroy();
      throw error;
    }
  }

  // ---------------------------------------------------------------- ends

  #readFailed(error: HostError): void {
    if (this.#isOver) return;
    this.#call(() => this.#handler.onReadError?.(error));
    this.destroy(error);
  }

  #giveUp(): void {
    if (this.#isOver) return void this.#inner?.destroy();
    const { host } = this.remote;
    this.#end(new HostError('timeout', `${host} stopped answering; check that it is up and reachable`));
  }

  /** Over for the handler. The far end hears of it as the path lets it. */
  #end(error: HostError | undefined): void {
    this.#isOver = true;
    this.#isPassing = false;
    this.#receiver.stop();
    this.#cancelAttempt?.();
    this.#hold('over', true);
    if (this.#inner === undefined || this.#innerEnd !== undefined) {
      this.#sender.stop();
      this.#context.open.delete(this);
    } else {
      this.#sender.reset();
    }
    this.#context.shape.clock.setTimer(0, () => this.#call(() => this.#handler.onClose(error)));
  }

  #tellClose(error: HostError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isPassing = false;
    this.#sender.stop();
    this.#context.open.delete(this);
    this.#call(() => this.#handler.onClose(error));
  }

  /** Calls the handler out of our own work; a throw is reported and costs the connection. */
  #call(callback: () => void): void {
    if (!this.#context.shape.callGuarded(callback)) return;
    this.destroy(new HostError('io', 'the handler of the connection threw'));
  }
}
