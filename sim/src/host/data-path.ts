/**
 * How the bytes of one end of a simulated TCP connection get to the other end, and the other's to it: chunks
 * over both links, acknowledgements and windows back. All of it is the kernel's work, and goes on while the
 * process is paused.
 *
 * Bytes travel in chunks of up to several blocks (chunk.ts), by turns on links that have rates (links.ts),
 * under a congestion window and the receiver's (send-stream.ts). A segment lost at random costs its stream
 * what finding and sending it again takes, a round trip or a timeout, and half the window or all of it; no
 * chunk is taken apart for it. Only a cut, or a machine without power, swallows chunks, which are then
 * retransmitted until the connection counts as dead. Acknowledgements take time but no bandwidth.
 */
import { Arrivals, type ArrivalsOwner, passedDownlinkMs } from './arrivals.ts';
import type { Chunk } from './chunk.ts';
import { EventQueue, type SimEvent } from './event-queue.ts';
import type { Fabric } from './fabric.ts';
import { Link } from './links.ts';
import type { Machine } from './machine.ts';
import { ReceiveStream } from './receive-stream.ts';
import { lossDelayMs } from './segment-loss.ts';
import { RECEIVE_WINDOW_BYTES, type SendPath, SendStream } from './send-stream.ts';
import type { SimProcess } from './sim-process.ts';
import type { Trace } from './trace.ts';

export interface DataPathComponents {
  readonly process: SimProcess;
  readonly machine: Machine;
  readonly fabric: Fabric;
  readonly trace: Trace;
  readonly now: () => number;
}

export type ControlKind = 'tcp-connect' | 'tcp-accept' | 'tcp-reset';

/** The connection whose bytes these are. */
export interface DataPathOwner {
  /** The kernel has forgotten the connection: it acknowledges nothing. */
  readonly isGone: boolean;
  /** Whether what arrives may be kept. If not, that is answered as TCP does. */
  takesData(): boolean;
  /** The receiver has more for the process, or the stream's end. */
  onArrived(): void;
  /** The sender has sent something. */
  onSent(): void;
  /** Nothing was acknowledged for too long after a loss. */
  onStalled(): void;
}

/** How long a window update that a cut swallowed is missed (RFC 9293, 3.8.6.1: zero-window probes). */
const WINDOW_PROBE_MS = 1_000;

/** A machine's way to itself. Without a rate it notes nothing, so one serves all. */
const LOOPBACK = new Link({ queue: new EventQueue(), now: () => 0 });

export class DataPath implements SendPath, ArrivalsOwner {
  readonly sender: SendStream;
  readonly receiver = new ReceiveStream();
  /** That of the other end, once it exists. */
  peer: DataPath | undefined;
  /** All that the peer will ever send has arrived. */
  hasPeerEnded = false;
  readonly #components: DataPathComponents;
  readonly #owner: DataPathOwner;
  readonly #remoteMachine: Machine | undefined;
  /** What waits before this machine's downlink. */
  #arrivals: Arrivals | undefined;
  #receivedBytes = 0;
  /** Up to where the peer was told that it may send. */
  #toldWindowEnd = RECEIVE_WINDOW_BYTES;
  /** A stream's segments never overtake each other. */
  #notBeforeMs = 0;

  /** `remoteMachine` is undefined where the address is nobody's. */
  constructor(components: DataPathComponents, owner: DataPathOwner, remoteMachine: Machine | undefined) {
    this.#components = components;
    this.#owner = owner;
    this.#remoteMachine = remoteMachine;
    this.sender = new SendStream(this);
  }

  get isLoopback(): boolean {
    return this.#remoteMachine === this.#components.machine;
  }

