/**
 * One end of a simulated TCP connection: handshake, orderly end, reset, and the meeting of the two stream
 * halves with the process's handler. What the kernel does (accept, acknowledge, retransmit, refuse) goes on
 * while the process is paused; the handler is called through the process's gate.
 *
 * Bytes travel in chunks of up to several blocks (chunk.ts), by turns on links that have rates (links.ts),
 * under a congestion window and the receiver's (send-stream.ts). A segment lost at random costs its stream
 * what finding and sending it again takes, a round trip or a timeout, and half the window or all of it; no
 * chunk is taken apart for it. Only a cut, or a machine without power, swallows chunks, which are then
 * retransmitted until the connection counts as dead. Acknowledgements take time but no bandwidth.
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
import { Arrivals, passedDownlinkMs } from './arrivals.ts';
import type { Chunk } from './chunk.ts';
import { SimContent } from './content.ts';
import { EventQueue, type SimEvent } from './event-queue.ts';
import type { Fabric } from './fabric.ts';
import { Handshake, type HandshakeOwner } from './handshake.ts';
import { Link } from './links.ts';
import type { ListenerBinding, Machine } from './machine.ts';
import { ReceiveStream } from './receive-stream.ts';
import { lossDelayMs } from './segment-loss.ts';
import type { SendPath } from './send-stream.ts';
import { BlockRun, RECEIVE_WINDOW_BYTES, SendStream, slicesOf } from './send-stream.ts';
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

/** How long a window update that a cut swallowed is missed (RFC 9293, 3.8.6.1: zero-window probes). */
const WINDOW_PROBE_MS = 1_000;
const HIGH_WATER_BYTES = 2 ** 20;

/** A machine's way to itself. Without a rate it notes nothing, so one serves all. */
const LOOPBACK = new Link({ queue: new EventQueue(), now: () => 0 });

export class TcpEndpoint implements TcpConnection, SendPath, HandshakeOwner {
  readonly local: Address;
  readonly remote: Address;
  readonly #components: TcpComponents;
  readonly #remoteMachine: Machine | undefined;
  readonly #sender: SendStream;
  readonly #receiver = new ReceiveStream();
  #handler: TcpHandler | undefined;
  #peer: TcpEndpoint | undefined;
  #phase: 'connecting' | 'opening' | 'open' | 'closed' = 'connecting';
  #handshake: Handshake | undefined;
  /** What waits before this machine's downlink. */
  #arrivals: Arrivals | undefined;
  /** The kernel has forgotten the connection: what still arrives is answered with a reset. */
  #isGone = false;
  #receivedBytes = 0;
  /** Up to where the peer was told that it may send. */
  #toldWindowEnd = RECEIVE_WINDOW_BYTES;
  #hasPeerEnded = false;
  #isEndTold = false;
  #wasAboveHighWater = false;
  #isInputHeld = false;
  /** A paused process will look into the stream when it goes on. */
  #isDeliveryHeld = false;
  /** A stream's segments never overtake each other. */
  #notBeforeMs = 0;

