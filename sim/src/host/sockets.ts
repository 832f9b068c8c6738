/** Network of a simulated machine: its sockets, and names looked up in the world's table. */
import type {
  Address,
  Network,
  TcpConnection,
  TcpHandler,
  TcpListener,
  UdpSocket,
} from '@skep/p2p-core/host';
import { addressFamily, HostError } from '@skep/p2p-core/host';
import type { ListenerBinding, Machine, UdpBinding } from './machine.ts';
import { isLoopback } from './machine.ts';
import type { TcpComponents } from './tcp.ts';
import { TcpEndpoint } from './tcp.ts';

/** What a machine's sockets need of the world around it. */
export interface Surroundings {
  machineAt(address: string): Machine | undefined;
  namesOf(name: string): readonly string[] | undefined;
  readonly nameLookupMs: number;
}

const UDP_HEADER_BYTES = 28;
const MAX_UDP_BYTES = 65_507;
/** What a paused process's socket keeps; more is lost, as in a real kernel. */
const UDP_RECEIVE_BUFFER_BYTES = 256 * 1024;
const POISON = 0xdb;

export class SimNetwork implements Network {
  readonly #components: TcpComponents;
  readonly #surroundings: Surroundings;

  constructor(components: TcpComponents, surroundings: Surroundings) {
    this.#components = components;
    this.#surroundings = surroundings;
  }

  connectTcp(remote: Address, handler: TcpHandler, options?: { timeoutMs?: number }): TcpConnection {
    return this.connect(remote, handler, options?.timeoutMs);
  }

  /** The same, for the simulator's own protocols. */
  connect(remote: Address, handler: TcpHandler, timeoutMs?: number): TcpEndpoint {
    const { machine, process } = this.#components;
    const host = isLoopback(remote.host) ? remote.host : machine.address;
    // Dead code leaves no mark on the machine that the next process runs on.
    const local = { host, port: process.isDead ? 0 : machine.listeners.ephemeral(host) };
    const endpoint = new TcpEndpoint(this.#components, {
      local,
      remote: { host: remote.host, port: remote.port },
      remoteMachine: this.#machineAt(remote.host),
    });
    if (!process.isDead) endpoint.connect(handler, timeoutMs);
    return endpoint;
  }

  listenTcp(local: Address, accept: (connection: TcpConnection) => TcpHandler): Promise<TcpListener> {
    return this.listen(local, accept);
  }

  /** The same, with the simulator's own connections. */
  listen(local: Address, accept: (connection: TcpEndpoint) => TcpHandler): Promise<TcpListener> {
    const { machine, process } = this.#components;
    return process.promise((resolve, reject) => {
      process.later(0, () => {
        const binding: ListenerBinding = {
          host: local.host,
          accept: (endpoint) => endpoint.accepted(() => accept(endpoint)),
          makeEndpoint: (peer) => this.#makeEndpoint(peer),
        };
        try {
          const port = machine.listeners.bind(binding, local.port);
          resolve(this.#listenerOf(binding, port));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  bindUdp(local: Address, onMessage: (message: Uint8Array, from: Address) => void): Promise<UdpSocket> {
    const { process } = this.#components;
    return process.promise((resolve, reject) => {
      process.later(0, () => {
        try {
          resolve(new SimUdpSocket(this.#components, this.#surroundings, local, onMessage));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  resolve(name: string): Promise<readonly string[]> {
    const { process } = this.#components;
    return process.promise((resolve, reject) => {
      const isLiteral = addressFamily(name) !== undefined;
      process.later(isLiteral ? 0 : this.#surroundings.nameLookupMs, () => {
        const addresses = isLiteral ? [name] : this.#surroundings.namesOf(name);
        if (addresses !== undefined && addresses.length > 0) resolve(addresses);
        else reject(new HostError('name-not-found', `No machine is called ${name}. Check the name.`));
      });
    });
  }

  #makeEndpoint(peer: TcpEndpoint): TcpEndpoint {
    const { local, remote } = peer;
    return new TcpEndpoint(this.#components, {
      local: { host: remote.host, port: remote.port },
      remote: local,
      remoteMachine: this.#machineAt(local.host),
    });
  }

  #listenerOf(binding: ListenerBinding, port: number): TcpListener {
    const { machine, process } = this.#components;
    return {
      local: { host: binding.host, port },
      close: () => {
        if (!process.isDead) machine.listeners.release(binding, port);
        return process.promise((resolve) => process.later(0, () => resolve(undefined)));
      },
    };
  }

  #machineAt(host: string): Machine | undefined {
    return isLoopback(host) ? this.#components.machine : this.#surroundings.machineAt(host);
  }
}

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

class SimUdpSocket implements UdpSocket {
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
      socket.arrive(fabric.mayDuplicate ? copyOf(copy) : copy, source);
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
