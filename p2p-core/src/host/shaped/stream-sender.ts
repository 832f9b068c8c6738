/**
 * The sending half of a shaped connection: what is queued crosses the link in its turn, then spends the path's
 * delay on the line, and is then given to the connection beneath. Blocks stay references to their content
 * until then.
 *
 * Loss and cuts never change bytes. A lost segment holds the stream up for as long as TCP takes to send it
 * again and halves the window; a cut holds it until TCP would try the next time after the heal.
 */
import type { HostError, OutgoingBlock, Timer } from '../host.ts';
import { type Flow, streamWireBytes } from './link.ts';
import { LEAST_RETRY_MS, LONGEST_RETRY_MS, type Path, type Shape } from './shape.ts';
import type { ShapedContent } from './storage.ts';

/** What the sender needs of its connection. */
export interface SenderSink {
  readonly path: Path;
  /** The connection beneath takes bytes. */
  readonly isOpen: boolean;
  sendBytes(bytes: Uint8Array): void;
  sendBlocks(content: ShapedContent, blocks: readonly OutgoingBlock[]): void;
  /** The end has got through: an orderly one, or the reset of a connection that was dropped. */
  ended(kind: 'end' | 'reset'): void;
  /** Less is queued than before. */
  taken(): void;
  readFailed(error: HostError): void;
  /** Nothing has got through for longer than TCP tries. */
  timedOut(): void;
}

/** A block's bytes, or others; a block waits until the disk has read it. */
interface Bytes {
  readonly kind: 'bytes';
  readonly bytes: Uint8Array;
}
interface Block {
  readonly kind: 'block';
  readonly content: ShapedContent;
  readonly offset: number;
  readonly length: number;
}
interface Reading {
  readonly kind: 'reading';
  readonly length: number;
}
interface End {
  readonly kind: 'end';
}
interface Reset {
  readonly kind: 'reset';
}
type Item = Bytes | Block | Reading | End | Reset;

interface Chunk {
  readonly items: Item[];
  readonly bytes: number;
  dueMs: number;
}

const SEGMENT_BYTES = 1_448;
const END_WIRE_BYTES = 52;
/** The largest window, of which half is on its way out while the other half is being acknowledged. */
const LARGEST_WINDOW_BYTES = 4 * 2 ** 20;
const SMALLEST_WINDOW_BYTES = 4 * SEGMENT_BYTES;
/** How much leaves while no acknowledgement comes back. */
const UNANSWERED_BYTES = 256 * 2 ** 10;
/** The time of all of Linux's retries (tcp_retries2). */
const GIVE_UP_MS = 924_600;
/** The same for a connection that was closed and has nobody waiting for it. */
const LINGER_MS = 30_000;

export class StreamSender implements Flow {
  readonly #shape: Shape;
  readonly #sink: SenderSink;
  #queue: Item[] = [];
  #head = 0;
  /** On the link. */
  #crossing: Chunk | undefined;
  #line: Chunk[] = [];
  #lineHead = 0;
  #lineBytes = 0;
  #lastDueMs = 0;
  #lineTimer: Timer | undefined;
  #windowBytes = LARGEST_WINDOW_BYTES;
  /** Until then losses are of one and the same window. */
  #recoversAtMs = 0;
  #unansweredBytes = 0;
  #stalledSinceMs: number | undefined;
  #resumesAtMs = 0;
  #giveUpTimer: Timer | undefined;
  #isClosing = false;
  #isStopped = false;
  /** Not on the link yet. */
  queuedBytes = 0;

  constructor(components: { shape: Shape; sink: SenderSink }) {
    this.#shape = components.shape;
    this.#sink = components.sink;
  }

  /** Whether nothing is held: what is sent next may pass by. */
  get isIdle(): boolean {
    return (
      this.#head === this.#queue.length &&
      this.#crossing === undefined &&
      this.isLineEmpty &&
      this.#resumesAtMs <= this.#shape.clock.now()
    );
  }

  /** Whether all that has left has arrived. */
  get isLineEmpty(): boolean {
    return this.#lineHead === this.#line.length;
  }

  send(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#isStopped) return;
    this.#push({ kind: 'bytes', bytes }, bytes.length);
    this.pump();
  }

