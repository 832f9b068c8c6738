/**
 * Chunks of one stream that wait before their receiver's downlink, which others keep busy: made when the
 * first has to wait, gone when the last has passed.
 */
import type { Chunk } from './chunk.ts';
import { SEGMENT_BYTES } from './chunk.ts';
import type { Link, LinkFlow } from './links.ts';
import { TurnNotes } from './links.ts';

export interface ArrivalsOwner {
  /** Calls `receive` once the chunk has passed the downlink. */
  receiveAt(timeMs: number, chunk: Chunk): void;
}

export class Arrivals implements LinkFlow {
  readonly turns = new TurnNotes();
  readonly #owner: ArrivalsOwner;
  readonly #chunks: Chunk[] = [];
  #waitingBytes = 0;
  #passing = 0;

  constructor(owner: ArrivalsOwner) {
    this.#owner = owner;
  }

  get wantsTurn(): boolean {
    return this.#chunks.length > 0;
  }

  get isOver(): boolean {
    return this.#chunks.length === 0 && this.#passing === 0;
  }

  /** A chunk that found the link free and will be through at `endMs`. */
  pass(chunk: Chunk, endMs: number): void {
    this.#passing++;
    this.#owner.receiveAt(endMs, chunk);
  }

  /** A chunk that must wait. Who has more than a fair part of a full queue is told to slow down. */
  wait(chunk: Chunk, link: Link): void {
    const { wireBytes } = chunk;
    this.#chunks.push(chunk);
    this.#waitingBytes += wireBytes;
    link.waitingBytes += wireBytes;
    if (link.isCrowdedBy(this.#waitingBytes)) chunk.isMarked = true;
    link.join(this);
  }

  /** One that was passing has been received. */
  received(): void {
    this.#passing--;
  }

  takeTurn(link: Link, maxBytes: number, startMs: number): number {
    let passedBytes = 0;
    while (passedBytes < maxBytes) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) break;
      const { wireBytes } = chunk;
      passedBytes += wireBytes;
      this.#waitingBytes -= wireBytes;
      link.waitingBytes -= wireBytes;
      this.pass(chunk, link.occupy(startMs, wireBytes));
    }
    return passedBytes;
  }
}

/** When a chunk whose last byte is here now has passed a downlink; undefined if it must wait for a turn. */
export function passedDownlinkMs(down: Link, chunk: Chunk, nowMs: number): number | undefined {
  if (down.isUnlimited) return nowMs;
  const { wireBytes } = chunk;
  return chunk.lengthBytes <= SEGMENT_BYTES
    ? down.passSmall(nowMs - down.durationMs(wireBytes), wireBytes)
    : down.passThrough(chunk.firstMs, wireBytes);
}
