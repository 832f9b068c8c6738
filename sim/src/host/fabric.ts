/**
 * The simulated network between machines: paths, and the links of a given rate at either end, which
 * serialise what goes over them. Knows nothing of sockets.
 */
import type { EventQueue } from './event-queue.ts';
import type { PathEnd, PathOptions } from './paths.ts';
import { Paths } from './paths.ts';

export type FabricOptions = PathOptions;

/** What the fabric knows of a machine. Rates may change at any time and count for what is sent after. */
export interface FabricNode extends PathEnd {
  upBytesPerSecond: number;
  downBytesPerSecond: number;
  /** When the link will have sent, or taken in, all it was given. */
  upFreeAtMs: number;
  downFreeAtMs: number;
}

/** A link drops datagrams rather than let them wait longer than this for their turn. */
const MAX_QUEUE_DELAY_MS = 1_000;

export class Fabric {
  readonly paths: Paths;
  readonly #queue: EventQueue;
  readonly #now: () => number;

  constructor(
    components: { queue: EventQueue; now: () => number; seed: number | string },
    options: FabricOptions,
  ) {
    this.paths = new Paths(components, options);
    this.#queue = components.queue;
    this.#now = components.now;
  }

  /** A datagram: may be lost, doubled, overtaken. `arrive` is called once per copy that gets there. */
  sendDatagram(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    if (this.paths.losesDatagram(from, to)) return;
    if (from !== to && from.upFreeAtMs - this.#now() > MAX_QUEUE_DELAY_MS) return;
    this.#sendCopy(from, to, lengthBytes, arrive);
    if (this.paths.doublesDatagram(from, to)) this.#sendCopy(from, to, lengthBytes, arrive);
  }

  /**
   * A segment of a stream: arrives no earlier than `notBeforeMs`, which keeps a stream's order. Lost only
   * to a cut: then `lost` is called. Returns the time of arrival at the far link, the next segment's
   * `notBeforeMs`.
   */
  sendSegment(
    from: FabricNode,
    to: FabricNode,
    lengthBytes: number,
    notBeforeMs: number,
    arrive: () => void,
    lost: () => void,
  ): number {
    const departureMs = this.#departure(from, to, lengthBytes);
    if (this.paths.isCut(from, to)) {
      lost();
      return notBeforeMs;
    }
    const arrivalMs = Math.max(notBeforeMs, this.#arrival(from, to, departureMs));
    this.#queue.add(arrivalMs, () => {
      if (this.paths.isCut(from, to)) lost();
      else this.#passDownlink(from, to, lengthBytes, arrive);
    });
    return arrivalMs;
  }

  #sendCopy(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    const arrivalMs = this.#arrival(from, to, this.#departure(from, to, lengthBytes));
    this.#queue.add(arrivalMs, () => {
      if (this.paths.isCut(from, to) || to.downFreeAtMs - arrivalMs > MAX_QUEUE_DELAY_MS) return;
      this.#passDownlink(from, to, lengthBytes, arrive);
    });
  }

  #departure(from: FabricNode, to: FabricNode, lengthBytes: number): number {
    const now = this.#now();
    if (from === to || from.upBytesPerSecond === Number.POSITIVE_INFINITY) return now;
    from.upFreeAtMs = Math.max(now, from.upFreeAtMs) + (lengthBytes * 1_000) / from.upBytesPerSecond;
    return from.upFreeAtMs;
  }

  #arrival(from: FabricNode, to: FabricNode, departureMs: number): number {
    const { paths } = this;
    const jitterMs = paths.jitterMs(from, to);
    return departureMs + paths.latencyMs(from, to) + jitterMs;
  }

  #passDownlink(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    if (from === to || to.downBytesPerSecond === Number.POSITIVE_INFINITY) {
      arrive();
      return;
    }
    to.downFreeAtMs = Math.max(this.#now(), to.downFreeAtMs) + (lengthBytes * 1_000) / to.downBytesPerSecond;
    this.#queue.add(to.downFreeAtMs, arrive);
  }
}
