/**
 * The receiving half of a connection: hands arriving bytes to the handler without copying where nothing is
 * left over, keeps what the handler leaves, and puts payload straight into its piece.
 */
import type { PieceBuffer, TcpHandler } from '../host.ts';
import { HostError } from '../host.ts';
import { SharedPiece } from './buffers.ts';

/** What a handler leaves is kept up to this many bytes. */
const LARGEST_LEFTOVER = 2 * 2 ** 20;
/** Room in front of the read buffer where leftovers are put, so that they and the new bytes are one view. */
export const HEADROOM = 64 * 2 ** 10;
export const READ_BYTES = 256 * 2 ** 10;

export class Inbox {
  readonly #handler: TcpHandler;
  readonly #isOpen: () => boolean;
  /** Leftovers lie in its first `#leftLength` bytes. */
  #left = new Uint8Array(0);
  #leftLength = 0;
  #inHandler = false;
  #payloadLeft = 0;
  #payloadAsked = false;
  #payloadAt = 0;
  #target: SharedPiece | undefined;

  constructor(handler: TcpHandler, isOpen: () => boolean) {
    this.#handler = handler;
    this.#isOpen = isOpen;
  }

  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    if (!this.#inHandler || this.#payloadAsked)
      throw new Error('receivePayload is called from inside onBytes only, and once');
    if (target !== undefined && !(target instanceof SharedPiece))
      throw new TypeError('the piece belongs to another Host');
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`no payload has ${length} bytes`);
    if (target !== undefined && !(targetOffset >= 0 && targetOffset + length <= target.length))
      throw new RangeError(
        `${length} bytes at ${targetOffset} do not fit a piece of ${target.length}; check the block against its piece`,
      );
    this.#payloadAsked = true;
    this.#payloadLeft = length;
    this.#payloadAt = targetOffset;
    this.#target = target;
  }

  /**
   * Takes `length` bytes that lie in `buffer` at HEADROOM. What the handler throws is thrown on; leftovers
   * over the limit throw too-large.
   */
  feedRead(buffer: Uint8Array, length: number): void {
    if (this.#leftLength > HEADROOM) {
      this.#feedBehind(buffer.subarray(HEADROOM, HEADROOM + length));
      return;
    }
    const start = HEADROOM - this.#leftLength;
    if (this.#leftLength > 0) buffer.set(this.#left.subarray(0, this.#leftLength), start);
    this.#leftLength = 0;
    this.#keep(this.#offer(buffer.subarray(start, HEADROOM + length)));
  }

  /** The same where so much is left over that the bytes are copied behind it. */
  #feedBehind(bytes: Uint8Array): void {
    this.#reserve(this.#leftLength + bytes.length);
    this.#left.set(bytes, this.#leftLength);
    const rest = this.#offer(this.#left.subarray(0, this.#leftLength + bytes.length));
    this.#left.copyWithin(0, rest.byteOffset, rest.byteOffset + rest.length);
    this.#leftLength = rest.length;
    this.#checkLeft();
  }

  /** Offers what was left over once more, for a handler that was not to be asked before. */
  offerAgain(): void {
    this.#feedBehind(new Uint8Array(0));
  }

  /** Offers `view` to payload and handler in turn until neither takes more, and returns the rest. */
  #offer(view: Uint8Array): Uint8Array {
    let at = 0;
    while (this.#isOpen()) {
      if (this.#payloadAsked) {
        at += this.#takePayload(view, at);
        if (this.#payloadLeft > 0) break;
        this.#payloadAsked = false;
        this.#target = undefined;
        this.#handler.onPayload?.();
        continue;
      }
      if (at === view.length) break;
      at += this.#ask(at === 0 ? view : view.subarray(at));
      if (!this.#payloadAsked) break;
    }
    return view.subarray(at);
  }

  #ask(view: Uint8Array): number {
    this.#inHandler = true;
    try {
      const consumed = this.#handler.onBytes(view);
      if (!(consumed >= 0 && consumed <= view.length && Number.isInteger(consumed)))
        throw new RangeError(`onBytes returned ${consumed} for a view of ${view.length} bytes`);
      return consumed;
    } finally {
      this.#inHandler = false;
    }
  }

  #takePayload(view: Uint8Array, at: number): number {
    const length = Math.min(this.#payloadLeft, view.length - at);
    if (this.#target !== undefined && !this.#target.released && length > 0)
      // Twice as fast as `set`, which copies into shared memory word by atomic word.
      Buffer.prototype.copy.call(view, this.#target.bytes, this.#payloadAt, at, at + length);
    this.#payloadAt += length;
    this.#payloadLeft -= length;
    return length;
  }

  #keep(rest: Uint8Array): void {
    if (rest.length > 0) {
      this.#reserve(rest.length);
      this.#left.set(rest);
    }
    this.#leftLength = rest.length;
    this.#checkLeft();
  }

  #checkLeft(): void {
    if (this.#leftLength > LARGEST_LEFTOVER)
      throw new HostError(
        'too-large',
        `the peer sent more than ${LARGEST_LEFTOVER} bytes that no message ended in`,
      );
    // A large message is rare; its room is not kept for the life of the connection.
    if (this.#leftLength === 0 && this.#left.length > HEADROOM) this.#left = new Uint8Array(0);
  }

  #reserve(length: number): void {
    if (this.#left.length >= length) return;
    const grown = new Uint8Array(Math.max(256, 2 ** Math.ceil(Math.log2(length))));
    grown.set(this.#left.subarray(0, this.#leftLength));
    this.#left = grown;
  }
}
