/**
 * The sending half of a simulated TCP connection: a queue, a window of unacknowledged chunks, and
 * go-back-N after a loss. Chunks get lost only to cuts and dead machines, and the simulator knows when
 * they do, so a connection that loses nothing needs no retransmission timer; one that does waits as long
 * as a real one would before it tries again.
 */

/** A run of bytes that nobody changes any more. Payload is kept apart from the plain bytes around it. */
export interface Slice {
  readonly bytes: Uint8Array;
  readonly isPayload: boolean;
}

export interface Chunk {
  /** Place of its first byte in the stream. The end of a stream takes one place, as in TCP. */
  readonly offset: number;
  lengthBytes: number;
  readonly slices: Slice[];
  readonly isEnd: boolean;
  readonly sentAtMs: number;
  hasArrived: boolean;
}

/** What waits to be sent; `slices` is missing while the disk still reads them. */
export interface QueuedItem {
  slices: readonly Uint8Array[] | undefined;
  readonly isPayload: boolean;
}

/** What the stream needs of its connection. */
export interface SendLink {
  nowMs(): number;
  transmit(chunk: Chunk): void;
  /** Whether bytes may still join a chunk sent in this same instant: not where links have rates. */
  canMerge(): boolean;
  roundTripMs(): number;
  laterInKernel(delayMs: number, work: () => void): void;
  /** An acknowledgement made room and the stream has sent on. */
  afterPump(): void;
  /** Nothing was acknowledged for `timeoutMs` after a loss. */
  onStalled(): void;
}

export const TCP_WINDOW_BYTES = 2 ** 20;
const MAX_CHUNK_BYTES = 64 * 1024;
const MIN_RETRANSMIT_MS = 200;
const MAX_RETRANSMIT_MS = 5_000;

export class SendStream {
  queuedBytes = 0;
  isOpen = false;
  readonly #link: SendLink;
  readonly #timeoutMs: number;
  #queue: QueuedItem[] = [];
  #head = 0;
  /** Slices, and bytes of the next slice, of the head item that are sent already. */
  #headSlice = 0;
  #headByte = 0;
  #unacked: Chunk[] = [];
  #unackedHead = 0;
  #sentBytes = 0;
  #ackedBytes = 0;
  /** Acknowledgements on their way: when they get here and what they say. */
  #acks: { readonly atMs: number; readonly upTo: number }[] = [];
  #isAckAwaited = false;
  #wantsEnd = false;
  #isEndSent = false;
  #isRecovering = false;
  #retransmitMs = 0;
  #stalledSinceMs = 0;

  constructor(link: SendLink, timeoutMs: number) {
    this.#link = link;
    this.#timeoutMs = timeoutMs;
  }

  get isEndSent(): boolean {
    return this.#isEndSent;
  }

  get wantsEnd(): boolean {
    return this.#wantsEnd;
  }

  push(item: QueuedItem, lengthBytes: number): void {
    this.queuedBytes += lengthBytes;
    this.#queue.push(item);
  }

  /** After all that is queued, the stream ends. */
  end(): void {
    this.#wantsEnd = true;
  }

  drop(): void {
    this.#queue = [];
    this.#head = 0;
    this.#unacked = [];
    this.#unackedHead = 0;
    this.#acks = [];
    this.queuedBytes = 0;
    this.isOpen = false;
  }

