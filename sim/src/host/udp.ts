/** The UDP sockets of a simulated machine: what of a datagram's way lies within its process. */
import type { Address, UdpSocket } from '@skep/p2p-core/host';
import type { Datagram, Datagrams } from './datagrams.ts';
import type { Machine, UdpBinding } from './machine.ts';
import { isLoopback } from './machine.ts';
import type { SimProcess } from './sim-process.ts';

export interface UdpComponents {
  readonly machine: Machine;
  readonly process: SimProcess;
  readonly datagrams: Datagrams;
  machineAt(address: string): Machine | undefined;
}

const MAX_MESSAGE_BYTES = 65_507;
/** What a paused process's socket keeps; more is lost, as in a real kernel. */
const RECEIVE_BUFFER_BYTES = 256 * 1024;

export class SimUdpSocket implements UdpSocket, UdpBinding {
  readonly host: string;
  readonly local: Address;
  readonly #components: UdpComponents;
  readonly #machine: Machine;
  readonly #process: SimProcess;
  readonly #onMessage: (message: Uint8Array, from: Address) => void;
  /** What receivers see as the sender, by whether they are on this machine. */
  readonly #loopbackSource: Address;
  readonly #source: Address;
  #isClosed = false;
  #waitingBytes = 0;

  /** Throws address-in-use or address-unavailable. */
  constructor(
    components: UdpComponents,
    local: Address,
    onMessage: (message: Uint8Array, from: Address) => void,
  ) {
    const { machine, process } = components;
    this.#components = components;
    this.#machine = machine;
    this.#process = process;
    this.#onMessage = onMessage;
    this.host = local.host;
    const port = machine.udp.bind(this, local.port);
    this.local = { host: local.host, port };
    this.#source = { host: machine.address, port };
    this.#loopbackSource = { host: isLoopback(local.host) ? local.host : '127.0.0.1', port };
  }

  send(message: Uint8Array, to: Address): void {
    if (this.#isClosed || this.#process.isDead || message.length > MAX_MESSAGE_BYTES) return;
    const machine = this.#machine;
    const { datagrams } = this.#components;
    const remote = this.#components.machineAt(to.host);
    if (remote === undefined) {
      if (isLoopback(to.host))
        datagrams.send(message, machine, this.#loopbackSource, machine, to.host, to.port);
      // A socket of the loopback interface reaches nothing else.
    } else if (!isLoopback(this.local.host))
      datagrams.send(message, machine, this.#source, remote, remote.address, to.port);
  }

  close(): void {
    if (this.#isClosed || this.#process.isDead) return;
    this.#isClosed = true;
    this.#machine.udp.release(this, this.local.port);
  }

  arrive(datagram: Datagram): void {
    if (this.#process.state === 'paused') this.#keep(datagram);
    else this.#show(datagram);
  }

  prefetch(step: number): number {
    if (step === 1) return this.#waitingBytes;
    return (this.#process.isDead ? 1 : 0) ^ this.#onMessage.length;
  }

  #keep(datagram: Datagram): void {
    const { length } = datagram.message;
    if (this.#waitingBytes + length > RECEIVE_BUFFER_BYTES) {
      datagram.recycle();
      return;
    }
    this.#waitingBytes += length;
    this.#process.enter(() => {
      this.#waitingBytes -= length;
      this.#show(datagram);
    });
  }

  /** The view is borrowed: a handler that keeps it finds noise in it later. A throw costs the socket. */
  #show(datagram: Datagram): void {
    if (!this.#isClosed && !this.#process.isDead) {
      try {
        this.#onMessage(datagram.message, datagram.source);
      } catch (error) {
        this.#process.report(error);
        this.close();
      }
    }
    datagram.recycle();
  }
}
