/**
 * One end of a simulated TCP connection: handshake, orderly end, reset, and the meeting of the two
 * stream halves with the process's handler. What the kernel does (accept, acknowledge, retransmit,
 * refuse) goes on while the process is paused; the handler is called through the process's gate.
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
import type { SimEvent } from './event-queue.ts';
import type { Fabric } from './fabric.ts';
import type { ListenerBinding, Machine } from './machine.ts';
import { ReceiveStream } from './receive-stream.ts';
import type { Chunk, SendLink } from './send-stream.ts';
import { SendStream, TCP_WINDOW_BYTES } from './send-stream.ts';
import type { SimProcess } from './sim-process.ts';
import type { Trace } from './trace.ts';

export interface TcpComponents {
  readonly process: SimProcess;
  readonly machine: Machine;
  readonly fabric: Fabric;
  readonly trace: Trace;
  readonly now: () => number;
}

export interface TcpEnds {
  readonly local: Address;
  readonly remote: Address;
  /** The machine at the other end; undefined where the address is nobody's. */
  readonly remoteMachine: Machine | undefined;
}

const HEADER_BYTES = 52;
const SEGMENT_BYTES = 1_448;
const FIRST_SYN_RETRY_MS = 1_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 20_000;
/** How long a peer may leave bytes unacknowledged before the connection counts as dead. */
const STALL_TIMEOUT_MS = 20_000;
const UNREACHABLE_AFTER_MS = 20;

export class TcpEndpoint implements TcpConnection, SendLink {
  readonly local: Address;
  readonly remote: Address;
  readonly highWaterBytes = 2 ** 20;
  readonly #components: TcpComponents;
  readonly #remoteMachine: Machine | undefined;
  readonly #sender: SendStream;
  readonly #receiver: ReceiveStream;
  #handler: TcpHandler | undefined;
  #peer: TcpEndpoint | undefined;
  #phase: 'connecting' | 'opening' | 'open' | 'closed' = 'connecting';
  /** The kernel has forgotten the connection: what still arrives is answered with a reset. */
  #isGone = false;
  #receivedBytes = 0;
  #ackableBytes = 0;
  #hasPeerEnded = false;
  #isEndTold = false;
  #wasAboveHighWater = false;
  #isInputHeld = false;
  #connectTimeout: SimEvent | undefined;
  #synRetry: SimEvent | undefined;
  /** A stream's segments never overtake each other. */
  #notBeforeMs = 0;

  constructor(components: TcpComponents, ends: TcpEnds) {
    this.#components = components;
    this.local = ends.local;
    this.remote = ends.remote;
    this.#remoteMachine = ends.remoteMachine;
    this.#sender = new SendStream(this, STALL_TIMEOUT_MS);
    this.#receiver = new ReceiveStream(() => this.#phase === 'open' && !this.#isInputHeld);
    if (!components.process.isDead) components.machine.connections.add(this);
  }

