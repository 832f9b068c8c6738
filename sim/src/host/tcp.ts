/**
 * One end of a simulated TCP connection: handshake, orderly end, reset, and the meeting of the two stream
 * halves with the process's handler. What the kernel does (accept, acknowledge, retransmit, refuse) goes on
 * while the process is paused; the handler is called through the process's gate. How bytes get from end to
 * end is in data-path.ts.
 */
import type {
  Address,
  Content,
  OutgoingBlock,
  PieceBuffer,
  TcpConnection,
  TcpHandler,
} from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import { SimContent } from './content.ts';
import { DataPath, type DataPathComponents, type DataPathOwner } from './data-path.ts';
import { Handshake, type HandshakeOwner } from './handshake.ts';
import type { ListenerBinding, Machine } from './machine.ts';
import type { ReceiveStream } from './receive-stream.ts';
import { BlockRun, type SendStream, slicesOf } from './send-stream.ts';

export type TcpComponents = DataPathComponents;

export interface TcpEnds {
  readonly local: Address;
  readonly remote: Address;
  /** The machine at the other end; undefined where the address is nobody's. */
  readonly remoteMachine: Machine | undefined;
}

const HIGH_WATER_BYTES = 2 ** 20;

export class TcpEndpoint implements TcpConnection, DataPathOwner, HandshakeOwner {
  readonly local: Address;
  readonly remote: Address;
  readonly #components: TcpComponents;
  readonly #remoteMachine: Machine | undefined;
  readonly #data: DataPath;
  readonly #sender: SendStream;
  readonly #receiver: ReceiveStream;
  #handler: TcpHandler | undefined;
  #peer: TcpEndpoint | undefined;
  #phase: 'connecting' | 'opening' | 'open' | 'closed' = 'connecting';
  #handshake: Handshake | undefined;
  /** The kernel has forgotten the connection: what still arrives is answered with a reset. */
  #isGone = false;
  #isEndTold = false;
  #wasAboveHighWater = false;
  #isInputHeld = false;
  /** A paused process will look into the stream when it goes on. */
  #isDeliveryHeld = false;

  constructor(components: TcpComponents, ends: TcpEnds) {
    this.#components = components;
    this.local = ends.local;
    this.remote = ends.remote;
    this.#remoteMachine = ends.remoteMachine;
    this.#data = new DataPath(components, this, ends.remoteMachine);
    this.#sender = this.#data.sender;
    this.#receiver = this.#data.receiver;
    if (!components.process.isDead) components.machine.connections.add(this);
  }

  // -------------------------------------------------------------- TcpConnection

  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  get highWaterBytes(): number {
    return HIGH_WATER_BYTES;
  }

