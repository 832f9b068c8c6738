/**
 * The sending half of a simulated TCP connection: a queue, the chunks under way, and go-back-N after a cut.
 *
 * Chunks get lost only to cuts and dead machines, and the simulator knows when they do, so a connection
 * that loses nothing needs no retransmission timer; one that does waits as long as a real one would before
 * it tries again. (What random loss costs a stream is time: see segment-loss.ts.) Acknowledgements are looked up
 * when there is something to send; only a sender that waits for one has an event of it.
 */
import type { Slice } from './chunk.ts';
import { Chunk, type ChunkPath, SEGMENT_BYTES, SEGMENT_HEADER_BYTES } from './chunk.ts';
import { CongestionWindow } from './congestion-window.ts';
import { SimEvent } from './event-queue.ts';
import type { Extent } from './extent.ts';
import type { Link, LinkFlow } from './links.ts';
import { TurnNotes } from './links.ts';

/** Blocks on their way from the disk, which hold up what is sent after them. */
export class BlockRun {
  /** Headers and blocks, missing while the disk still reads. */
  slices: Slice[] | undefined;
  readonly lengthBytes: number;

  constructor(lengthBytes: number) {
    this.lengthBytes = lengthBytes;
  }
}

/** What the stream needs of its connection. */
export interface SendPath extends ChunkPath {
  nowMs(): number;
  /** The link that everything leaves by. */
  readonly uplink: Link;
  /** How much is sent in one go: no more than a turn of either link. */
  readonly chunkBytes: number;
  /** A chunk has passed the uplink from `firstMs` to `lastMs`, or will have. */
  transmit(chunk: Chunk, firstMs: number, lastMs: number): void;
  /** Without queues and jitter. */
  roundTripMs(): number;
  laterInKernel(delayMs: number, work: () => void): void;
  schedule(atMs: number, event: SimEvent): void;
  /** The stream has sent something. */
  onSent(): void;
  /** Nothing was acknowledged for too long after a loss. */
  onStalled(): void;
}

/** What a receiver keeps for a process that does not read. */
export const RECEIVE_WINDOW_BYTES = 2 ** 20;
const MIN_RETRANSMIT_MS = 200;
const MAX_RETRANSMIT_MS = 5_000;
/** How long a peer may leave bytes unacknowledged before the connection counts as dead. */
const STALL_TIMEOUT_MS = 20_000;

/** A stream goes on sending. */
class Pump extends SimEvent {
  readonly #stream: SendStream;

  constructor(stream: SendStream) {
    super();
    this.#stream = stream;
  }

  fire(): void {
    this.#stream.pump();
  }
}

interface Recovery {
  retransmitMs: number;
  sinceMs: number;
}

export class SendStream implements LinkFlow {
  readonly turns = new TurnNotes();
  readonly window = new CongestionWindow(RECEIVE_WINDOW_BYTES);
  queuedBytes = 0;
  /** All that was given to the link so far, the end included. */
  sentBytes = 0;
  isOpen = false;
  wantsEnd = false;
  isEndSent = false;
  readonly #path: SendPath;
  #queue: (Slice | BlockRun)[] | undefined;
  #head = 0;
  /** Slices of a run at the head, and bytes of the slice after them, that are sent already. */
  #headSlice = 0;
  #headByte = 0;
  /** Bytes queued that need no disk any more. */
  #readyBytes = 0;
  #firstUnacked: Chunk | undefined;
  #lastUnacked: Chunk | undefined;
  /** What is to be sent again, with all after it. */
  #resend: Chunk | undefined;
  #ackedBytes = 0;
  #windowEnd = RECEIVE_WINDOW_BYTES;
  #isAckAwaited = false;
  #nextPump: Pump | undefined;
  #busyUntilMs = 0;
  #recovery: Recovery | undefined;

  constructor(path: SendPath) {
    this.#path = path;
  }