  // -------------------------------------------------------------- TcpConnection

  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  send(bytes: Uint8Array): void {
    if (!this.#canSend()) return;
    this.#sender.push({ slices: [bytes], isPayload: false }, bytes.length);
    this.#pumpSoon();
  }

  sendBlocks(content: Content, blocks: readonly OutgoingBlock[]): void {
    if (!this.#canSend()) return;
    if (!(content instanceof SimContent)) throw new TypeError('the content belongs to another Host');
    const items = blocks.map(({ header, length }) => {
      this.#sender.push({ slices: [header], isPayload: false }, header.length);
      const item: { slices: readonly Uint8Array[] | undefined; isPayload: boolean } = {
        slices: undefined,
        isPayload: true,
      };
      this.#sender.push(item, length);
      return item;
    });
    content.readBlocks(blocks, (outcome) => {
      if (this.#phase === 'closed') return;
      if ('error' in outcome) {
        this.#failRead(outcome.error);
        return;
      }
      for (const [i, item] of items.entries()) item.slices = [outcome.value[i]!.bytes()];
      this.#pump();
    });
    this.#pumpSoon();
  }

  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    this.#receiver.receivePayload(length, target, targetOffset);
  }

  close(): void {
    if (!this.#canSend()) return;
    this.#sender.end();
    this.#pump();
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
  connect(handler: TcpHandler, timeoutMs = DEFAULT_CONNECT_TIMEOUT_MS): void {
    this.#handler = handler;
    const { process } = this.#components;
    this.#connectTimeout = process.laterInKernel(timeoutMs, () => {
      this.#reset();
      this.#finish(new HostError('timeout', `${this.remote.host} did not answer in ${timeoutMs} ms.`));
    });
    if (this.#remoteMachine === undefined) {
      this.#synRetry = process.laterInKernel(UNREACHABLE_AFTER_MS, () => {
        this.#finish(new HostError('unreachable', `No machine has the address ${this.remote.host}.`));
      });
      return;
    }
    this.#sendSyn(this.#remoteMachine, FIRST_SYN_RETRY_MS);
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

  // -------------------------------------------------------------- SendLink

  nowMs(): number {
    return this.#components.now();
  }

  transmit(chunk: Chunk): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    this.#sendPacket(
      wireBytes(chunk.lengthBytes),
      () => peer.#arrive(chunk),
      () => this.#sender.noteLoss(),
    );
  }

  canMerge(): boolean {
    const { machine } = this.#components;
    return machine.up.isUnlimited && this.#remoteMachine?.down.isUnlimited === true;
  }

  roundTripMs(): number {
    const { fabric, machine } = this.#components;
    const remote = this.#remoteMachine ?? machine;
    return fabric.paths.latencyMs(machine, remote) + fabric.paths.latencyMs(remote, machine);
  }

  laterInKernel(delayMs: number, work: () => void): void {
    this.#components.process.laterInKernel(delayMs, work);
  }

  onStalled(): void {
    this.#isGone = true;
    this.#finish(new HostError('timeout', `${this.remote.host} stopped acknowledging what was sent.`));
  }

  // -------------------------------------------------------------- handshake

  #sendSyn(remoteMachine: Machine, retryMs: number): void {
    this.#trace('tcp-connect', remoteMachine, 0);
    this.#sendPacket(HEADER_BYTES, () => this.#synArrives(remoteMachine), noReaction);
    this.#synRetry = this.#components.process.laterInKernel(retryMs, () => {
      this.#sendSyn(remoteMachine, retryMs * 2);
    });
  }

  /** Runs at the remote machine. */
  #synArrives(remoteMachine: Machine): void {
    if (!remoteMachine.isOn || this.#isGone) return;
    if (this.#peer !== undefined) {
      this.#peer.#answerSyn();
      return;
    }
    const listener = remoteMachine.listeners.at(this.remote.host, this.remote.port);
    if (listener === undefined) this.#refuse(remoteMachine);
    else this.#accept(listener);
  }

  #accept(listener: ListenerBinding): void {
    const peer = listener.makeEndpoint(this);
    this.#peer = peer;
    peer.#peer = this;
    peer.#answerSyn();
    listener.accept(peer);
  }

  #answerSyn(): void {
    const client = this.#peer;
    if (client === undefined || this.#remoteMachine === undefined) return;
    this.#trace('tcp-accept', this.#remoteMachine, 0);
    this.#sendPacket(HEADER_BYTES, () => client.#establish(), noReaction);
  }

  #refuse(remoteMachine: Machine): void {
    this.#components.fabric.sendSegment(
      remoteMachine,
      this.#components.machine,
      HEADER_BYTES,
      0,
      () => {
        if (this.#phase !== 'connecting') return;
        this.#isGone = true;
        const { host, port } = this.remote;
        this.#finish(new HostError('refused', `Nobody listens at port ${port} of ${host}.`));
      },
      noReaction,
    );
  }

  /** The answer to our SYN is here. */
  #establish(): void {
    if (this.#isGone) this.#sendReset();
    if (this.#phase !== 'connecting') return;
    this.#endHandshake();
    this.#phase = 'opening';
    this.#sender.isOpen = true;
    this.#pump();
    this.#components.process.enter(() => this.#open());
  }

  #endHandshake(): void {
    for (const event of [this.#connectTimeout, this.#synRetry])
      if (event !== undefined) this.#components.process.cancel(event);
    this.#connectTimeout = undefined;
    this.#synRetry = undefined;
  }

  #open(): void {
    if (this.#phase !== 'opening') return;
    this.#phase = 'open';
    this.#enter(() => this.#handler?.onOpen?.());
    this.#deliver();
  }

  // -------------------------------------------------------------- data

  /** A chunk reaches this machine. */
  #arrive(chunk: Chunk): void {
    const { machine } = this.#components;
    if (!machine.isOn) {
      if (this.#peer !== undefined) this.#peer.#sender.noteLoss();
      return;
    }
    if (this.#isGone) {
      this.#sendReset();
      return;
    }
    if (chunk.offset === this.#receivedBytes) {
      chunk.hasArrived = true;
      this.#receivedBytes += chunk.lengthBytes;
      this.#components.trace.add(
        this.nowMs(),
        chunk.isEnd ? 'tcp-end' : 'tcp-data',
        this.#remoteMachine ?? machine,
        machine,
        chunk.lengthBytes,
      );
      if (chunk.isEnd) this.#hasPeerEnded = true;
      else this.#receiver.push(chunk.slices);
      if (this.#phase === 'open') this.#components.process.enter(() => this.#deliver());
    }
    this.#acknowledge();
  }

  #deliver(): void {
    if (this.#phase !== 'open' || this.#handler === undefined) return;
    const handler = this.#handler;
    this.#enter(() => this.#receiver.deliver(handler));
    if (this.#phase !== 'open') return;
    if (this.#ackLimit() > this.#ackableBytes) this.#acknowledge();
    if (!this.#isInputOver || this.#isEndTold) return;
    this.#isEndTold = true;
    if (handler.onEnd === undefined) this.close();
    else this.#enter(() => handler.onEnd?.());
    this.afterPump();
  }

  /** Whether the handler has been shown all that the peer will ever send. */
  get #isInputOver(): boolean {
    return this.#hasPeerEnded && this.#receiver.isShown && !this.#isInputHeld;
  }

  /** What the process leaves in the kernel is acknowledged up to a window. */
  #ackLimit(): number {
    return Math.min(this.#receivedBytes, this.#receiver.deliveredBytes + TCP_WINDOW_BYTES);
  }

  #acknowledge(): void {
    const peer = this.#peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined || this.#isGone) return;
    this.#ackableBytes = this.#hasPeerEnded ? this.#receivedBytes : this.#ackLimit();
    const { fabric, machine, now } = this.#components;
    if (fabric.paths.isCut(machine, remote)) peer.#sender.noteLoss();
    else peer.#sender.ackArrivesAt(now() + fabric.paths.latencyMs(machine, remote), this.#ackableBytes);
  }

  /** Sends now; what the handler must hear of it comes later. */
  #pump(): void {
    this.#sender.pump();
    this.afterPump();
  }

  afterPump(): void {
    const { queuedBytes } = this.#sender;
    if (this.#wasAboveHighWater && queuedBytes < this.highWaterBytes / 2) {
      this.#wasAboveHighWater = false;
      this.#components.process.later(0, () => {
        if (this.#phase === 'open') this.#enter(() => this.#handler?.onDrain?.());
      });
    }
    if (this.#sender.isEndSent && this.#isInputOver) this.#finish(undefined);
  }

  #pumpSoon(): void {
    if (this.#sender.queuedBytes > this.highWaterBytes) this.#wasAboveHighWater = true;
    this.#pump();
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
    if (peer === undefined || this.#remoteMachine === undefined) return;
    this.#trace('tcp-reset', this.#remoteMachine, 0);
    this.#sendPacket(HEADER_BYTES, () => peer.#resetArrives(), noReaction);
  }

  #resetArrives(): void {
    if (this.#isGone || !this.#components.machine.isOn) return;
    this.#isGone = true;
    this.#finish(new HostError('reset', `${this.remote.host} broke the connection off.`));
  }

  /** Tells the process, once. An orderly end leaves the sender to have its last bytes acknowledged. */
  #finish(error: HostError | undefined): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    const { process, machine } = this.#components;
    machine.connections.delete(this);
    this.#endHandshake();
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
        // The Host's own verdict on the bytes is told to the handler, not reported as its mistake.
        if (error instanceof HostError && error.code === 'too-large') {
          this.destroy(error);
          return;
        }
        this.#components.process.report(error);
        this.destroy(new HostError('io', 'The handler of the connection threw.', { cause: error }));
      }
    });
  }

  #sendPacket(lengthBytes: number, arrive: () => void, lost: () => void): void {
    const { fabric, machine } = this.#components;
    if (this.#remoteMachine === undefined) return;
    this.#notBeforeMs = fabric.sendSegment(
      machine,
      this.#remoteMachine,
      lengthBytes,
      this.#notBeforeMs,
      arrive,
      lost,
    );
  }

  #trace(kind: 'tcp-connect' | 'tcp-accept' | 'tcp-reset', to: Machine, lengthBytes: number): void {
    this.#components.trace.add(this.nowMs(), kind, this.#components.machine, to, lengthBytes);
  }
}

function noReaction(): void {}

/** With the headers of the segments it takes. */
function wireBytes(lengthBytes: number): number {
  return lengthBytes + Math.ceil(lengthBytes / SEGMENT_BYTES) * HEADER_BYTES;
}
