/**
 * A link of a given rate that all traffic of a machine crosses one way: chunk after chunk, each flow in turn.
 *
 * A flow has at most one chunk on the link, so that flows with something to send share it fairly. Time on the
 * link is reckoned on a clock of its own, which goes on from where the chunk before ended, not from when a late
 * timer noticed: over time the rate is exact, however coarse the machine's timers are.
 */
import type { Clock, Timer } from '../host.ts';

/** Something with bytes to send over a link. */
export interface Flow {
  /** Takes the next chunk, of about `mostBytes` at most, and gives its length on the wire; 0 if there is none now. */
  begin(mostBytes: number): number;
  /** The chunk has crossed, at `atMs`, which may be a little ago. A flow with more enters again. */
  crossed(atMs: number): void;
}

/** How long a chunk may have the link, where that is no less than a few packets and no more than Linux's largest. */
const CHUNK_MS = 10;
const LEAST_CHUNK_BYTES = 2_896;
const LARGEST_CHUNK_BYTES = 65_536;
/** A flow that comes back so soon has not left the link idle: it took this long to hear that its turn was over. */
const RETURN_MS = 5;
/** What a link makes up for, of the time in which its process did not run; a longer stall costs throughput. */
const LONGEST_CARRY_MS = 100;

export class Link {
  readonly #clock: Clock;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  readonly #waiting = new Set<Flow>();
  #crossing: Flow | undefined;
  #freeAtMs = 0;
  #idleSinceMs = Number.NEGATIVE_INFINITY;
  /** When something last came to an idle link: nothing has crossed before. */
  #enteredMs = 0;
  #isRunning = false;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isLimited(): boolean {
    return this.#bytesPerSecond !== Number.POSITIVE_INFINITY;
  }

  /** Infinity for no limit. What is on the link now has the rest of its way at the new rate. */
  setRate(bytesPerSecond: number): void {
    const now = this.#clock.now();
    if (this.#crossing !== undefined && this.#freeAtMs > now) {
      const leftBytes = ((this.#freeAtMs - now) * this.#bytesPerSecond) / 1_000;
      this.#freeAtMs = now + (leftBytes * 1_000) / bytesPerSecond;
    }
    this.#bytesPerSecond = bytesPerSecond;
    this.#run();
  }

  /** Lets `flow` have its turn; harmless if it waits already. Without a limit its turn is now. */
  enter(flow: Flow): void {
    this.#waiting.add(flow);
    if (this.#crossing === undefined && !this.#isRunning) this.#run();
  }

  /** Takes `flow` out of the queue; a chunk that is crossing crosses. */
  leave(flow: Flow): void {
    this.#waiting.delete(flow);
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      this.#runUntil(this.#clock.now());
    } finally {
      this.#isRunning = false;
    }
  }

  #runUntil(now: number): void {
    this.#timer?.cancel();
    if (this.#crossing === undefined) {
      if (this.#waiting.size === 0) return;
      this.#enteredMs = now;
      const hasStayed = now - this.#idleSinceMs <= RETURN_MS;
      this.#freeAtMs = Math.max(this.#freeAtMs, hasStayed ? now - LONGEST_CARRY_MS : now);
      if (!this.#beginNext()) return;
    }
    while (this.#freeAtMs <= now) {
      this.#freeAtMs = Math.max(this.#freeAtMs, now - LONGEST_CARRY_MS);
      const crossing = this.#crossing;
      this.#crossing = undefined;
      crossing?.crossed(Math.max(this.#freeAtMs, this.#enteredMs));
      if (!this.#beginNext()) {
        this.#idleSinceMs = now;
        return;
      }
    }
    this.#timer = this.#clock.setTimer(this.#freeAtMs - now, () => this.#run());
  }

  #beginNext(): boolean {
    for (const flow of this.#waiting) {
      this.#waiting.delete(flow);
      const bytes = flow.begin(this.#chunkBytes());
      if (bytes === 0) continue;
      this.#freeAtMs += (bytes * 1_000) / this.#bytesPerSecond;
      this.#crossing = flow;
      return true;
    }
    return false;
  }

  #chunkBytes(): number {
    const bytes = (this.#bytesPerSecond * CHUNK_MS) / 1_000;
    return Math.min(LARGEST_CHUNK_BYTES, Math.max(LEAST_CHUNK_BYTES, Math.floor(bytes)));
  }
}

/** Crosses `link` with `bytes`, in turns with all other flows; `done` is told when the last has crossed. */
export class Crossing implements Flow {
  readonly #link: Link;
  readonly #done: (atMs: number) => void;
  #leftBytes: number;

  constructor(link: Link, bytes: number, done: (atMs: number) => void) {
    this.#link = link;
    this.#leftBytes = bytes;
    this.#done = done;
    link.enter(this);
  }

  begin(mostBytes: number): number {
    const bytes = Math.min(mostBytes, this.#leftBytes);
    this.#leftBytes -= bytes;
    return bytes;
  }

  crossed(atMs: number): void {
    if (this.#leftBytes > 0) this.#link.enter(this);
    else this.#done(atMs);
  }

  /** Leaves the link to others; `done` may still be told of the chunk that is on it. */
  cancel(): void {
    this.#leftBytes = 0;
    this.#link.leave(this);
  }
}

const SEGMENT_BYTES = 1_448;
const TCP_HEADER_BYTES = 52;
const UDP_HEADER_BYTES = 28;

/** What a stream's bytes take on the wire: IP and TCP headers, as on an Ethernet path, spread over them. */
export function streamWireBytes(bytes: number): number {
  return bytes * (1 + TCP_HEADER_BYTES / SEGMENT_BYTES);
}

export function datagramWireBytes(bytes: number): number {
  return bytes + UDP_HEADER_BYTES;
}
