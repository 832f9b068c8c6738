/**
 * The simulated network between machines, as streams see it: paths, and the links at either end. Knows
 * nothing of sockets.
 */
import { SEGMENT_HEADER_BYTES } from './chunk.ts';
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
   * A segment without data: arrives no earlier than `notBeforeMs`, which keeps a stream's order, if no cut or
   * loss takes it. Returns when it gets there, the next segment's `notBeforeMs`.
   */
  sendControl(from: FabricNode, to: FabricNode, notBeforeMs: number, arrive: () => void): number {
    const { paths } = this;
    const isLoopback = from === to;
    const now = this.#now();
    const departureMs = isLoopback ? now : from.up.passSmall(now, SEGMENT_HEADER_BYTES);
    if (paths.isCut(from, to) || from.random.chance(paths.lossRate(from, to))) return notBeforeMs;
    const passMs = isLoopback ? 0 : to.down.durationMs(SEGMENT_HEADER_BYTES);
    const travelMs = paths.latencyMs(from, to) + paths.jitterMs(from, to);
    const arrivalMs = Math.max(notBeforeMs, departureMs + travelMs + passMs);
    this.#queue.add(arrivalMs, () => {
      if (!paths.isCut(from, to)) arrive();
    });
    return arrivalMs;
  }
}