  /** Sends a segment without data, which overtakes nothing sent before it. */
  sendControl(kind: ControlKind, arrive: () => void): void {
    const { fabric, machine, trace } = this.#components;
    if (this.#remoteMachine === undefined) return;
    trace.add(this.nowMs(), kind, machine, this.#remoteMachine, 0);
    this.#notBeforeMs = fabric.sendControl(machine, this.#remoteMachine, this.#notBeforeMs, arrive);
  }

  // -------------------------------------------------------------- SendPath

  nowMs(): number {
    return this.#components.now();
  }

  get uplink(): Link {
    return this.isLoopback ? LOOPBACK : this.#components.machine.up;
  }

  get chunkBytes(): number {
    if (this.isLoopback || this.#remoteMachine === undefined) return LOOPBACK.turnBytes;
    return Math.min(this.#components.machine.up.turnBytes, this.#remoteMachine.down.turnBytes);
  }

  transmit(chunk: Chunk, firstMs: number, lastMs: number): void {
    const remote = this.#remoteMachine;
    if (this.peer === undefined || remote === undefined) return;
    const { fabric, machine } = this.#components;
    const { paths } = fabric;
    if (paths.isCut(machine, remote)) {
      this.sender.noteLoss();
      return;
    }
    const latencyMs = paths.latencyMs(machine, remote);
    chunk.firstMs = firstMs + latencyMs;
    const lossMs = lossDelayMs(this.sender, chunk, paths.lossRate(machine, remote), machine.random);
    const travelledMs = lastMs + latencyMs + paths.jitterMs(machine, remote) + lossMs;
    // Not before a downlink that nobody else uses has passed it, which saves an event for that.
    const passedMs = this.isLoopback ? 0 : chunk.firstMs + remote.down.durationMs(chunk.wireBytes);
    this.#notBeforeMs = Math.max(this.#notBeforeMs, travelledMs, passedMs);
    const { queue } = machine.clock;
    // One that was given up for lost may be under way still, and then comes twice.
    if (chunk.isDue) queue.add(this.#notBeforeMs, () => this.reach(chunk));
    else queue.schedule(this.#notBeforeMs, chunk);
  }

  reach(chunk: Chunk): void {
    const peer = this.peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined) return;
    const { fabric, machine } = this.#components;
    if (!fabric.paths.isCut(machine, remote) && remote.isOn) peer.#arrive(chunk);
    else this.sender.noteLoss();
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
    this.#owner.onSent();
  }

  onStalled(): void {
    this.#owner.onStalled();
  }

  // -------------------------------------------------------------- what arrives

  /** A chunk reaches this machine's downlink. */
  #arrive(chunk: Chunk): void {
    const { down } = this.#components.machine;
    if (this.#arrivals === undefined) {
      const passedMs = this.isLoopback ? 0 : passedDownlinkMs(down, chunk, this.nowMs());
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
    if (this.peer !== undefined) this.peer.sender.noteLoss();
  }

  /** A chunk has come over the downlink. */
  #receive(chunk: Chunk): void {
    if (!this.#owner.takesData()) {
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
      if (chunk.isEnd) this.hasPeerEnded = true;
      else this.receiver.push(slices, chunk.lengthBytes);
      this.#owner.onArrived();
    }
    this.#acknowledge(chunk);
  }

  /** What the process leaves in the kernel fills the window. */
  get #windowEnd(): number {
    return this.receiver.deliveredBytes + RECEIVE_WINDOW_BYTES;
  }

  #acknowledge(chunk: Chunk): void {
    const peer = this.peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined || this.#owner.isGone) return;
    const { fabric, machine } = this.#components;
    if (fabric.paths.isCut(machine, remote)) {
      peer.sender.noteLoss();
      return;
    }
    // A segment that found the window as it was, and the process that has read it since, are one answer.
    this.#toldWindowEnd = Math.max(this.#toldWindowEnd, this.#windowEnd);
    const ackAtMs = this.nowMs() + fabric.paths.latencyMs(machine, remote);
    peer.sender.ackArrivesAt(chunk, ackAtMs, this.#toldWindowEnd);
  }

  /** The process has read: a sender that had filled the window is told, once it is worth a segment. */
  noteRead(): void {
    if (this.#windowEnd - this.#toldWindowEnd >= RECEIVE_WINDOW_BYTES / 2) this.#tellWindow();
  }

  #tellWindow(): void {
    const peer = this.peer;
    const remote = this.#remoteMachine;
    if (peer === undefined || remote === undefined || this.#owner.isGone) return;
    const { fabric, machine, process } = this.#components;
    const windowEnd = this.#windowEnd;
    this.#toldWindowEnd = windowEnd;
    if (fabric.paths.isCut(machine, remote)) process.laterInKernel(WINDOW_PROBE_MS, () => this.#tellWindow());
    else
      machine.clock.queue.add(this.nowMs() + fabric.paths.latencyMs(machine, remote), () => {
        if (fabric.paths.isCut(machine, remote))
          process.laterInKernel(WINDOW_PROBE_MS, () => this.#tellWindow());
        else peer.sender.openWindow(windowEnd);
      });
  }
}
