/**
 * The simulated network between machines: paths, and the links of a given rate at either end, which
 * serialise what goes over them. Knows nothing of sockets.
 */
import type { EventQueue } from './event-queue.ts';
import type { Link } from './links.ts';
import type { PathEnd, PathOptions } from './paths.ts';
import { Paths } from './paths.ts';

export type FabricOptions = PathOptions;

/** What the fabric knows of a machine. */
export interface FabricNode extends PathEnd {
  readonly up: Link;
  readonly down: Link;
}

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

  #departure(from: FabricNode, to: FabricNode, lengthBytes: number): number {
    const now = this.#now();
    return from === to ? now : from.up.passSmall(now, lengthBytes);
  }

  #arrival(from: FabricNode, to: FabricNode, departureMs: number): number {
    const { paths } = this;
    const jitterMs = paths.jitterMs(from, to);
    return departureMs + paths.latencyMs(from, to) + jitterMs;
  }

  #passDownlink(from: FabricNode, to: FabricNode, lengthBytes: number, arrive: () => void): void {
    if (from === to || to.down.isUnlimited) arrive();
    else this.#queue.add(to.down.passSmall(this.#now(), lengthBytes), arrive);
  }
}
