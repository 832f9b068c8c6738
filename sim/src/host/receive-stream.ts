/**
 * The receiving half of a simulated TCP connection: shows arriving bytes to the handler and moves payload
 * into pieces by reference. Views that a handler keeps beyond its call turn to noise, so that a bug which
 * would corrupt data on a real Host shows in simulation too.
 */
import type { PieceBuffer, TcpHandler } from '@skep/p2p-core/host';
import { HostError } from '@skep/p2p-core/host';
import { RealExtent } from './extent.ts';
import { SimPiece } from './piece.ts';
import type { Slice } from './send-stream.ts';

/** What a handler leaves is kept up to this many bytes. */
const MAX_LEFTOVER_BYTES = 2 * 2 ** 20;
/** Plain bytes are shown in views of about this size. */
const VIEW_BYTES = 256 * 1024;
const POISON = 0xdb;
const NOTHING = new Uint8Array(0);

/** Lent to one handler call at a time; calls never nest. */
let scratch = new Uint8Array(2 * VIEW_BYTES);

interface AskedPayload {
  leftBytes: number;
  readonly target: SimPiece | undefined;
  at: number;
}

export class ReceiveStream {
  readonly #isOpen: () => boolean;
  #inbox: Slice[] = [];
  #inboxHead = 0;
  /** Bytes shown and not consumed. */
  #leftover: Uint8Array = NOTHING;
  #isLeftoverFresh = false;
  #asked: AskedPayload | undefined;
  #isInHandler = false;
  /** Input was held and let go inside the handler's own call: what it leaves is news. */
  #isShowingAgain = false;
  /** Bytes that the process was given so far: what a paused one leaves waiting fills the window. */
  deliveredBytes = 0;

  constructor(isOpen: () => boolean) {
    this.#isOpen = isOpen;
  }

  get isEmpty(): boolean {
    return this.#inboxHead === this.#inbox.length;
  }

  /** Whether nothing is left to be shown: what was shown and not consumed is old news. */
  get isShown(): boolean {
    return this.isEmpty && !this.#isLeftoverFresh;
  }

  /** Makes what was left over news again, for a handler that was not to be asked before. */
  showAgain(): void {
    if (this.#isInHandler) this.#isShowingAgain = true;
    else this.#isLeftoverFresh = this.#leftover.length > 0;
  }

  push(slices: readonly Slice[]): void {
    for (const slice of slices) this.#inbox.push(slice);
  }

  drop(): void {
    this.#inbox = [];
    this.#inboxHead = 0;
    this.#leftover = NOTHING;
    this.#asked = undefined;
  }

  /** See TcpConnection.receivePayload. */
  receivePayload(length: number, target: PieceBuffer | undefined, targetOffset: number): void {
    if (!this.#isInHandler || this.#asked !== undefined)
      throw new Error('receivePayload is called from inside onBytes only, and once');
    if (target !== undefined && !(target instanceof SimPiece))
      throw new TypeError('the piece belongs to another Host');
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`no payload has ${length} bytes`);
    if (target !== undefined && !(targetOffset >= 0 && targetOffset + length <= target.length))
      throw new RangeError(`${length} bytes at ${targetOffset} do not fit a piece of ${target.length}`);
    this.#asked = { leftBytes: length, target, at: targetOffset };
  }

  /** Gives the handler all it takes. Throws what the handler throws, and too-large if it leaves too much. */
  deliver(handler: TcpHandler): void {
    while (this.#isOpen()) {
      if (this.#asked !== undefined) {
        this.#takePayload(this.#asked);
        if (this.#asked.leftBytes > 0) return;
        this.#asked = undefined;
        handler.onPayload?.();
      } else if (!this.isEmpty || this.#isLeftoverFresh) {
        this.#show(handler);
      } else {
        return;
      }
    }
  }

  #show(handler: TcpHandler): void {
    const length = this.#gather();
    const view = scratch.subarray(0, length);
    this.#isInHandler = true;
    let consumed: number;
    try {
      consumed = handler.onBytes(view);
    } finally {
      this.#isInHandler = false;
    }
    if (!(Number.isInteger(consumed) && consumed >= 0 && consumed <= length))
      throw new RangeError(`onBytes returned ${consumed} for a view of ${length} bytes`);
    // After a request for payload the rest is not old news: it was not looked at.
    this.#isLeftoverFresh = (this.#asked !== undefined || this.#isShowingAgain) && consumed < length;
    this.#isShowingAgain = false;
    this.#leftover = consumed === length ? NOTHING : view.slice(consumed);
    view.fill(POISON);
    if (this.#leftover.length > MAX_LEFTOVER_BYTES)
      throw new HostError(
        'too-large',
        `The peer sent over ${MAX_LEFTOVER_BYTES} bytes that no message ended in.`,
      );
  }

  /** Puts leftovers and the next bytes into scratch: plain ones together, payload alone. */
  #gather(): number {
    let length = this.#leftover.length;
    this.#reserve(length);
    scratch.set(this.#leftover);
    while (!this.isEmpty && !this.#isLeftoverFresh) {
      const { bytes, isPayload } = this.#inbox[this.#inboxHead]!;
      if (length > this.#leftover.length && (isPayload || length + bytes.length > VIEW_BYTES)) break;
      this.#inboxHead++;
      this.deliveredBytes += bytes.length;
      this.#reserve(length + bytes.length);
      scratch.set(bytes, length);
      length += bytes.length;
      if (isPayload) break;
    }
    this.#isLeftoverFresh = false;
    this.#compact();
    return length;
  }

  #takePayload(asked: AskedPayload): void {
    if (this.#leftover.length > 0) {
      const bytes = this.#leftover.subarray(0, asked.leftBytes);
      this.#leftover = this.#leftover.subarray(bytes.length);
      this.#isLeftoverFresh = this.#leftover.length > 0;
      put(asked, bytes);
    }
    while (asked.leftBytes > 0 && !this.isEmpty) {
      const { bytes, isPayload } = this.#inbox[this.#inboxHead]!;
      const taken = bytes.subarray(0, asked.leftBytes);
      put(asked, taken);
      this.deliveredBytes += taken.length;
      if (taken.length === bytes.length) this.#inboxHead++;
      else this.#inbox[this.#inboxHead] = { bytes: bytes.subarray(taken.length), isPayload };
    }
    this.#compact();
  }

  #compact(): void {
    if (!this.isEmpty) return;
    this.#inbox = [];
    this.#inboxHead = 0;
  }

  #reserve(length: number): void {
    if (scratch.length >= length) return;
    const grown = new Uint8Array(length * 2);
    grown.set(scratch);
    scratch = grown;
  }
}

function put(asked: AskedPayload, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  asked.target?.put(asked.at, RealExtent.of(bytes));
  asked.at += bytes.length;
  asked.leftBytes -= bytes.length;
}
