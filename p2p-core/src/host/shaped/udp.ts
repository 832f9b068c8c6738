/** Datagrams over links of a given rate, and paths that delay, lose, double and reorder them. */
import type { Address, UdpSocket } from '../host.ts';
import { datagramWireBytes, type Flow, type Link } from './link.ts';
import type { Shape } from './shape.ts';

/** A queue before a link drops what does not fit: about Linux's default for a socket's sends. */
const QUEUE_BYTES = 212_992;
/** A datagram that is overtaken waits for one more delay, but at least this long. */
const LEAST_OVERTAKEN_MS = 5;
/** What is on its way at once, of one socket; beyond that the path loses it. */
const LINE_BYTES = 8 * 2 ** 20;

export class ShapedUdp implements UdpSocket {
  readonly #shape: Shape;
  readonly #onMessage: (message: Uint8Array, from: Address) => void;
  readonly #up: DatagramQueue;
  readonly #down: DatagramQueue;
  #inner: UdpSocket | undefined;
  #lineBytes = 0;
  #isClosed = false;

  constructor(shape: Shape, onMessage: (message: Uint8Array, from: Address) => void) {
    this.#shape = shape;
    this.#onMessage = onMessage;
    this.#up = new DatagramQueue(shape.up, (message, to, atMs) => this.#leave(message, to, atMs));
    this.#down = new DatagramQueue(shape.down, (message, from) => {
      if (!this.#isClosed) shape.callGuarded(() => onMessage(message, from));
    });
  }

  bound(inner: UdpSocket): void {
    this.#inner = inner;
  }

  get local(): Address {
    return this.#inner!.local;
  }

  send(message: Uint8Array, to: Address): void {
    if (this.#isClosed) return;
    const path = this.#shape.pathOf(to.host);
    if (path.isPlain && !this.#shape.up.isLimited) return void this.#inner!.send(message, to);
    if (this.#shape.up.isLimited) this.#up.push(message.slice(), to);
    else if (!path.isCutOut) this.#leave(message.slice(), to, this.#shape.clock.now());
  }

  close(): void {
    this.#isClosed = true;
    this.#up.drop();
    this.#down.drop();
    this.#inner?.close();
  }

  /** `message` is borrowed. */
  arrived(message: Uint8Array, from: Address): void {
    if (this.#isClosed || this.#shape.pathOf(from.host).isCutIn) return;
    if (this.#shape.down.isLimited) this.#down.push(message.slice(), from);
    else this.#onMessage(message, from);
  }

  /** What has crossed the link goes on its way. */
  #leave(message: Uint8Array, to: Address, atMs: number): void {
    const path = this.#shape.pathOf(to.host);
    if (path.isCutOut || this.#shape.draw(path.lossRate)) return;
    const copies = this.#shape.draw(path.duplicateRate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      let delayMs = this.#shape.drawDelayMs(path);
      if (this.#shape.draw(path.reorderRate)) delayMs += Math.max(LEAST_OVERTAKEN_MS, path.delayMs);
      this.#travel(message, to, atMs + delayMs - this.#shape.clock.now());
    }
  }

  #travel(message: Uint8Array, to: Address, waitMs: number): void {
    if (waitMs <= 0) return void this.#inner?.send(message, to);
    if (this.#lineBytes + message.length > LINE_BYTES) return;
    this.#lineBytes += message.length;
    this.#shape.clock.setTimer(waitMs, () => {
      this.#lineBytes -= message.length;
      if (!this.#shape.pathOf(to.host).isCutOut) this.#inner?.send(message, to);
    });
  }
}

/** Datagrams that wait for a link, oldest first. */
class DatagramQueue implements Flow {
  readonly #link: Link;
  readonly #crossed: (message: Uint8Array, address: Address, atMs: number) => void;
  #queue: { readonly message: Uint8Array; readonly address: Address }[] = [];
  #head = 0;
  #bytes = 0;
  #crossing = 0;

  constructor(link: Link, crossed: (message: Uint8Array, address: Address, atMs: number) => void) {
    this.#link = link;
    this.#crossed = crossed;
  }

  push(message: Uint8Array, address: Address): void {
    const bytes = datagramWireBytes(message.length);
    if (this.#bytes + bytes > QUEUE_BYTES) return;
    this.#bytes += bytes;
    this.#queue.push({ message, address });
    if (this.#crossing === 0) this.#link.enter(this);
  }

  drop(): void {
    this.#link.leave(this);
    this.#queue = [];
    this.#head = this.#bytes = this.#crossing = 0;
  }

  /** As many as fit a chunk, and one at least. */
  begin(mostBytes: number): number {
    let bytes = 0;
    let end = this.#head;
    for (; end < this.#queue.length; end++) {
      const more = datagramWireBytes(this.#queue[end]!.message.length);
      if (bytes > 0 && bytes + more > mostBytes) break;
      bytes += more;
    }
    this.#crossing = end - this.#head;
    return bytes;
  }

  crossed(atMs: number): void {
    for (; this.#crossing > 0; this.#crossing--) {
      const { message, address } = this.#queue[this.#head++]!;
      this.#bytes -= datagramWireBytes(message.length);
      this.#crossed(message, address, atMs);
    }
    if (this.#head === this.#queue.length) this.#queue = [];
    else if (this.#head > 256) this.#queue = this.#queue.slice(this.#head);
    else return void this.#link.enter(this);
    this.#head = 0;
    if (this.#queue.length > 0) this.#link.enter(this);
  }
}
