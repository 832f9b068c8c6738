/**
 * The sending half of a connection: one queue of messages and of blocks to be read, so that order is kept.
 *
 * Blocks are gathered into segments. A segment is one pooled buffer that its headers and blocks share; a run
 * of neighbouring blocks is one vectored read that scatters the file's bytes between the headers, and the
 * whole segment is then one write to the socket. A few segments are read ahead of the socket, and only a few:
 * a slow peer holds little memory, a fast one never waits for the disk.
 */
import type { OutgoingBlock } from '../host.ts';
import type { ReadBuffers } from './buffers.ts';
import type { NodeContent } from './content.ts';

/** A sender that heeds back-pressure stops above this. */
export const HIGH_WATER_BYTES = 2 ** 20;
/** How much lies in the socket's own queue at most, beyond the write that crosses it. */
const WINDOW_BYTES = 512 * 2 ** 10;
/** How much is read, or being read, ahead of the socket. */
const READ_AHEAD_BYTES = 2 ** 20;
const SEGMENT_BYTES = 256 * 2 ** 10;
/** Views in one vectored read; the system's limit is 1024. */
const MOST_READ_VIEWS = 256;

/** What the outbox needs of its socket. */
export interface Sink {
  /** Writes all of `bytes`; `done` is told when the system has taken them, or that they are lost. */
  write(bytes: Uint8Array, done: (lost: boolean) => void): void;
  /** The queue fell below half of HIGH_WATER_BYTES after having been above it. */
  drained(): void;
  /** A block could not be read; nothing more is sent. */
  readFailed(error: unknown): void;
  /** All that was queued is with the system. */
  emptied(): void;
}

interface Message {
  readonly kind: 'message';
  readonly bytes: Uint8Array;
}

interface Segment {
  readonly kind: 'segment';
  readonly content: NodeContent;
  readonly blocks: OutgoingBlock[];
  length: number;
  buffer: Uint8Array<ArrayBuffer> | undefined;
  ready: boolean;
}

export class Outbox {
  readonly #sink: Sink;
  readonly #buffers: ReadBuffers;
  #queue: (Message | Segment)[] = [];
  /** Entries of #queue before this one have been written; cut off now and then. */
  #head = 0;
  /** Segments before this entry of #queue have had their read started. */
  #readHead = 0;
  #readAheadBytes = 0;
  #windowBytes = 0;
  #aboveHighWater = false;
  #stopped = false;
  queuedBytes = 0;

  constructor(sink: Sink, buffers: ReadBuffers) {
    this.#sink = sink;
    this.#buffers = buffers;
  }

  send(bytes: Uint8Array): void {
    if (this.#stopped || bytes.length === 0) return;
    // In slices, so that queuedBytes falls as a large message goes out.
    for (let at = 0; at < bytes.length; at += SEGMENT_BYTES)
      this.#queue.push({ kind: 'message', bytes: bytes.subarray(at, at + SEGMENT_BYTES) });
    this.#added(bytes.length);
  }

  sendBlocks(content: NodeContent, blocks: readonly OutgoingBlock[]): void {
    if (this.#stopped) return;
    for (const block of blocks) content.checkRange(block.offset, block.length);
    let segment: Segment | undefined;
    let total = 0;
    for (const block of blocks) {
      const length = block.header.length + block.length;
      if (segment === undefined || segment.length + length > SEGMENT_BYTES) {
        segment = { kind: 'segment', content, blocks: [], length: 0, buffer: undefined, ready: false };
        this.#queue.push(segment);
      }
      segment.blocks.push(block);
      segment.length += length;
      total += length;
    }
    this.#added(total);
  }

  /** Drops what is queued. Buffers still being read into or written from are let go of when that ends. */
  stop(): void {
    this.#stopped = true;
    for (const entry of this.#queue.slice(this.#head))
      if (entry.kind === 'segment' && entry.ready && entry.buffer !== undefined)
        this.#buffers.give(entry.buffer);
    this.#queue = [];
    this.#head = this.#readHead = 0;
    this.queuedBytes = 0;
  }

  #added(length: number): void {
    this.queuedBytes += length;
    if (this.queuedBytes > HIGH_WATER_BYTES) this.#aboveHighWater = true;
    this.#readAhead();
    this.#write();
  }

  #readAhead(): void {
    while (this.#readHead < this.#queue.length) {
      const entry = this.#queue[this.#readHead]!;
      if (entry.kind === 'segment') {
        if (this.#readAheadBytes > 0 && this.#readAheadBytes + entry.length > READ_AHEAD_BYTES) return;
        this.#readAheadBytes += entry.length;
        this.#read(entry);
      }
      this.#readHead++;
    }
  }

  #read(segment: Segment): void {
    const buffer = this.#buffers.take(segment.length);
    segment.buffer = buffer;
    let waiting = 1;
    let failure: unknown;
    const done = (error?: unknown): void => {
      failure ??= error;
      if (--waiting > 0) return;
      if (this.#stopped) this.#buffers.give(buffer);
      else if (failure !== undefined) this.#sink.readFailed(failure);
      else {
        segment.ready = true;
        this.#write();
      }
    };
    let at = 0;
    let views: Uint8Array[] = [];
    let start = 0;
    let end = 0;
    const flush = (): void => {
      if (views.length === 0) return;
      waiting++;
      segment.content.readInto(views, start, end - start, done);
      views = [];
    };
    for (const { header, offset, length } of segment.blocks) {
      buffer.set(header, at);
      at += header.length;
      if (length === 0) continue;
      if (offset !== end || views.length === MOST_READ_VIEWS) {
        flush();
        start = offset;
      }
      if (views.length === 0) start = offset;
      views.push(buffer.subarray(at, at + length));
      end = offset + length;
      at += length;
    }
    flush();
    done();
  }

  #write(): void {
    while (!this.#stopped && this.#head < this.#queue.length && this.#windowBytes < WINDOW_BYTES) {
      const entry = this.#queue[this.#head]!;
      if (entry.kind === 'message') this.#writeBytes(entry.bytes, undefined);
      else if (entry.ready) this.#writeBytes(entry.buffer!.subarray(0, entry.length), entry.buffer);
      else return;
      this.#head++;
      if (this.#head === this.#queue.length || this.#head >= 256) this.#cutQueue();
    }
  }

  #cutQueue(): void {
    this.#queue = this.#queue.slice(this.#head);
    this.#readHead -= this.#head;
    this.#head = 0;
  }

  #writeBytes(bytes: Uint8Array, pooled: Uint8Array<ArrayBuffer> | undefined): void {
    this.#windowBytes += bytes.length;
    this.#sink.write(bytes, (lost) => {
      this.#windowBytes -= bytes.length;
      if (pooled !== undefined) {
        this.#readAheadBytes -= bytes.length;
        // After a failed write the system may not be done with the buffer: it is left to the collector.
        if (!lost) this.#buffers.give(pooled);
      }
      if (this.#stopped || lost) return;
      this.queuedBytes -= bytes.length;
      this.#readAhead();
      this.#write();
      if (this.#aboveHighWater && this.queuedBytes < HIGH_WATER_BYTES / 2) {
        this.#aboveHighWater = false;
        this.#sink.drained();
      }
      if (this.queuedBytes === 0 && !this.#stopped) this.#sink.emptied();
    });
  }
}
