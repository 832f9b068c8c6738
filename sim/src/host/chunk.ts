/**
 * What one event moves of a simulated stream: a run of segments, up to several blocks. The same object lies
 * with the sender until it is acknowledged and passes the links and the receiver, which notes in it when
 * its acknowledgement will be back: acknowledgements cost no events.
 */
import { SimEvent } from './event-queue.ts';
import type { Extent } from './extent.ts';

/** Bytes that nobody changes any more. Payload is an extent, kept apart from the plain bytes around it. */
export type Slice = Uint8Array | Extent;

/** Payload of a segment on Ethernet, with TCP's timestamps, and the headers that it travels with. */
export const SEGMENT_BYTES = 1_448;
export const SEGMENT_HEADER_BYTES = 52;

const NOTHING: Slice[] = [];

/** The way that a chunk goes when it has passed its sender's link. */
export interface ChunkPath {
  /** It is at the far link. */
  reach(chunk: Chunk): void;
}

/** Its own event while it is under way: there is one for each of a swarm's blocks. */
export class Chunk extends SimEvent {
  readonly #path: ChunkPath;
  /** Place of its first byte in the stream. */
  readonly offset: number;
  /** The end of a stream takes one place in it, as in TCP, and has no slices. */
  readonly isEnd: boolean;
  readonly sentAtMs: number;
  lengthBytes: number;
  slices = NOTHING;
  /** When its first byte gets to the far link. */
  firstMs = 0;
  /** When the sender learns that it arrived, and up to where it may send then. */
  ackAtMs = Number.POSITIVE_INFINITY;
  windowEnd = 0;
  /** Found a full queue on its way: the sender is to slow down. */
  isMarked = false;
  hasArrived = false;
  /** Sent after it, and unacknowledged too. */
  next: Chunk | undefined;

  constructor(path: ChunkPath, offset: number, sentAtMs: number, isEnd: boolean) {
    super();
    this.#path = path;
    this.offset = offset;
    this.sentAtMs = sentAtMs;
    this.isEnd = isEnd;
    this.lengthBytes = isEnd ? 1 : 0;
  }

  fire(): void {
    this.#path.reach(this);
  }

  get endOffset(): number {
    return this.offset + this.lengthBytes;
  }

  /** With the headers of the segments it takes. */
  get wireBytes(): number {
    return wireBytes(this.lengthBytes);
  }

  /** Adds to what it carries; its length is the sender's to note. */
  add(slice: Slice): void {
    // Most carry one slice, and a first push would make room for many.
    if (this.slices === NOTHING) this.slices = [slice];
    else this.slices.push(slice);
  }

  /** The receiver takes the bytes over. */
  take(): Slice[] {
    const { slices } = this;
    this.slices = NOTHING;
    this.hasArrived = true;
    return slices;
  }
}

export function wireBytes(lengthBytes: number): number {
  return lengthBytes + Math.ceil(lengthBytes / SEGMENT_BYTES) * SEGMENT_HEADER_BYTES;
}
