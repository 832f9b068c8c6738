/**
 * Queries under way: who was asked, and when to stop waiting. An answer counts only if it brings the transaction id
 * and comes from the address that was asked.
 *
 * There are two waits. After the short one, learnt from measured round trips as TCP does it (RFC 6298), a query is
 * slow: whoever waits for it goes on with others, but a late answer is still welcome. After the long one it has failed.
 */
import type { Address, Random } from '../../host/host.ts';
import { ipOf, NOT_IPV4 } from './endpoint.ts';

export const TRANSACTION_ID_LENGTH = 4;

/** After this a query has failed. */
export const ANSWER_TIMEOUT_MS = 4_000;

const INITIAL_SLOW_AFTER_MS = 500;
const MIN_SLOW_AFTER_MS = 50;
const MAX_SLOW_AFTER_MS = 2_000;

/** A node that needs more at once than this is being used to send, not to look up. */
export const MAX_OUTSTANDING = 512;

/** Random bytes are drawn in batches: one call to the Host for 32 transaction ids. */
const BATCH = 32;

export interface Transaction<T> {
  /** The transaction id as a number. */
  readonly key: number;
  readonly address: Address;
  /** Of `address`. */
  readonly ip: number;
  readonly context: T;
  /** What the context knows this query by. */
  readonly subject: unknown;
  readonly sentAtMs: number;
  isSlow: boolean;
}

export interface Expired<T> {
  readonly slow: readonly Transaction<T>[];
  readonly failed: readonly Transaction<T>[];
}

const NOTHING: Expired<never> = { slow: [], failed: [] };

/** The id that was made last: `begin` is synchronous and its result goes straight into a datagram. */
const newId = new Uint8Array(TRANSACTION_ID_LENGTH);

export class Transactions<T> {
  readonly #random: Random;
  /**
   * In the order they began. Seldom more than a few, for which a list is the fastest table; and a Map that is filled
   * and emptied all the time leaves tables behind, each holding on to what came after it.
   */
  readonly #outstanding: Transaction<T>[] = [];
  #drawn: Uint8Array = new Uint8Array(0);
  #nextDrawn = 0;
  #smoothedMs = 0;
  #variationMs = 0;
  #slowAfterMs = INITIAL_SLOW_AFTER_MS;

  constructor({ random }: { random: Random }) {
    this.#random = random;
  }

  get outstanding(): number {
    return this.#outstanding.length;
  }

  /** How long an answer may take before its query counts as slow, in ms; what is learnt holds for queries under way too. */
  get slowAfterMs(): number {
    return this.#slowAfterMs;
  }

  /**
   * Opens a transaction; undefined if too many are open or the address is not IPv4. The id is 4 random bytes, so that it
   * can't be guessed; it is borrowed until the next call.
   */
  begin(address: Address, context: T, nowMs: number, subject?: unknown): Uint8Array | undefined {
    const ip = ipOf(address.host);
    if (this.#outstanding.length >= MAX_OUTSTANDING || ip === NOT_IPV4) return undefined;
    do this.#drawId();
    while (this.#indexOf(numberOf(newId)) >= 0);
    const key = numberOf(newId);
    this.#outstanding.push({ key, address, ip, context, subject, sentAtMs: nowMs, isSlow: false });
    return newId;
  }

  /** Closes and returns the transaction that this answer belongs to; undefined if it belongs to none. */
  match(id: Uint8Array, from: Address, nowMs: number): Transaction<T> | undefined {
    if (id.length !== TRANSACTION_ID_LENGTH) return undefined;
    const index = this.#indexOf(numberOf(id));
    if (index < 0) return undefined;
    const transaction = this.#outstanding[index]!;
    if (transaction.ip !== ipOf(from.host) || transaction.address.port !== from.port) return undefined;
    this.#remove(index);
    this.#measure(nowMs - transaction.sentAtMs);
    return transaction;
  }

  /** When `expire` has something to do next; undefined if nothing is under way. */
  nextDeadlineMs(): number | undefined {
    let earliestMs: number | undefined;
    for (const { isSlow, sentAtMs } of this.#outstanding) {
      const deadlineMs = sentAtMs + (isSlow ? ANSWER_TIMEOUT_MS : this.#slowAfterMs);
      if (earliestMs === undefined || deadlineMs < earliestMs) earliestMs = deadlineMs;
    }
    return earliestMs;
  }

  /** Closes what has failed by now, and marks what has become slow; both are returned for their askers to be told. */
  expire(nowMs: number): Expired<T> {
    const deadlineMs = this.nextDeadlineMs();
    if (deadlineMs === undefined || nowMs < deadlineMs) return NOTHING;
    const slow: Transaction<T>[] = [];
    const failed: Transaction<T>[] = [];
    for (const transaction of this.#outstanding) {
      if (nowMs >= transaction.sentAtMs + ANSWER_TIMEOUT_MS) failed.push(transaction);
      else if (!transaction.isSlow && nowMs >= transaction.sentAtMs + this.#slowAfterMs) {
        transaction.isSlow = true;
        slow.push(transaction);
      }
    }
    // They began in order of time, so those that have failed lie in front.
    this.#outstanding.splice(0, failed.length);
    return { slow, failed };
  }

  /** Forgets all; nobody is told. */
  clear(): void {
    this.#outstanding.length = 0;
  }

  #indexOf(key: number): number {
    const outstanding = this.#outstanding;
    for (let index = 0; index < outstanding.length; index++)
      if (outstanding[index]!.key === key) return index;
    return -1;
  }

  /** By hand: splice would make an array of what it takes out. */
  #remove(index: number): void {
    const outstanding = this.#outstanding;
    for (let later = index + 1; later < outstanding.length; later++)
      outstanding[later - 1] = outstanding[later]!;
    outstanding.pop();
  }

  #drawId(): void {
    if (this.#nextDrawn === this.#drawn.length) {
      this.#drawn = this.#random.bytes(BATCH * TRANSACTION_ID_LENGTH);
      this.#nextDrawn = 0;
    }
    for (let index = 0; index < TRANSACTION_ID_LENGTH; index++)
      newId[index] = this.#drawn[this.#nextDrawn++]!;
  }

  /** RFC 6298, section 2, with the clock's granularity left to the minimum. */
  #measure(roundTripMs: number): void {
    if (this.#smoothedMs === 0) {
      this.#smoothedMs = roundTripMs;
      this.#variationMs = roundTripMs / 2;
    } else {
      this.#variationMs += (Math.abs(this.#smoothedMs - roundTripMs) - this.#variationMs) / 4;
      this.#smoothedMs += (roundTripMs - this.#smoothedMs) / 8;
    }
    const waitMs = this.#smoothedMs + 4 * this.#variationMs;
    this.#slowAfterMs = Math.min(Math.max(waitMs, MIN_SLOW_AFTER_MS), MAX_SLOW_AFTER_MS);
  }
}

function numberOf(id: Uint8Array): number {
  return id[0]! | (id[1]! << 8) | (id[2]! << 16) | (id[3]! << 24);
}