  /** Sends what the window has room for. */
  pump(): void {
    if (!this.isOpen) return;
    this.#takeDueAcks();
    while (this.#head < this.#queue.length) {
      const room = TCP_WINDOW_BYTES - (this.#sentBytes - this.#ackedBytes);
      if (room <= 0) {
        this.#awaitAck();
        return;
      }
      if (this.#queue[this.#head]!.slices === undefined) return;
      this.#sendChunk(room);
    }
    if (this.#head > 0) {
      this.#queue = [];
      this.#head = 0;
    }
    if (this.#wantsEnd && !this.#isEndSent) {
      this.#isEndSent = true;
      this.#launch(this.#newChunk(true));
    }
  }

  /** An acknowledgement of all before `upTo` is under way. */
  ackArrivesAt(atMs: number, upTo: number): void {
    if (!this.isOpen) return;
    this.#acks.push({ atMs, upTo });
    if (this.#isAckAwaited || this.#isRecovering) this.#pumpAt(atMs);
  }

  /** A chunk or its acknowledgement got lost. */
  noteLoss(): void {
    if (this.#isRecovering || !this.isOpen) return;
    this.#isRecovering = true;
    this.#stalledSinceMs = this.#link.nowMs();
    this.#retransmitMs = Math.max(MIN_RETRANSMIT_MS, 2 * this.#link.roundTripMs());
    for (const ack of this.#acks) this.#pumpAt(ack.atMs);
    this.#link.laterInKernel(this.#retransmitMs, () => this.#retransmit());
  }

  #sendChunk(room: number): void {
    const last = this.#unacked.at(-1);
    const canJoin =
      last !== undefined &&
      !last.hasArrived &&
      !last.isEnd &&
      last.sentAtMs === this.#link.nowMs() &&
      last.lengthBytes < MAX_CHUNK_BYTES &&
      this.#link.canMerge();
    const chunk = canJoin ? last : this.#newChunk(false);
    this.#fill(chunk, Math.min(room, MAX_CHUNK_BYTES - chunk.lengthBytes));
    if (!canJoin && chunk.lengthBytes > 0) this.#launch(chunk);
  }

  #newChunk(isEnd: boolean): Chunk {
    const sentAtMs = this.#link.nowMs();
    return { offset: this.#sentBytes, lengthBytes: 0, slices: [], isEnd, sentAtMs, hasArrived: false };
  }

  #launch(chunk: Chunk): void {
    if (chunk.isEnd) {
      chunk.lengthBytes = 1;
      this.#sentBytes++;
    }
    this.#unacked.push(chunk);
    this.#link.transmit(chunk);
  }

  /** Moves up to `room` bytes from the queue into a chunk, as far as they have been read. */
  #fill(chunk: Chunk, room: number): void {
    let left = room;
    while (left > 0 && this.#head < this.#queue.length) {
      const { slices, isPayload } = this.#queue[this.#head]!;
      if (slices === undefined) break;
      const slice = slices[this.#headSlice];
      if (slice === undefined) {
        this.#head++;
        this.#headSlice = 0;
        continue;
      }
      const bytes = slice.subarray(this.#headByte, this.#headByte + left);
      if (bytes.length > 0) chunk.slices.push({ bytes, isPayload });
      this.#headByte += bytes.length;
      if (this.#headByte === slice.length) {
        this.#headSlice++;
        this.#headByte = 0;
      }
      left -= bytes.length;
    }
    const moved = room - left;
    chunk.lengthBytes += moved;
    this.#sentBytes += moved;
    this.queuedBytes -= moved;
    // An item that is all sent leaves at once, so that an empty queue is seen to be empty.
    const item = this.#queue[this.#head];
    if (item?.slices !== undefined && this.#headSlice >= item.slices.length) {
      this.#head++;
      this.#headSlice = 0;
    }
  }

  #awaitAck(): void {
    if (this.#isAckAwaited) return;
    this.#isAckAwaited = true;
    const next = this.#acks[0];
    if (next !== undefined) this.#pumpAt(next.atMs);
  }

  #pumpAt(atMs: number): void {
    this.#link.laterInKernel(Math.max(0, atMs - this.#link.nowMs()), () => {
      this.#isAckAwaited = false;
      this.pump();
      this.#link.afterPump();
    });
  }

  #takeDueAcks(): void {
    const now = this.#link.nowMs();
    const before = this.#ackedBytes;
    let due = 0;
    for (; due < this.#acks.length && this.#acks[due]!.atMs <= now; due++)
      this.#ackedBytes = Math.max(this.#ackedBytes, this.#acks[due]!.upTo);
    if (due === 0) return;
    this.#acks.splice(0, due);
    // Any answer shows a living peer, even one whose window is full.
    this.#stalledSinceMs = now;
    if (this.#ackedBytes === before) return;
    this.#forgetAcked();
    if (this.#isRecovering) {
      this.#isRecovering = false;
      for (let i = this.#unackedHead; i < this.#unacked.length; i++) this.#link.transmit(this.#unacked[i]!);
    }
  }

  #forgetAcked(): void {
    for (; this.#unackedHead < this.#unacked.length; this.#unackedHead++) {
      const chunk = this.#unacked[this.#unackedHead]!;
      if (chunk.offset + chunk.lengthBytes > this.#ackedBytes) break;
    }
    if (this.#unackedHead * 2 >= this.#unacked.length) {
      this.#unacked.splice(0, this.#unackedHead);
      this.#unackedHead = 0;
    }
  }

  #retransmit(): void {
    if (!this.#isRecovering || !this.isOpen) return;
    this.#takeDueAcks();
    const first = this.#unacked[this.#unackedHead];
    if (!this.#isRecovering || first === undefined) {
      this.#isRecovering = false;
      return;
    }
    if (this.#link.nowMs() - this.#stalledSinceMs >= this.#timeoutMs) {
      this.#link.onStalled();
      return;
    }
    this.#link.transmit(first);
    this.#retransmitMs = Math.min(MAX_RETRANSMIT_MS, this.#retransmitMs * 2);
    this.#link.laterInKernel(this.#retransmitMs, () => this.#retransmit());
  }
}
