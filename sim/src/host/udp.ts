/** The UDP sockets of a simulated machine: what of a datagram's way lies on its two machines. */
import type { Address, UdpSocket } from '@skep/p2p-core/host';
import type { UdpBinding } from './machine.ts';
import { isLoopback } from './machine.ts';
import type { Surroundings } from './sockets.ts';
import type { TcpComponents } from './tcp.ts';

const UDP_HEADER_BYTES = 28;
const MAX_UDP_BYTES = 65_507;
/** What a paused process's socket keeps; more is lost, as in a real kernel. */
const UDP_RECEIVE_BUFFER_BYTES = 256 * 1024;
const POISON = 0xdb;

/** Messages are small and many: they share slabs, which live as long as a message in them is under way. */
const SLAB_BYTES = 64 * 1024;
let slab = new Uint8Array(SLAB_BYTES);
let slabUsedBytes = 0;

function copyOf(message: Uint8Array): Uint8Array {
  if (message.length > SLAB_BYTES / 16) return message.slice();
  if (slabUsedBytes + message.length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsedBytes = 0;
  }
  const copy = slab.subarray(slabUsedBytes, slabUsedBytes + message.length);
  copy.set(message);
  slabUsedBytes += message.length;
  return copy;
}

export class SimUdpSocket implements UdpSocket {
  readonly local: Address;
  readonly #components: TcpComponents;
  readonly #surroundings: Surroundings;
  readonly #binding: UdpBinding;
  /** What receivers see as the sender, by whether they are on this machine. */
  readonly #loopbackSource: Address;
  readonly #source: Address;
  #isClosed = false;
  #waitingBytes = 0;

  /** Throws address-in-use or address-unavailable. */
  constructor(
    components: TcpComponents,
    surroundings: Surroundings,
    local: Address,
    onMessage: (message: Uint8Array, from: Address) => void,
  ) {
    this.#components = components;
    this.#surroundings = surroundings;
    const { machine } = components;
    this.#binding = { host: local.host, arrive: (message, from) => this.#arrive(message, from, onMessage) };
    const port = machine.udp.bind(this.#binding, local.port);
    this.local = { host: local.host, port };
    this.#source = { host: machine.address, port };
    this.#loopbackSource = { host: isLoopback(local.host) ? local.host : '127.0.0.1', port };
  }

  send(message: Uint8Array, to: Address): void {
    const { machine, fabric, process, trace, now } = this.#components;
    if (this.#isClosed || process.isDead || message.length > MAX_UDP_BYTES) return;
    const toLoopback = isLoopback(to.host);
    // A socket of the loopback interface reaches nothing else.
    if (isLoopback(this.local.host) && !toLoopback) return;
    const remote = toLoopback ? machine : this.#surroundings.machineAt(to.host);
    if (remote === undefined) return;
    const copy = copyOf(message);
    const { host, port } = to;
    const source = toLoopback ? this.#loopbackSource : this.#source;
    fabric.sendDatagram(machine, remote, copy.length + UDP_HEADER_BYTES, () => {
      if (!remote.isOn) return;
      const socket = remote.udp.at(host, port);
      if (socket === undefined) return;
      trace.add(now(), 'udp', machine, remote, copy.length);
      // The receiver's copy turns to noise once it has been shown, so a second one needs its own.
      socket.arrive(fabric.paths.mayDuplicate ? copyOf(copy) : copy, source);
    });
  }

  close(): void {
    const { machine, process } = this.#components;
    if (this.#isClosed || process.isDead) return;
    this.#isClosed = true;
    machine.udp.release(this.#binding, this.local.port);
  }

  #arrive(message: Uint8Array, from: Address, onMessage: (message: Uint8Array, from: Address) => void): void {
    const { process } = this.#components;
    if (process.state === 'paused') {
      if (this.#waitingBytes + message.length > UDP_RECEIVE_BUFFER_BYTES) return;
      this.#waitingBytes += message.length;
      process.enter(() => {
        this.#waitingBytes -= message.length;
        this.#show(message, from, onMessage);
      });
      return;
    }
    this.#show(message, from, onMessage);
  }

  /** The view is borrowed: a handler that keeps it finds noise in it later. */
  #show(view: Uint8Array, from: Address, onMessage: (message: Uint8Array, from: Address) => void): void {
    if (this.#isClosed) return;
    this.#components.process.enter(
      () => onMessage(view, from),
      () => this.close(),
    );
    view.fill(POISON);
  }
}
