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
import type { Datagrams } from './datagrams.ts';
import type { ListenerBinding, Machine } from './machine.ts';
import { isLoopback } from './machine.ts';
import type { TcpComponents } from './tcp.ts';
import { TcpEndpoint } from './tcp.ts';
import { SimUdpSocket } from './udp.ts';

/** What a machine's sockets need of the world around it. */
export interface Surroundings {
  machineAt(address: string): Machine | undefined;
  namesOf(name: string): readonly string[] | undefined;
  readonly nameLookupMs: number;
  readonly datagrams: Datagrams;
}

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
          const { machine } = this.#components;
          const { datagrams, machineAt } = this.#surroundings;
          resolve(new SimUdpSocket({ machine, process, datagrams, machineAt }, local, onMessage));
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