  constructor(components: TcpComponents, ends: TcpEnds) {
    this.#components = components;
    this.local = ends.local;
    this.remote = ends.remote;
    this.#remoteMachine = ends.remoteMachine;
    this.#sender = new SendStream(this);
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

  // -------------------------------------------------------------- SendPath

  nowMs(): number {
    return this.#components.now();
  }

  get uplink(): Link {
    return this.#isLoopback ? LOOPBACK : this.#components.machine.up;
  }

  get chunkBytes(): number {
    if (this.#isLoopback || this.#remoteMachine === undefined) return LOOPBACK.turnBytes;
    return Math.min(this.#components.machine.up.turnBytes, this.#remoteMachine.down.turnBytes);
  }

  transmit(chunk: Chunk, firstMs: number, lastMs: number): void {
    const remote = this.#remoteMachine;
    if (this.#peer === undefined || remote === undefined) return;
    const { fabric, machine } = this.#components;
    const { paths } = fabric;
    if (paths.isCut(machine, remote)) {
      this.#sender.noteLoss();
      return;
    }
    const latencyMs = paths.latencyMs(machine, remote);
    chunk.firstMs = firstMs + latencyMs;
    const lossMs = lossDelayMs(this.#sender, chunk, paths.lossRate(machine, remote), machine.random);
    const travelledMs = lastMs + latencyMs + paths.jitterMs(machine, remote) + lossMs;
    // Not before a downlink that nobody else uses has passed it, which saves an event for that.
    const passedMs = this.#isLoopback ? 0 : chunk.firstMs + remote.down.durationMs(chunk.wireBytes);
    this.#notBeforeMs = Math.max(this.#notBeforeMs, travelledMs, passedMs);
    const { queue } = machine.clock;
    // One that was given up for lost may be under way still, and then comes twice.
    if (chunk.isDue) queue.add(this.#notBeforeMs, () => this.reach(chunk));
    else queue.schedule(this.#notBeforeMs, chunk);
  }

  reach(chunk: Chunk): void {
    const peer = this.#peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined) return;
    const { fabric, machine } = this.#components;
    if (!fabric.paths.isCut(machine, remote) && remote.isOn) peer.#arrive(chunk);
    else this.#sender.noteLoss();
  }

  schedule(atMs: number, event: SimEvent): void {
    this.#components.machine.clock.queue.schedule(atMs, event);
  }

  roundTripMs(): number {
    const { fabric, machine } = this.#components;
    const remote = this.#remoteMachine ?? machine;
    return fabric.paths.latencyMs(machine, remote) + fabric.paths.latencyMs(remote, machine);
  }

  laterInKernel(delayMs: number, work: () => void): void {
    this.#components.process.laterInKernel(delayMs, work);
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
    const { machine } = this.#components;
    this.#trace('tcp-connect', remoteMachine);
    machine.nat?.noteSent('tcp', this.local.port, remoteMachine.ordinal, this.nowMs());
    this.#sendControl(() => this.#synArrives(remoteMachine));
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
    const { ordinal } = this.#components.machine;
    if (!this.#isLoopback && remoteMachine.nat?.mayReach('tcp', port, ordinal, this.nowMs()) === false)
      return;
    const listener = remoteMachine.listeners.at(host, port);
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
    this.#trace('tcp-accept', this.#remoteMachine);
    this.#sendControl(() => client.#establish());
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

  // -------------------------------------------------------------- data

  /** A chunk reaches this machine's downlink. */
  #arrive(chunk: Chunk): void {
    const { down } = this.#components.machine;
    if (this.#arrivals === undefined) {
      const passedMs = this.#isLoopback ? 0 : passedDownlinkMs(down, chunk, this.nowMs());
      if (passedMs !== undefined && passedMs <= this.nowMs()) {
        this.#receive(chunk);
        return;
      }
      this.#arrivals = new Arrivals(this);
      if (passedMs !== undefined) {
        this.#arrivals.pass(chunk, passedMs);
        return;
      }
    }
    this.#arrivals.wait(chunk, down);
  }

  /** See ArrivalsOwner. */
  receiveAt(timeMs: number, chunk: Chunk): void {
    this.#components.machine.clock.queue.add(timeMs, () => {
      this.#arrivals?.received();
      if (this.#arrivals?.isOver === true) this.#arrivals = undefined;
      if (this.#components.machine.isOn) this.#receive(chunk);
      else this.#senderNotesLoss();
    });
  }

  /** Tells the peer's kernel that this machine does not acknowledge what it sent. */
  #senderNotesLoss(): void {
    if (this.#peer !== undefined) this.#peer.#sender.noteLoss();
  }

  /** A chunk has come over the downlink. */
  #receive(chunk: Chunk): void {
    if (this.#isGone || this.#phase === 'connecting') {
      // Of what comes before the answer to our SYN nothing is kept.
      if (this.#isGone) this.#sendReset();
      // A reset may get lost: then this comes again, and finds another one.
      this.#senderNotesLoss();
      return;
    }
    // What comes after something lost is not kept; what has come before is acknowledged once more.
    if (chunk.offset > this.#receivedBytes) return;
    if (chunk.offset === this.#receivedBytes) {
      const { machine, trace } = this.#components;
      const kind = chunk.isEnd ? 'tcp-end' : 'tcp-data';
      trace.add(this.nowMs(), kind, this.#remoteMachine ?? machine, machine, chunk.lengthBytes);
      this.#receivedBytes += chunk.lengthBytes;
      const slices = chunk.take();
      if (chunk.isEnd) this.#hasPeerEnded = true;
      else this.#receiver.push(slices, chunk.lengthBytes);
      this.#deliver();
    }
    this.#acknowledge(chunk);
  }

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
    if (this.#windowEnd - this.#toldWindowEnd >= RECEIVE_WINDOW_BYTES / 2) this.#tellWindow();
    if (!this.#isInputOver || this.#isEndTold || this.#phase !== 'open') return;
    this.#isEndTold = true;
    if (handler.onEnd === undefined) this.close();
    else this.#enter(() => handler.onEnd?.());
    this.#finishIfOver();
  }

  /** Whether the handler has been shown all that the peer will ever send. */
  get #isInputOver(): boolean {
    return this.#hasPeerEnded && this.#receiver.isShown && !this.#isInputHeld;
  }

  /** What the process leaves in the kernel fills the window. */
  get #windowEnd(): number {
    return this.#receiver.deliveredBytes + RECEIVE_WINDOW_BYTES;
  }

  #acknowledge(chunk: Chunk): void {
    const peer = this.#peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined || this.#isGone) return;
    const { fabric, machine } = this.#components;
    if (fabric.paths.isCut(machine, remote)) {
      peer.#sender.noteLoss();
      return;
    }
    // A segment that found the window as it was, and the process that has read it since, are one answer.
    this.#toldWindowEnd = Math.max(this.#toldWindowEnd, this.#windowEnd);
    const ackAtMs = this.nowMs() + fabric.paths.latencyMs(machine, remote);
    peer.#sender.ackArrivesAt(chunk, ackAtMs, this.#toldWindowEnd);
  }

  /** Tells the sender that a process which had fallen behind has read on. */
  #tellWindow(): void {
    const peer = this.#peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined || this.#isGone) return;
    const { fabric, machine, process } = this.#components;
    const windowEnd = this.#windowEnd;
    this.#toldWindowEnd = windowEnd;
    if (fabric.paths.isCut(machine, remote)) process.laterInKernel(WINDOW_PROBE_MS, () => this.#tellWindow());
    else
      machine.clock.queue.add(this.nowMs() + fabric.paths.latencyMs(machine, remote), () => {
        if (fabric.paths.isCut(machine, remote))
          process.laterInKernel(WINDOW_PROBE_MS, () => this.#tellWindow());
        else peer.#sender.openWindow(windowEnd);
      });
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
    if (peer === undefined || this.#remoteMachine === undefined) return;
    this.#trace('tcp-reset', this.#remoteMachine);
    this.#sendControl(() => peer.#resetArrives());
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

  get #isLoopback(): boolean {
    return this.#remoteMachine === this.#components.machine;
  }

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

  #sendControl(arrive: () => void): void {
    const { fabric, machine } = this.#components;
    if (this.#remoteMachine === undefined) return;
    this.#notBeforeMs = fabric.sendControl(machine, this.#remoteMachine, this.#notBeforeMs, arrive);
  }

  #trace(kind: 'tcp-connect' | 'tcp-accept' | 'tcp-reset', to: Machine): void {
    this.#components.trace.add(this.nowMs(), kind, this.#components.machine, to, 0);
  }
}
