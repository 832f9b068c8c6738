/** Two machines under ShapedHost in one simulated world, and connections between them: what its tests are made of. */
import { type Host, type HostError, ShapedHost, type TcpConnection } from '@skep/p2p-core/host';
import { SimWorld } from '../sim-world.ts';

export const A = '10.0.0.1';
export const B = '10.0.0.2';
/** One way. */
export const latencyMs = 0.25;
/** What a byte of a stream takes on the wire, its segments' headers shared out. */
export const streamWire = 1 + 52 / 1_448;

export interface Bench {
  readonly world: SimWorld;
  readonly a: ShapedHost;
  readonly b: ShapedHost;
  now(): number;
  pause(ms: number): Promise<void>;
}

/** Runs `body` with two shaped machines, a quarter of a millisecond apart. */
export async function bench(
  body: (bench: Bench) => Promise<void>,
  seed: number | string = 1,
): Promise<SimWorld> {
  const world = new SimWorld({ seed, network: { latencyMs } });
  const [a, b] = [A, B].map((address) => new ShapedHost(world.createHost({ address })));
  const now = () => world.nowMs;
  const pause = (ms: number) => new Promise<void>((resolve) => void a!.clock.setTimer(ms, resolve));
  await world.complete(body({ world, a: a!, b: b!, now, pause }));
  return world;
}

/** A connection of which the receiving end keeps what it gets, and when. */
export class Sink {
  connection!: TcpConnection;
  bytes = 0;
  lastMs = 0;
  parts: Uint8Array[] = [];
  closed: { error: HostError | undefined; atMs: number } | undefined;
  opened = false;
  readonly #host: Host;
  #waiting: (() => void)[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  onOpen(): void {
    this.opened = true;
    this.#wake();
  }

  onBytes(view: Uint8Array): number {
    this.bytes += view.length;
    this.lastMs = this.#host.clock.now();
    this.parts.push(view.slice());
    this.#wake();
    return view.length;
  }

  onClose(error?: HostError): void {
    this.closed = { error, atMs: this.#host.clock.now() };
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get received(): Uint8Array {
    const whole = new Uint8Array(this.bytes);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export async function connect(
  from: Host,
  to: Host,
  toAddress: string,
): Promise<{ client: Sink; server: Sink }> {
  const client = new Sink(from);
  const server = new Sink(to);
  const listener = await to.net.listenTcp({ host: toAddress, port: 0 }, (connection) => {
    server.connection = connection;
    return server;
  });
  client.connection = from.net.connectTcp(listener.local, client);
  await client.until(() => client.opened);
  await server.until(() => server.opened);
  return { client, server };
}