  sendBlocks(content: ShapedContent, blocks: readonly OutgoingBlock[]): void {
    for (const { offset, length } of blocks)
      if (!(offset >= 0 && length >= 0 && offset + length <= content.length))
        throw new RangeError(
          `${length} bytes at ${offset} are not within the ${content.length} of the content`,
        );
    if (this.#isStopped) return;
    for (const { header, offset, length } of blocks) {
      if (header.length > 0) this.#push({ kind: 'bytes', bytes: header }, header.length);
      this.#pushBlock({ kind: 'block', content, offset, length });
    }
    this.pump();
  }

  end(): void {
    if (this.#isStopped) return;
    this.#isClosing = true;
    this.#push({ kind: 'end' }, 0);
    this.#awaitAnswer();
    this.pump();
  }

  /** Forgets what has not left, and sends a reset after what has. */
  reset(): void {
    if (this.#isStopped) return;
    this.#queue = [];
    this.#head = 0;
    this.queuedBytes = 0;
    this.#shape.up.leave(this);
    this.#put({ items: [{ kind: 'reset' }], bytes: 0, dueMs: 0 }, this.#shape.clock.now());
    this.#flush();
  }

  /** The connection is over; nothing is called from here on. */
  stop(): void {
    this.#isStopped = true;
    this.#queue = [];
    this.#line = [];
    this.#head = this.#lineHead = 0;
    this.queuedBytes = 0;
    this.#shape.up.leave(this);
    this.#lineTimer?.cancel();
    this.#giveUpTimer?.cancel();
  }

  /** Path or link changed, or the connection opened. */
  refresh(): void {
    if (this.#isStopped) return;
    const { path } = this.#sink;
    if (path.lossRate === 0) this.#windowBytes = LARGEST_WINDOW_BYTES;
    if (this.#stalledSinceMs !== undefined && !path.isCutOut && !path.isCutIn) this.#heal();
    this.#flush();
    this.pump();
  }

  /** Sends on what may go. */
  pump(): void {
    if (this.#isStopped || this.#crossing !== undefined || this.#head === this.#queue.length) return;
    if (this.#sink.path.isCutOut) this.#stall();
    if (!this.#isBlocked()) this.#shape.up.enter(this);
  }

  // ---------------------------------------------------------------- the link

  begin(mostBytes: number): number {
    if (this.#crossing !== undefined || this.#isStopped || this.#isBlocked()) return 0;
    const items: Item[] = [];
    let bytes = 0;
    while (this.#head < this.#queue.length && bytes < mostBytes) {
      const item = this.#queue[this.#head]!;
      if (item.kind === 'reading') break;
      if (item.kind === 'end' || item.kind === 'reset') {
        items.push(item);
        this.#head++;
        break;
      }
      const taken = Math.min(lengthOf(item), mostBytes - bytes);
      bytes += taken;
      if (taken === lengthOf(item)) {
        items.push(item);
        this.#head++;
      } else {
        items.push(part(item, 0, taken));
        this.#queue[this.#head] = part(item, taken, lengthOf(item));
      }
    }
    this.#compact();
    if (items.length === 0) return 0;
    this.#crossing = { items, bytes, dueMs: 0 };
    this.queuedBytes -= bytes;
    this.#sink.taken();
    return bytes > 0 ? streamWireBytes(bytes) : END_WIRE_BYTES;
  }

  crossed(atMs: number): void {
    const chunk = this.#crossing;
    this.#crossing = undefined;
    if (chunk === undefined || this.#isStopped) return;
    this.#put(chunk, atMs);
    this.#flush();
    this.pump();
  }

  // ---------------------------------------------------------------- the line

  #put(chunk: Chunk, atMs: number): void {
    const { path } = this.#sink;
    chunk.dueMs = Math.max(this.#lastDueMs, atMs + this.#shape.drawDelayMs(path) + this.#lossMs(chunk, atMs));
    this.#lastDueMs = chunk.dueMs;
    this.#line.push(chunk);
    this.#lineBytes += chunk.bytes;
    if (!path.isCutIn) return;
    this.#unansweredBytes += chunk.bytes;
    this.#stall();
  }

  /** Gives on what is due. */
  #flush(): void {
    const { clock } = this.#shape;
    while (this.#lineHead < this.#line.length && !this.#isStopped) {
      const chunk = this.#line[this.#lineHead]!;
      if (this.#sink.path.isCutOut) return void this.#stall();
      const waitMs = Math.max(chunk.dueMs, this.#resumesAtMs) - clock.now();
      if (waitMs > 0) {
        this.#lineTimer?.cancel();
        this.#lineTimer = clock.setTimer(waitMs, () => {
          this.#flush();
          this.pump();
        });
        return;
      }
      this.#lineHead++;
      this.#lineBytes -= chunk.bytes;
      this.#release(chunk.items);
    }
    this.#line = [];
    this.#lineHead = 0;
  }

  #release(items: readonly Item[]): void {
    let header: Uint8Array = NOTHING;
    let blocks: OutgoingBlock[] = [];
    let content: ShapedContent | undefined;
    const sendBlocks = (): void => {
      if (content !== undefined) this.#sink.sendBlocks(content, blocks);
      content = undefined;
      blocks = [];
    };
    const sendHeader = (): void => {
      if (header.length > 0) this.#sink.sendBytes(header);
      header = NOTHING;
    };
    for (const item of items) {
      if (item.kind === 'block') {
        if (item.content !== content) sendBlocks();
        content = item.content;
        blocks.push({ header, offset: item.offset, length: item.length });
        header = NOTHING;
        continue;
      }
      // Bytes go with the block that follows them, if one does.
      if (header.length > 0) {
        sendBlocks();
        sendHeader();
      }
      if (item.kind === 'bytes') header = item.bytes;
      else if (item.kind !== 'reading') {
        sendBlocks();
        this.#sink.ended(item.kind);
      }
    }
    sendBlocks();
    sendHeader();
  }

  // ---------------------------------------------------------------- loss and cuts

  /** By how much a chunk is late because segments of it were lost, and sent again (RFC 5681, RFC 6298). */
  #lossMs(chunk: Chunk, atMs: number): number {
    const { path } = this.#sink;
    if (path.lossRate === 0 || path.isCutOut) return 0;
    const segments = Math.max(1, Math.ceil(chunk.bytes / SEGMENT_BYTES));
    if (!this.#shape.draw(1 - (1 - path.lossRate) ** segments)) {
      this.#windowBytes += (SEGMENT_BYTES * chunk.bytes) / this.#windowBytes;
      this.#windowBytes = Math.min(this.#windowBytes, LARGEST_WINDOW_BYTES);
      return 0;
    }
    const roundTripMs = Math.max(1, 2 * path.delayMs);
    if (atMs >= this.#recoversAtMs) {
      // Half of what is in flight, of which the line holds one way.
      this.#windowBytes = Math.max(SMALLEST_WINDOW_BYTES, Math.min(this.#windowBytes / 2, this.#lineBytes));
      this.#recoversAtMs = atMs + roundTripMs;
    }
    const retryMs = Math.max(LEAST_RETRY_MS, 2 * roundTripMs);
    // What follows tells of the loss within a round trip; the last bytes have only the timer.
    let lateMs = this.#head < this.#queue.length || chunk.bytes > 3 * SEGMENT_BYTES ? roundTripMs : retryMs;
    lateMs += this.#shape.drawRetriesMs(path, retryMs);
    return lateMs;
  }

  #isBlocked(): boolean {
    const { path, isOpen } = this.#sink;
    return (
      !isOpen ||
      path.isCutOut ||
      this.#resumesAtMs > this.#shape.clock.now() ||
      this.#lineBytes >= this.#windowBytes / 2 ||
      (path.isCutIn && this.#unansweredBytes >= UNANSWERED_BYTES)
    );
  }

  #stall(): void {
    this.#stalledSinceMs ??= this.#shape.clock.now();
    if (this.#giveUpTimer === undefined) this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    if (this.#stalledSinceMs === undefined) return;
    this.#giveUpTimer?.cancel();
    this.#giveUpTimer = this.#shape.clock.setTimer(this.#isClosing ? LINGER_MS : GIVE_UP_MS, () => {
      this.#giveUpTimer = undefined;
      this.#sink.timedOut();
    });
  }

  /** The next retry of those that back off from the start of the stall on gets through. */
  #heal(): void {
    const { clock } = this.#shape;
    const now = clock.now();
    let stepMs = Math.max(LEAST_RETRY_MS, 4 * this.#sink.path.delayMs);
    let retryAtMs = this.#stalledSinceMs! + stepMs;
    while (retryAtMs < now) {
      stepMs = Math.min(LONGEST_RETRY_MS, 2 * stepMs);
      retryAtMs += stepMs;
    }
    this.#stalledSinceMs = undefined;
    this.#unansweredBytes = 0;
    this.#giveUpTimer?.cancel();
    this.#giveUpTimer = undefined;
    this.#resumesAtMs = retryAtMs;
    clock.setTimer(retryAtMs - now, () => this.refresh());
  }

  // ---------------------------------------------------------------- the queue

  #push(item: Item, length: number): void {
    this.#queue.push(item);
    this.queuedBytes += length;
  }

  #pushBlock(block: Block): void {
    const { disk } = this.#shape;
    if (disk.isPlain) return void this.#push(block, block.length);
    const reading: Reading = { kind: 'reading', length: block.length };
    this.#push(reading, block.length);
    const error = disk.drawReadError(`the content in ${block.content.root}`);
    const isCorrupt = disk.drawCorruption();
    disk.move(block.length, () => {
      const at = this.#queue.indexOf(reading, this.#head);
      if (at < 0 || this.#isStopped) return;
      if (error !== undefined) {
        this.#shape.clock.setTimer(0, () => this.#isStopped || this.#sink.readFailed(error));
        return;
      }
      this.#queue[at] = isCorrupt ? { kind: 'bytes', bytes: this.#shape.random.bytes(block.length) } : block;
      if (at === this.#head) this.pump();
    });
  }

  #compact(): void {
    if (this.#head === this.#queue.length) this.#queue = [];
    else if (this.#head > 1_024) this.#queue = this.#queue.slice(this.#head);
    else return;
    this.#head = 0;
  }
}

const NOTHING = new Uint8Array(0);

function lengthOf(item: Bytes | Block): number {
  return item.kind === 'bytes' ? item.bytes.length : item.length;
}

function part(item: Bytes | Block, from: number, to: number): Bytes | Block {
  if (item.kind === 'bytes') return { kind: 'bytes', bytes: item.bytes.subarray(from, to) };
  return { kind: 'block', content: item.content, offset: item.offset + from, length: to - from };
}
