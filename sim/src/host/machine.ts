/**
 * A simulated machine: what of it outlives a process. Its address, disk, clock error, links, and the
 * kernel's table of open sockets, which is emptied when the process in it ends.
 */
import { HostError } from '@skep/p2p-core/host';
import type { Datagram } from './datagrams.ts';
import type { SimDisk } from './disk.ts';
import type { FabricNode } from './fabric.ts';
import { Link, type LinkClock } from './links.ts';
import type { Nat } from './nat.ts';
import type { RandomStream } from './random-stream.ts';
import type { TcpEndpoint } from './tcp.ts';
import type { TracedMachine } from './trace.ts';

const FIRST_EPHEMERAL_PORT = 32_768;
const EPHEMERAL_PORTS = 28_232;
const WILDCARDS = new Set(['0.0.0.0', '::']);

/** Something bound to an address: a listener or a UDP socket. */
export interface Bound {
  readonly host: string;
}

/** Who is bound to which port of a machine, for one protocol. */
export class PortTable<T extends Bound> {
  readonly #machine: { readonly address: string };
  readonly #byPort = new Map<number, T[]>();
  #nextEphemeral = 0;
  /** What was found the last time: most machines have one socket that is asked for all the time. */
  #lastFound: T | undefined;
  #lastHost = '';
  #lastPort = 0;

  constructor(machine: { readonly address: string }) {
    this.#machine = machine;
  }

  /** A port for `bound.host`, `port` itself unless it is 0. Throws address-in-use or address-unavailable. */
  bind(bound: T, port: number): number {
    const { host } = bound;
    if (!WILDCARDS.has(host) && !isLoopback(host) && host !== this.#machine.address)
      throw new HostError('address-unavailable', `${host} is no address of this machine. Use its own.`);
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new HostError('address-unavailable', `${port} is no port. Use 0 to 65535.`);
    const chosen = port === 0 ? this.ephemeral(host) : port;
    if (!this.#isFree(host, chosen))
      throw new HostError('address-in-use', `Port ${chosen} of ${host} is taken. Choose another, or 0.`);
    this.#lastFound = undefined;
    const others = this.#byPort.get(chosen);
    if (others === undefined) this.#byPort.set(chosen, [bound]);
    else others.push(bound);
    return chosen;
  }

  /** A free port of the range that the system hands out. */
  ephemeral(host: string): number {
    for (let tries = 0; tries < EPHEMERAL_PORTS; tries++) {
      const port = FIRST_EPHEMERAL_PORT + (this.#nextEphemeral++ % EPHEMERAL_PORTS);
      if (this.#isFree(host, port)) return port;
    }
    throw new HostError('address-in-use', 'All ports are taken. Close some sockets.');
  }

  release(bound: T, port: number): void {
    this.#lastFound = undefined;
    const left = this.#byPort.get(port)?.filter((other) => other !== bound) ?? [];
    if (left.length === 0) this.#byPort.delete(port);
    else this.#byPort.set(port, left);
  }

  at(host: string, port: number): T | undefined {
    if (this.#lastFound !== undefined && this.#lastPort === port && this.#lastHost === host)
      return this.#lastFound;
    const bound = this.#byPort.get(port)?.find((each) => each.host === host || WILDCARDS.has(each.host));
    this.#lastFound = bound;
    this.#lastHost = host;
    this.#lastPort = port;
    return bound;
  }

  /** What `at` found the last time, and will likely find again. */
  get lastFound(): T | undefined {
    return this.#lastFound;
  }

  clear(): void {
    this.#lastFound = undefined;
    this.#byPort.clear();
  }

  #isFree(host: string, port: number): boolean {
    const others = this.#byPort.get(port);
    if (others === undefined) return true;
    return !WILDCARDS.has(host) && others.every((other) => other.host !== host && !WILDCARDS.has(other.host));
  }
}

export interface ListenerBinding extends Bound {
  /** The kernel has accepted a peer's connection; the process is told of it when it runs. */
  accept(endpoint: TcpEndpoint): void;
  /** Makes the machine's end of a connection. */
  makeEndpoint(peer: TcpEndpoint): TcpEndpoint;
}

export interface UdpBinding extends Bound {
  /** Takes the datagram, and recycles it when it has been looked at. */
  arrive(datagram: Datagram): void;
  /** Reads what `arrive` will need: see SimEvent. */
  prefetch(step: number): number;
}

export class Machine implements FabricNode, TracedMachine {
  readonly ordinal: number;
  readonly address: string;
  readonly disk: SimDisk;
  readonly random: RandomStream;
  readonly region: number;
  /** The address translation that it stands behind. */
  readonly nat: Nat | undefined;
  readonly listeners: PortTable<ListenerBinding>;
  readonly udp: PortTable<UdpBinding>;
  readonly connections = new Set<TcpEndpoint>();
  /** The time and events of its world. */
  readonly clock: LinkClock;
  readonly up: Link;
  readonly down: Link;
  /** By how much wallTime is wrong. */
  clockSkewMs = 0;
  /** Off: packets to it vanish. On without a process: they are refused. */
  isOn = true;

  constructor(options: {
    ordinal: number;
    address: string;
    clock: LinkClock;
    diskOf: (machine: Machine) => SimDisk;
    random: RandomStream;
    region: number;
    nat: Nat | undefined;
    upBytesPerSecond?: number | undefined;
    downBytesPerSecond?: number | undefined;
  }) {
    this.ordinal = options.ordinal;
    this.address = options.address;
    this.disk = options.diskOf(this);
    this.random = options.random;
    this.region = options.region;
    this.nat = options.nat;
    this.clock = options.clock;
    this.up = new Link(options.clock, options.upBytesPerSecond);
    this.down = new Link(options.clock, options.downBytesPerSecond);
    this.listeners = new PortTable(this);
    this.udp = new PortTable(this);
  }

  get upBytesPerSecond(): number {
    return this.up.bytesPerSecond;
  }

  set upBytesPerSecond(rate: number) {
    this.up.bytesPerSecond = rate;
  }

  get downBytesPerSecond(): number {
    return this.down.bytesPerSecond;
  }

  set downBytesPerSecond(rate: number) {
    this.down.bytesPerSecond = rate;
  }
}

export function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}