  // -------------------------------------------------------------- the queue

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.queuedBytes += bytes.length;
    this.#readyBytes += bytes.length;
    this.#enqueue(bytes);
  }

  pushRun(run: BlockRun): void {
    if (run.lengthBytes === 0) return;
    this.queuedBytes += run.lengthBytes;
    this.#enqueue(run);
  }

  /** The disk has read a run. Takes ownership of the array. */
  fillRun(run: BlockRun, slices: Slice[]): void {
    run.slices = slices;
    this.#readyBytes += run.lengthBytes;
    this.pump();
  }

  /** After all that is queued, the stream ends. */
  end(): void {
    this.wantsEnd = true;
    this.pump();
  }

  drop(): void {
    this.#queue = undefined;
    this.#firstUnacked = undefined;
    this.#lastUnacked = undefined;
    this.#resend = undefined;
    this.#recovery = undefined;
    this.queuedBytes = 0;
    this.isOpen = false;
  }

  #enqueue(item: Slice | BlockRun): void {
    if (this.#queue === undefined) this.#queue = [item];
    else this.#queue.push(item);
  }

  // -------------------------------------------------------------- sending

  get wantsTurn(): boolean {
    if (!this.isOpen) return false;
    const flightBytes = this.flightBytes;
    if (this.#resend !== undefined)
      return flightBytes === 0 || flightBytes + this.#resend.lengthBytes <= this.window.bytes;
    if (this.#queue === undefined) return this.wantsEnd && !this.isEndSent;
    return this.#isHeadReady && this.#roomBytes > 0;
  }

  /** Sends what the windows and the uplink have room for. */
  pump(): void {
    if (!this.isOpen) return;
    this.#takeDueAcks();
    const { uplink } = this.#path;
    this.#joinLastChunk(uplink);
    if (this.wantsTurn) {
      if (uplink.isUnlimited) this.takeTurn(uplink, Number.POSITIVE_INFINITY, this.#path.nowMs());
      else if (this.#isSmall && uplink.takesSmall) this.#sendSmall(uplink);
      else uplink.join(this);
    }
    this.#awaitAck();
  }

  takeTurn(link: Link, maxBytes: number, startMs: number): number {
    const { chunkBytes } = this.#path;
    let passedBytes = 0;
    this.#takeDueAcks();
    while (passedBytes < maxBytes && this.wantsTurn) {
      const chunk = this.#nextChunk(Math.min(chunkBytes, maxBytes - passedBytes));
      const { wireBytes } = chunk;
      const endMs = link.occupy(startMs, wireBytes);
      passedBytes += wireBytes;
      this.#launch(chunk, endMs - link.durationMs(wireBytes), endMs);
    }
    if (passedBytes > 0) this.#path.onSent();
    this.#awaitAck();
    return passedBytes;
  }

  /** A single segment of a stream that has nothing else to send does not wait for a turn. */
  get #isSmall(): boolean {
    return this.#resend === undefined && !this.turns.isWaiting && this.#readyBytes <= SEGMENT_BYTES;
  }

  #sendSmall(uplink: Link): void {
    const chunk = this.#nextChunk(SEGMENT_BYTES);
    const { wireBytes } = chunk;
    const endMs = uplink.passSmall(this.#path.nowMs(), wireBytes);
    this.#launch(chunk, endMs - uplink.durationMs(wireBytes), endMs);
    this.#path.onSent();
    if (this.#queue === undefined && this.wantsEnd && !this.isEndSent) this.pump();
  }

  /** What is sent in one instant travels together, up to a segment where links have rates. */
  #joinLastChunk(uplink: Link): void {
    const last = this.#lastUnacked;
    if (last === undefined || last.sentAtMs !== this.#path.nowMs()) return;
    if (last.hasArrived || last.isEnd || this.turns.isWaiting || !this.#isHeadReady) return;
    const { chunkBytes } = this.#path;
    const most = uplink.isUnlimited && chunkBytes === uplink.turnBytes ? chunkBytes : SEGMENT_BYTES;
    if (last.lengthBytes + Math.min(this.#readyBytes, SEGMENT_BYTES) > most) return;
    const room = Math.min(this.#roomBytes, most - last.lengthBytes);
    if (room <= 0) return;
    const before = last.lengthBytes;
    this.#fill(last, room, room);
    if (!uplink.isUnlimited) uplink.passSmall(this.#path.nowMs(), last.lengthBytes - before);
    this.#path.onSent();
  }

  #nextChunk(maxBytes: number): Chunk {
    const again = this.#resend;
    if (again !== undefined) {
      this.#resend = again.next;
      return again;
    }
    const now = this.#path.nowMs();
    if (this.#ackedBytes === this.sentBytes) this.window.onIdle(now - this.#busyUntilMs, this.retransmitMs());
    const chunk = new Chunk(this.#path, this.sentBytes, now, this.#queue === undefined);
    if (chunk.isEnd) {
      this.isEndSent = true;
      this.sentBytes++;
    } else {
      this.#fill(chunk, fullSegments(maxBytes), this.#roomBytes);
    }
    if (this.#lastUnacked === undefined) this.#firstUnacked = chunk;
    else this.#lastUnacked.next = chunk;
    this.#lastUnacked = chunk;
    return chunk;
  }

  #launch(chunk: Chunk, firstMs: number, lastMs: number): void {
    this.#busyUntilMs = lastMs;
    this.#path.transmit(chunk, firstMs, lastMs);
  }

  get #isHeadReady(): boolean {
    const item = this.#queue?.[this.#head];
    return item !== undefined && (!(item instanceof BlockRun) || item.slices !== undefined);
  }

  /** Moves about `softBytes`, never more than `hardBytes`, from the queue into a chunk. */
  #fill(chunk: Chunk, softBytes: number, hardBytes: number): void {
    if (this.#takeRun(chunk, softBytes / 2, Math.min(hardBytes, 1.5 * softBytes))) return;
    let soft = softBytes;
    let hard = hardBytes;
    while (soft > 0 && hard > 0 && this.#isHeadReady) {
      const slice = this.#headOfQueue();
      const left = slice.length - this.#headByte;
      // A block is not cut for the sake of a little.
      const wanted = left > soft && (left - soft >= softBytes / 2 || left > hard) ? soft : left;
      const taken = Math.min(wanted, hard);
      chunk.add(cut(slice, this.#headByte, this.#headByte + taken));
      soft -= taken;
      hard -= taken;
      this.#advance(slice, taken);
    }
    this.#noteMoved(chunk, hardBytes - hard);
  }

  /** The common case: a run that is long enough goes whole into a chunk of its own, array and all. */
  #takeRun(chunk: Chunk, leastBytes: number, mostBytes: number): boolean {
    const run = this.#queue![this.#head];
    if (!(run instanceof BlockRun) || run.slices === undefined) return false;
    if (run.lengthBytes < leastBytes || run.lengthBytes > mostBytes) return false;
    if (this.#headSlice > 0 || this.#headByte > 0 || chunk.lengthBytes > 0) return false;
    chunk.slices = run.slices;
    this.#dropHead(this.#queue!);
    this.#noteMoved(chunk, run.lengthBytes);
    return true;
  }

  #noteMoved(chunk: Chunk, moved: number): void {
    chunk.lengthBytes += moved;
    this.sentBytes += moved;
    this.queuedBytes -= moved;
    this.#readyBytes -= moved;
  }

  #headOfQueue(): Slice {
    const item = this.#queue![this.#head]!;
    return item instanceof BlockRun ? item.slices![this.#headSlice]! : item;
  }

  #advance(slice: Slice, bytes: number): void {
    this.#headByte += bytes;
    if (this.#headByte < slice.length) return;
    this.#headByte = 0;
    const queue = this.#queue!;
    const item = queue[this.#head]!;
    if (item instanceof BlockRun && ++this.#headSlice < item.slices!.length) return;
    this.#headSlice = 0;
    this.#dropHead(queue);
  }

  #dropHead(queue: readonly unknown[]): void {
    this.#head++;
    if (this.#head === queue.length) {
      this.#queue = undefined;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 > queue.length) {
      this.#queue = this.#queue!.slice(this.#head);
      this.#head = 0;
    }
  }

  // -------------------------------------------------------------- windows and acknowledgements

  /** A chunk has arrived; the sender learns of it at `atMs`, and that it may send up to `windowEnd`. */
  ackArrivesAt(chunk: Chunk, atMs: number, windowEnd: number): void {
    if (!this.isOpen) return;
    chunk.ackAtMs = atMs;
    chunk.windowEnd = windowEnd;
    // It stands for those before it, whose own may have been lost.
    if (this.#recovery !== undefined)
      for (let each = this.#firstUnacked; each !== undefined && each.offset < chunk.offset; each = each.next)
        if (each.ackAtMs > atMs) each.ackAtMs = atMs;
    if (this.#isAckAwaited || this.#recovery !== undefined) this.#pumpAt(atMs);
  }

  /** The receiver's process has read on. */
  openWindow(windowEnd: number): void {
    if (windowEnd <= this.#windowEnd) return;
    this.#windowEnd = windowEnd;
    this.pump();
  }

  /** A chunk or its acknowledgement got lost to a cut or a dead machine. */
  noteLoss(): void {
    if (this.#recovery !== undefined || !this.isOpen) return;
    const recovery = { retransmitMs: this.retransmitMs(), sinceMs: this.#path.nowMs() };
    this.#recovery = recovery;
    this.#awaitAck();
    this.#retransmitLater(recovery);
  }

  /** Bytes under way: sent and not known to have arrived. */
  get flightBytes(): number {
    return (this.#resend === undefined ? this.sentBytes : this.#resend.offset) - this.#ackedBytes;
  }

  /** What may be sent now: nothing rather than less than a segment, unless it is the last. */
  get #roomBytes(): number {
    const bytes = this.window.bytes - this.flightBytes;
    if (bytes < SEGMENT_BYTES && bytes < this.#readyBytes) return 0;
    return Math.min(bytes, this.#windowEnd - this.sentBytes);
  }

  /** Without queues and jitter. */
  roundTripMs(): number {
    return this.#path.roundTripMs();
  }

  /** How long an acknowledgement may take before its chunk counts as lost. */
  retransmitMs(): number {
    return Math.max(MIN_RETRANSMIT_MS, 2 * this.#path.roundTripMs());
  }

  /** Has an event for the next acknowledgement if it is what sending waits for. */
  #awaitAck(): void {
    if (!this.isOpen) return;
    const first = this.#firstUnacked;
    const isBlocked =
      (this.#resend !== undefined || this.#isHeadReady) && !this.turns.isWaiting && !this.wantsTurn;
    this.#isAckAwaited = isBlocked;
    if ((isBlocked || this.#recovery !== undefined) && first !== undefined) this.#pumpAt(first.ackAtMs);
  }

  #pumpAt(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#nextPump ??= new Pump(this);
    if (!this.#nextPump.isDue) this.#path.schedule(Math.max(atMs, this.#path.nowMs()), this.#nextPump);
  }

  #takeDueAcks(): void {
    const now = this.#path.nowMs();
    let first = this.#firstUnacked;
    if (first === undefined || first.ackAtMs > now) return;
    while (first !== undefined && first.ackAtMs <= now) {
      const flightBytes = this.flightBytes;
      const ackedBytes = first.endOffset - this.#ackedBytes;
      if (first.isMarked) this.window.onLoss(first.offset, this.sentBytes);
      else this.window.onAcked(ackedBytes, flightBytes);
      this.#ackedBytes = first.endOffset;
      this.#windowEnd = Math.max(this.#windowEnd, first.windowEnd);
      if (this.#resend === first) this.#resend = first.next;
      first = first.next;
    }
    this.#firstUnacked = first;
    if (first === undefined) this.#lastUnacked = undefined;
    if (this.#recovery === undefined) return;
    // Those after what was lost were not taken by the receiver.
    this.#recovery = undefined;
    this.#resend = first;
  }

  #retransmitLater(recovery: Recovery): void {
    this.#path.laterInKernel(recovery.retransmitMs, () => {
      if (this.#recovery === recovery && this.isOpen) this.#retransmit(recovery);
    });
  }

  #retransmit(recovery: Recovery): void {
    this.#takeDueAcks();
    if (this.#recovery !== recovery) {
      this.pump();
      return;
    }
    if (this.#firstUnacked === undefined) {
      this.#recovery = undefined;
      return;
    }
    if (this.#path.nowMs() - recovery.sinceMs >= STALL_TIMEOUT_MS) {
      this.#path.onStalled();
      return;
    }
    this.window.onTimeout(this.sentBytes);
    this.#resend = this.#firstUnacked;
    this.pump();
    recovery.retransmitMs = Math.min(MAX_RETRANSMIT_MS, recovery.retransmitMs * 2);
    this.#retransmitLater(recovery);
  }
}

/** Headers and blocks by turns, as they lie in the stream. */
export function slicesOf(
  blocks: readonly { readonly header: Uint8Array }[],
  extents: readonly Extent[],
): Slice[] {
  const slices: Slice[] = [];
  for (const [i, { header }] of blocks.entries()) {
    if (header.length > 0) slices.push(header);
    if (extents[i]!.length > 0) slices.push(extents[i]!);
  }
  return slices;
}

/** What of `maxBytes` on the wire are data, in whole segments. */
function fullSegments(maxBytes: number): number {
  const segments = Math.floor(maxBytes / (SEGMENT_BYTES + SEGMENT_HEADER_BYTES));
  return Math.max(1, segments) * SEGMENT_BYTES;
}

function cut(slice: Slice, from: number, to: number): Slice {
  if (from === 0 && to === slice.length) return slice;
  return slice instanceof Uint8Array ? slice.subarray(from, to) : slice.sub(from, to);
}