  send(bytes: Uint8Array): void {
    if (!this.#canSend()) return;
    this.#sender.push(bytes);
    this.#pump();
  }

  sendBlocks(content: Content, blocks: readonly OutgoingBlock[]): void {
    if (!this.#canSend() || blocks.length === 0) return;
    if (!(content instanceof SimContent)) throw new TypeError('the content belongs to another Host');
    let lengthBytes = 0;
    for (const { header, length } of blocks) lengthBytes += header.length + length;
    const run = new BlockRun(lengthBytes);
    this.#sender.pushRun(run);
    content.readBlocks(blocks, (outcome) => {
      if (this.#phase === 'closed') return;
      if ('error' in outcome) this.#failRead(outcome.error);
      else this.#sender.fillRun(run, slicesOf(blocks, outcome.value));
    });
    this.#pump();
  }

  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    this.#receiver.receivePayload(length, target, targetOffset);
  }

  close(): void {
    if (!this.#canSend()) return;
    this.#sender.end();
    this.#finishIfOver();
  }

  destroy(error?: HostError): void {
    if (this.#phase === 'closed' || this.#components.process.isDead) return;
    this.#reset();
    this.#finish(error);
  }

  holdInput(isHeld: boolean): void {
    if (this.#isInputHeld === isHeld || this.#phase === 'closed') return;
    this.#isInputHeld = isHeld;
    if (isHeld) return;
    this.#receiver.showAgain();
    this.#components.process.later(0, () => this.#deliver());
  }

  // -------------------------------------------------------------- the simulator's own side

  /** Starts the handshake. */
  connect(handler: TcpHandler, timeoutMs?: number): void {
    this.#handler = handler;
    this.#handshake = new Handshake(this.#components.process, this);
    this.#handshake.start(timeoutMs);
  }

  /** The listener's end: the process is asked for its handler when it runs. */
  accepted(accept: (connection: TcpConnection) => TcpHandler): void {
    this.#phase = 'opening';
    this.#sender.isOpen = true;
    this.#enter(() => {
      if (this.#phase === 'closed') return;
      this.#handler = accept(this);
      this.#components.process.later(0, () => this.#open());
    });
  }

  /** The process or machine ended. A kernel that lives tells the peer, a machine without power does not. */
  abandon(tellPeer: boolean): void {
    if (tellPeer) this.#reset();
    this.#isGone = true;
    this.#phase = 'closed';
    this.#sender.drop();
    this.#receiver.drop();
  }

  // -------------------------------------------------------------- DataPathOwner

  get isGone(): boolean {
    return this.#isGone;
  }

  takesData(): boolean {
    // A reset may get lost: then what arrived comes again, and finds another one.
    if (this.#isGone) this.#sendReset();
    // Of what comes before the answer to our SYN nothing is kept.
    return !this.#isGone && this.#phase !== 'connecting';
  }

  onArrived(): void {
    this.#deliver();
  }

  onSent(): void {
    if (this.#wasAboveHighWater && this.#sender.queuedBytes < HIGH_WATER_BYTES / 2) {
      this.#wasAboveHighWater = false;
      this.#components.process.later(0, () => {
        if (this.#phase === 'open') this.#enter(() => this.#handler?.onDrain?.());
      });
    }
    this.#finishIfOver();
  }

  onStalled(): void {
    this.#isGone = true;
    this.#finish(new HostError('timeout', `${this.remote.host} stopped acknowledging what was sent.`));
  }

  // -------------------------------------------------------------- handshake

  /** See HandshakeOwner. */
  sendSyn(): boolean {
    const remoteMachine = this.#remoteMachine;
    if (remoteMachine === undefined) return false;
    const { machine, now } = this.#components;
    machine.nat?.noteSent('tcp', this.local.port, remoteMachine.ordinal, now());
    this.#data.sendControl('tcp-connect', () => this.#synArrives(remoteMachine));
    return true;
  }

  /** See HandshakeOwner. */
  giveUp(error: HostError): void {
    this.#reset();
    this.#finish(error);
  }

  /** Runs at the remote machine. */
  #synArrives(remoteMachine: Machine): void {
    if (!remoteMachine.isOn || this.#isGone) return;
    if (this.#peer !== undefined) {
      this.#peer.#answerSyn();
      return;
    }
    const { host, port } = this.remote;
    const { machine, now } = this.#components;
    const { nat } = remoteMachine;
    if (!this.#data.isLoopback && nat?.mayReach('tcp', port, machine.ordinal, now()) === false) return;
    const listener = remoteMachine.listeners.at(host, port);
    if (listener === undefined) this.#refuse(remoteMachine);
    else this.#accept(listener);
  }

  #accept(listener: ListenerBinding): void {
    const peer = listener.makeEndpoint(this);
    this.#meet(peer);
    peer.#meet(this);
    peer.#answerSyn();
    listener.accept(peer);
  }

  #meet(peer: TcpEndpoint): void {
    this.#peer = peer;
    this.#data.peer = peer.#data;
  }

  #answerSyn(): void {
    const client = this.#peer;
    if (client !== undefined) this.#data.sendControl('tcp-accept', () => client.#establish());
  }

  #refuse(remoteMachine: Machine): void {
    const { fabric, machine } = this.#components;
    fabric.sendControl(remoteMachine, machine, 0, () => {
      if (this.#phase !== 'connecting') return;
      this.#isGone = true;
      const { host, port } = this.remote;
      this.#finish(new HostError('refused', `Nobody listens at port ${port} of ${host}.`));
    });
  }

  /** The answer to our SYN is here. */
  #establish(): void {
    if (this.#isGone) this.#sendReset();
    if (this.#phase !== 'connecting') return;
    this.#handshake?.end();
    this.#handshake = undefined;
    this.#phase = 'opening';
    this.#sender.isOpen = true;
    this.#sender.pump();
    this.#components.process.enter(() => this.#open());
  }

  #open(): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'open';
    this.#enter(() => this.#handler?.onOpen?.());
    this.#deliver();
  }

  // -------------------------------------------------------------- the process

  /** Whether the handler may be given more. */
  get isOpen(): boolean {
    return this.#phase === 'open' && !this.#isInputHeld;
  }

  #deliver(): void {
    const handler = this.#handler;
    if (this.#phase !== 'open' || handler === undefined) return;
    const { process } = this.#components;
    if (process.state !== 'running') {
      if (this.#isDeliveryHeld) return;
      this.#isDeliveryHeld = true;
      process.enter(() => {
        this.#isDeliveryHeld = false;
        this.#deliver();
      });
      return;
    }
    try {
      this.#receiver.deliver(handler, this);
    } catch (error) {
      this.#fail(error);
    }
    this.#data.noteRead();
    if (!this.#isInputOver || this.#isEndTold || this.#phase !== 'open') return;
    this.#isEndTold = true;
    if (handler.onEnd === undefined) this.close();
    else this.#enter(() => handler.onEnd?.());
    this.#finishIfOver();
  }

  /** Whether the handler has been shown all that the peer will ever send. */
  get #isInputOver(): boolean {
    return this.#data.hasPeerEnded && this.#receiver.isShown && !this.#isInputHeld;
  }

  #pump(): void {
    const sender = this.#sender;
    sender.pump();
    if (sender.queuedBytes > HIGH_WATER_BYTES) this.#wasAboveHighWater = true;
  }

  // -------------------------------------------------------------- ends

  #failRead(error: unknown): void {
    const failure =
      error instanceof HostError ? error : new HostError('io', 'The disk failed a read.', { cause: error });
    this.#enter(() => this.#handler?.onReadError?.(failure));
    this.destroy(failure);
  }

  /** Tells the peer's kernel and forgets the connection. */
  #reset(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#sendReset();
  }

