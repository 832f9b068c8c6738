/**
 * A link: one direction of a machine's access to the network, of a rate. Bulk takes turns (deficit round
 * robin, Shreedhar and Varghese 1995): every connection with something to send passes some 50 ms worth of
 * the link, then the next, so the cost follows what is moved, and a flow's start or end recomputes nothing.
 *
 * Small messages (single segments, datagrams) do not wait for turns: packet by packet, a fair scheduler
 * would let them in between. They pass at once on an idle link and at half the rate beside bulk, which
 * makes up for them in its next turn, so that the link never carries more than its rate.
 */
import { type EventQueue, SimEvent } from './event-queue.ts';

/** A connection that has bulk to pass over a link. */
export interface LinkFlow {
  /** Whether it could use another turn at once. */
  readonly wantsTurn: boolean;
  /**
   * Passes about `maxBytes` from `startMs` on: calls `occupy` for each run, at least one if it can. Gives
   * how many bytes it passed; nothing if there is nothing to pass after all.
   */
  takeTurn(link: Link, maxBytes: number, startMs: number): number;
  /** The link's own notes. */
  readonly turns: TurnNotes;
}

/** What a link notes of a flow while it waits for its turn. */
export class TurnNotes {
  isWaiting = false;
  /** Bytes that it may pass still, or has passed too many in its last turn if negative. */
  creditBytes = 0;
  next: LinkFlow | undefined;
}

export interface LinkClock {
  readonly queue: EventQueue;
  now(): number;
}

const TURN_MS = 50;
const MIN_TURN_BYTES = 1_500;
const MAX_TURN_BYTES = 256 * 1024;
/** On the wire, with the headers of its segments. */
const BLOCK_BYTES = 17_000;
/** A flow needs so many turns' worth waiting to miss none of them while its window recovers from a half. */
const CROWD_TURNS = 3;
/** What waits before a link for longer than this makes senders slow down, and datagrams be dropped. */
const DEFAULT_QUEUE_MS = 250;
const MIN_QUEUE_BYTES = 64 * 1024;
/** Small messages that would wait longer than this are no longer few: they take turns like bulk. */
const MAX_SMALL_WAIT_MS = 20;

/** The link is free for the next turn. */
class TurnDue extends SimEvent {
  readonly #link: Link;

  constructor(link: Link) {
    super();
    this.#link = link;
  }

  fire(): void {
    this.#link.serve();
  }
}

export class Link {
  /** Bytes of bulk that wait before it, kept by the flows. */
  waitingBytes = 0;
  readonly #clock: LinkClock;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #msPerByte = 0;
  #askedQueueBytes: number | undefined;
  #first: LinkFlow | undefined;
  #last: LinkFlow | undefined;
  #waitingFlows = 0;
  #isServing = false;
  #nextTurn: TurnDue | undefined;
  /** When the bulk it was given will be through; where bulk came in slowly, this may lie behind. */
  #freeAtMs = 0;
  #smallFreeAtMs = 0;
  /** Time that small messages took from bulk and that it has not made up for. */
  #smallDebtMs = 0;

