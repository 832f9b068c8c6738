/**
 * The datagrams of a world that are under way, from one machine's network card to another's socket: through
 * NATs, links and paths. Each is an event that is used again, buffer and all, so that a message makes no
 * garbage: making a view of bytes alone costs more than moving them.
 */
import type { Address } from '@skep/p2p-core/host';
import type { EventQueue } from './event-queue.ts';
import { SimEvent } from './event-queue.ts';
import type { Machine } from './machine.ts';
import type { Paths } from './paths.ts';
import type { Trace } from './trace.ts';

const HEADER_BYTES = 28;
const POISON = 0xdb;
/** Longer ones, and more of one length than these, are left to the garbage collector. */
const MAX_POOLED_LENGTH = 2_048;
const MAX_POOLED_OF_A_LENGTH = 8_192;

export interface DatagramComponents {
  readonly queue: EventQueue;
  readonly paths: Paths;
  readonly trace: Trace;
  readonly now: () => number;
}

export class Datagrams {
  readonly components: DatagramComponents;
  /** Free ones by the length of their message. */
  readonly #pool: Datagram[][] = [];

  constructor(components: DatagramComponents) {
    this.components = components;
  }

  /** Sends a copy of a message: it may be lost, doubled, overtaken. */
  send(message: Uint8Array, from: Machine, source: Address, to: Machine, host: string, port: number): void {
    const { paths, now } = this.components;
    if (from === to) {
      this.#launch(message, now(), from, source, to, host, port);
      return;
    }
    from.nat?.noteSent('udp', source.port, to.ordinal, now());
    if (paths.losesDatagram(from, to)) return;
    const { up } = from;
    if (!up.isUnlimited && !up.takesDatagram) return;
    const copies = paths.doublesDatagram(from, to) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const departureMs = up.isUnlimited ? now() : up.passSmall(now(), message.length + HEADER_BYTES);
      this.#launch(message, departureMs, from, source, to, host, port);
    }
  }

  /** Takes back what nobody looks at any more; who kept a view of it finds noise there. */
  recycle(datagram: Datagram): void {
    const { message } = datagram;
    message.fill(POISON);
    if (message.length > MAX_POOLED_LENGTH) return;
    const free = this.#poolOf(message.length);
    if (free.length < MAX_POOLED_OF_A_LENGTH) free.push(datagram);
  }

  #launch(
    message: Uint8Array,
    departureMs: number,
    from: Machine,
    source: Address,
    to: Machine,
    host: string,
    port: number,
  ): void {
    const { queue, paths } = this.components;
    const { length } = message;
    const free = length <= MAX_POOLED_LENGTH ? this.#poolOf(length) : undefined;
    const datagram = free?.pop() ?? new Datagram(this, length);
    datagram.message.set(message);
    datagram.from = from;
    datagram.source = source;
    datagram.to = to;
    datagram.host = host;
    datagram.port = port;
    datagram.hasPassedDownlink = false;
    queue.schedule(departureMs + paths.datagramDelayMs(from, to), datagram);
  }

  #poolOf(length: number): Datagram[] {
    while (this.#pool.length <= length) this.#pool.push([]);
    return this.#pool[length]!;
  }
}

/** One copy of a message on its way. */
export class Datagram extends SimEvent {
  readonly message: Uint8Array;
  source!: Address;
  from!: Machine;
  to!: Machine;
  host!: string;
  port!: number;
  hasPassedDownlink = false;
  readonly #flights: Datagrams;

  constructor(flights: Datagrams, length: number) {
    super();
    this.#flights = flights;
    this.message = new Uint8Array(length);
  }

  /** Reaches the far end's link, then its machine. */
  fire(): void {
    const { from, to } = this;
    if (from !== to && !this.hasPassedDownlink) {
      const { queue, paths, now } = this.#flights.components;
      const nowMs = now();
      const isLost =
        paths.isCut(from, to) ||
        to.nat?.mayReach('udp', this.port, from.ordinal, nowMs) === false ||
        (!to.down.isUnlimited && !to.down.takesDatagram);
      if (isLost) {
        this.#flights.recycle(this);
        return;
      }
      if (!to.down.isUnlimited) {
        this.hasPassedDownlink = true;
        queue.schedule(to.down.passSmall(nowMs, this.message.length + HEADER_BYTES), this);
        return;
      }
    }
    this.#arrive();
  }

  override prefetch(step: number): number {
    const { from, to, source, message } = this;
    if (step === 1) return from.ordinal ^ to.ordinal ^ source.port ^ message.length;
    const socket = to.udp.lastFound;
    return step === 2 || socket === undefined ? message[0]! : socket.prefetch(step - 2);
  }

  /** Nobody looks at it any more. */
  recycle(): void {
    this.#flights.recycle(this);
  }

  #arrive(): void {
    const { from, to, message } = this;
    const socket = to.isOn ? to.udp.at(this.host, this.port) : undefined;
    if (socket === undefined) {
      this.recycle();
      return;
    }
    const { trace, now } = this.#flights.components;
    trace.add(now(), 'udp', from, to, message.length);
    socket.arrive(this);
  }
}