  #sendReset(): void {
    const peer = this.#peer;
    if (peer !== undefined) this.#data.sendControl('tcp-reset', () => peer.#resetArrives());
  }

  #resetArrives(): void {
    if (this.#isGone || !this.#components.machine.isOn) return;
    this.#isGone = true;
    this.#finish(new HostError('reset', `${this.remote.host} broke the connection off.`));
  }

  #finishIfOver(): void {
    if (this.#sender.isEndSent && this.#isInputOver) this.#finish(undefined);
  }

  /** Tells the process, once. An orderly end leaves the sender to have its last bytes acknowledged. */
  #finish(error: HostError | undefined): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    const { process, machine } = this.#components;
    machine.connections.delete(this);
    this.#handshake?.end();
    this.#handshake = undefined;
    if (this.#isGone) this.#sender.drop();
    this.#receiver.drop();
    const handler = this.#handler;
    if (handler !== undefined) process.later(0, () => handler.onClose(error));
  }

  // -------------------------------------------------------------- small things

  #canSend(): boolean {
    return this.#phase !== 'closed' && !this.#sender.wantsEnd && !this.#components.process.isDead;
  }

  /** Calls the handler; a throw costs the connection. */
  #enter(callback: () => void): void {
    this.#components.process.enter(() => {
      try {
        callback();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #fail(error: unknown): void {
    // The Host's own verdict on the bytes is told to the handler, not reported as its mistake.
    if (error instanceof HostError && error.code === 'too-large') {
      this.destroy(error);
      return;
    }
    this.#components.process.report(error);
    this.destroy(new HostError('io', 'The handler of the connection threw.', { cause: error }));
  }
}