  constructor(clock: LinkClock, bytesPerSecond = Number.POSITIVE_INFINITY, queueBytes?: number) {
    this.#clock = clock;
    this.#askedQueueBytes = queueBytes;
    this.bytesPerSecond = bytesPerSecond;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Holds for what is sent from now on; what is under way keeps its time. Less than 1 counts as 1. */
  set bytesPerSecond(rate: number) {
    this.#bytesPerSecond = Math.max(1, rate);
    this.#msPerByte = 1_000 / this.#bytesPerSecond;
  }

  get isUnlimited(): boolean {
    return this.#msPerByte === 0;
  }

  /** How much may wait before it. Default: what it passes in 250 ms, at least 64 KiB. */
  get queueBytes(): number {
    return (
      this.#askedQueueBytes ?? Math.max(MIN_QUEUE_BYTES, (this.#bytesPerSecond * DEFAULT_QUEUE_MS) / 1_000)
    );
  }

  set queueBytes(bytes: number) {
    this.#askedQueueBytes = bytes;
  }

  /** Bytes that a flow passes in one turn: 50 ms of the link, but the fewer the more flows wait. */
  get turnBytes(): number {
    const fairBytes = Math.max(BLOCK_BYTES, this.queueBytes / Math.max(1, this.#waitingFlows));
    const bytes = Math.min((this.#bytesPerSecond * TURN_MS) / 1_000, fairBytes);
    return Math.max(MIN_TURN_BYTES, Math.min(MAX_TURN_BYTES, bytes));
  }

  /** Whether a flow with so much waiting should slow down: it has more than its part of a full queue. */
  isCrowdedBy(flowBytes: number): boolean {
    const fairBytes = this.queueBytes / Math.max(1, this.#waitingFlows);
    return (
      this.waitingBytes > this.queueBytes && flowBytes > Math.max(fairBytes, CROWD_TURNS * this.turnBytes)
    );
  }

  durationMs(lengthBytes: number): number {
    return lengthBytes * this.#msPerByte;
  }

  // -------------------------------------------------------------- small messages

  /** Whether a small message of a stream may pass beside the turns. */
  get takesSmall(): boolean {
    return this.#smallFreeAtMs - this.#clock.now() < MAX_SMALL_WAIT_MS;
  }

  /** Whether a datagram finds room in the queue. */
  get takesDatagram(): boolean {
    return this.isUnlimited || this.#smallFreeAtMs - this.#clock.now() <= this.durationMs(this.queueBytes);
  }

  /** Passes a small message whose first byte is here at `startMs`; gives when its last one is through. */
  passSmall(startMs: number, lengthBytes: number): number {
    const costMs = this.durationMs(lengthBytes);
    const isBulkBusy = this.#first !== undefined || this.#freeAtMs > this.#clock.now();
    if (isBulkBusy) this.#smallDebtMs += costMs;
    this.#smallFreeAtMs = Math.max(this.#smallFreeAtMs, startMs) + (isBulkBusy ? 2 * costMs : costMs);
    return this.#smallFreeAtMs;
  }

  // -------------------------------------------------------------- bulk

  /** Lets a flow have turns until it wants no more. Harmless if it waits already. */
  join(flow: LinkFlow): void {
    if (flow.turns.isWaiting) return;
    if (this.#first === undefined && this.#freeAtMs <= this.#clock.now())
      this.#smallDebtMs = Math.max(0, this.#smallFreeAtMs - this.#clock.now());
    this.#append(flow);
    this.serve();
  }

  /**
   * Passes bulk that came in from `firstMs` until now, if nothing is before it, and gives when its last
   * byte is through; undefined if it must wait for its turn. A link that is faster than what comes in has
   * passed most of it when the last byte comes.
   */
  passThrough(firstMs: number, lengthBytes: number): number | undefined {
    if (this.#first !== undefined || this.#freeAtMs > this.#clock.now()) return undefined;
    this.#smallDebtMs = 0;
    return this.occupy(firstMs, lengthBytes);
  }

  /** For `takeTurn`: the next `lengthBytes` pass now, from `startMs` on. Gives when the last is through. */
  occupy(startMs: number, lengthBytes: number): number {
    if (this.isUnlimited) return startMs;
    this.#freeAtMs = Math.max(this.#freeAtMs, startMs) + this.durationMs(lengthBytes) + this.#smallDebtMs;
    this.#smallDebtMs = 0;
    return this.#freeAtMs;
  }

  /** Gives turns until the link is busy or nobody waits. */
  serve(): void {
    if (this.#isServing || this.#nextTurn?.isDue === true) return;
    this.#isServing = true;
    const now = this.#clock.now();
    while (this.#first !== undefined && this.#freeAtMs <= now) this.#giveTurn(this.#first, now);
    this.#isServing = false;
    if (this.#first === undefined) return;
    this.#nextTurn ??= new TurnDue(this);
    this.#clock.queue.schedule(this.#freeAtMs, this.#nextTurn);
  }

  #giveTurn(flow: LinkFlow, now: number): void {
    const { turns } = flow;
    this.#first = turns.next;
    if (this.#first === undefined) this.#last = undefined;
    turns.next = undefined;
    turns.isWaiting = false;
    this.#waitingFlows--;
    turns.creditBytes += this.turnBytes;
    if (turns.creditBytes > 0)
      turns.creditBytes -= flow.takeTurn(this, turns.creditBytes, Math.max(now, this.#freeAtMs));
    if (flow.wantsTurn) this.#append(flow);
    else turns.creditBytes = Math.min(0, turns.creditBytes);
  }

  #append(flow: LinkFlow): void {
    flow.turns.isWaiting = true;
    if (this.#last === undefined) this.#first = flow;
    else this.#last.turns.next = flow;
    this.#last = flow;
    this.#waitingFlows++;
  }
}
