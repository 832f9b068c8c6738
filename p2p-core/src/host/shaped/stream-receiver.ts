/**
 * The receiving half of a shaped connection: holds input back so that it comes no faster than the link lets it.
 * Nothing is copied: what has not crossed the link yet waits in the connection beneath.
 *
 * Payload is told of once all of it has crossed. Other bytes are shown a chunk at a time, and each chunk's time
 * on the link is spent before the next is shown.
 */
import type { TcpHandler } from '../host.ts';
import { type Flow, type Link, streamWireBytes } from './link.ts';

/** What the receiver needs of its connection. */
export interface ReceiverSource {
  readonly handler: TcpHandler;
  /** Tells the handler of its payload; never throws. */
  payloadCrossed(): void;
  /** Input is held while bytes cross the link. */
  holdForLink(isHeld: boolean): void;
}

/** The most that is shown before it is paid for. */
const SHOWN_BYTES = 16_384;

export class StreamReceiver implements Flow {
  readonly #link: Link;
  readonly #source: ReceiverSource;
  /** Bytes at the front of the stream that the handler has seen, and the link has been charged with. */
  #seenBytes = 0;
  #payloadAsked: number | undefined;
  /** Of the payload asked for: what was not seen. */
  #payloadBytes = 0;
  #owesPayload = false;
  /** Bytes that have still to cross. */
  #owedBytes = 0;
  /** What was seen is to be offered all the same. */
  #isOffered = false;

  constructor(components: { link: Link; source: ReceiverSource }) {
    this.#link = components.link;
    this.#source = components.source;
  }

  onBytes(view: Uint8Array): number {
    const isLimited = this.#link.isLimited;
    if (!isLimited && this.#seenBytes === 0) {
      const consumed = this.#source.handler.onBytes(view);
      this.#payloadBytes = this.#payloadAsked ?? 0;
      this.#payloadAsked = undefined;
      return consumed;
    }
    // Old news: all of it was left by the handler, to be offered with what comes next.
    if (view.length === this.#seenBytes && !this.#isOffered) return 0;
    const shownBytes = isLimited ? Math.min(view.length, this.#seenBytes + SHOWN_BYTES) : view.length;
    const freshBytes = shownBytes - this.#seenBytes;
    this.#isOffered = false;
    const consumed = this.#source.handler.onBytes(view.subarray(0, shownBytes));
    this.#seenBytes = shownBytes - consumed;
    const asked = this.#payloadAsked;
    this.#payloadAsked = undefined;
    if (asked !== undefined) this.#isOffered = true;
    if (isLimited) this.#owedBytes += freshBytes;
    if (asked !== undefined) {
      this.#payloadBytes = Math.max(0, asked - this.#seenBytes);
      this.#seenBytes = Math.max(0, this.#seenBytes - asked);
    } else if (this.#owedBytes > 0) {
      this.#pay();
    }
    return consumed;
  }

  /** The handler let its input go, and is offered again what it left. */
  offerAgain(): void {
    this.#isOffered = true;
  }

  /** The handler asked for `length` bytes of payload from inside `onBytes`. */
  payloadAsked(length: number): void {
    this.#payloadAsked = length;
  }

  onPayload(): void {
    if (!this.#link.isLimited) return void this.#source.handler.onPayload?.();
    this.#owedBytes += this.#payloadBytes;
    this.#owesPayload = true;
    this.#pay();
  }

  stop(): void {
    this.#link.leave(this);
    this.#owedBytes = 0;
    this.#owesPayload = false;
  }

  begin(mostBytes: number): number {
    const bytes = Math.min(mostBytes, this.#owedBytes);
    this.#owedBytes -= bytes;
    return streamWireBytes(bytes);
  }

  crossed(): void {
    if (this.#owedBytes > 0) return void this.#link.enter(this);
    this.#paid();
  }

  #pay(): void {
    if (this.#owedBytes === 0) return void this.#paid();
    this.#source.holdForLink(true);
    this.#link.enter(this);
  }

  #paid(): void {
    if (this.#owesPayload) {
      this.#owesPayload = false;
      this.#source.payloadCrossed();
    }
    this.#source.holdForLink(false);
  }
}
