/** A TCP handler that remembers what it was told, and the few moves that most network tests begin with. */
import type { HostWorld } from '../compliance.ts';
import type { HostError, Network, TcpConnection, TcpHandler, TcpListener } from '../host.ts';
import { HostError as HostErrorClass } from '../host.ts';

/** Remembers every callback; `until` waits for a state of affairs, looked at after each of them. */
export class Probe implements TcpHandler {
  /** Names of the callbacks in the order they came, onBytes left out. */
  readonly calls: string[] = [];
  received: Uint8Array = new Uint8Array(0);
  closeError: HostError | undefined;
  readError: HostError | undefined;
  /** Set once the connection is known. */
  connection!: TcpConnection;
  /** How many bytes of a view to consume; all by default. */
  consume: (view: Uint8Array) => number = (view) => view.length;
  #waiting: { condition: () => boolean; resolve: () => void }[] = [];

  get closed(): boolean {
    return this.calls.includes('close');
  }

  onOpen(): void {
    this.#called('open');
  }

  onBytes(view: Uint8Array): number {
    // A Buffer's `slice` shares memory, which would turn a copy that protocol code takes into a view.
    if (Object.getPrototypeOf(view) !== Uint8Array.prototype)
      throw new TypeError('the view is no plain Uint8Array');
    const consumed = this.consume(view);
    const grown = new Uint8Array(this.received.length + consumed);
    grown.set(this.received);
    grown.set(view.subarray(0, consumed), this.received.length);
    this.received = grown;
    this.#look();
    return consumed;
  }

  onPayload(): void {
    this.#called('payload');
  }

  onDrain(): void {
    this.#called('drain');
  }

  onReadError(error: HostError): void {
    this.readError = error;
    this.#called('read-error');
  }

  onClose(error?: HostError): void {
    this.closeError = error;
    this.#called('close');
  }

  /** Resolves when `condition` holds; rejects never, so a test that waits in vain times out. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }));
  }

  #called(name: string): void {
    this.calls.push(name);
    this.#look();
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ condition, resolve }) => {
      if (!condition()) return true;
      resolve();
      return false;
    });
  }
}

/** A connection from the second machine to the first, open on both sides. */
export interface Pair {
  readonly client: Probe;
  readonly server: Probe;
  readonly listener: TcpListener;
}

/** Opens a Pair; `client` and `server` may be given to have their `consume` set before bytes flow. */
export async function connectPair(
  world: HostWorld,
  client: Probe = new Probe(),
  server: Probe = new Probe(),
): Promise<Pair> {
  const [first, second] = world.machines;
  const accepted = Promise.withResolvers<void>();
  const listener = await first.host.net.listenTcp({ host: first.address, port: 0 }, (connection) => {
    server.connection = connection;
    accepted.resolve();
    return server;
  });
  client.connection = second.host.net.connectTcp(listener.local, client);
  await accepted.promise;
  await client.until(() => client.calls.includes('open'));
  return { client, server, listener };
}

/** A port of `host` that nobody listens on. */
export async function unusedPort(net: Network, host: string): Promise<number> {
  const listener = await net.listenTcp({ host, port: 0 }, () => new Probe());
  await listener.close();
  return listener.local.port;
}

/** Resolves after `delayMs` of the world's own time. */
export function pause(world: HostWorld, delayMs: number): Promise<void> {
  return new Promise((resolve) => world.machines[0].host.clock.setTimer(delayMs, resolve));
}

/** The code of the HostError that `attempt` rejects with; anything else is thrown on. */
export async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof HostErrorClass) return error.code;
    throw error;
  }
  return 'no error';
}

/** `length` bytes that differ everywhere, so that shifted or swapped bytes show. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

/** Equality without the cost of a printed difference of megabytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
