/**
 * Queries sent and answers awaited: transactions with one timer for all of them. Every asker hears exactly once
 * of its answer or failure, and possibly before that that the answer is slow.
 */
import type { Address, Clock, Random, Timer } from '../../host/host.ts';
import { encodeQuery, type KrpcError, type KrpcResponse, type QueryBody } from './krpc.ts';
import { type Transaction, Transactions } from './transactions.ts';

/** Who waits for answers. One may wait for many: it is told of each with what it named the query by. */
export interface Asker<S> {
  /** `response` holds views of the datagram, valid during the call only. */
  onResponse(response: KrpcResponse, subject: S): void;
  /** No answer yet, though others would have answered by now. */
  onSlow?(subject: S): void;
  /** An error was answered, or nothing in 4 seconds. */
  onFailure(subject: S): void;
}

export interface RpcComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly owner: RpcOwner;
}

export interface RpcOwner {
  /** Sends a datagram that is borrowed for the duration of the call. */
  send(datagram: Uint8Array, to: Address): void;
  /** A node answered, before its asker is told. */
  onAnswered(id: Uint8Array, from: Address, nowMs: number): void;
  /** A node left a query unanswered; its asker has been told. */
  onUnanswered(address: Address): void;
}

export class Rpc {
  readonly #clock: Clock;
  readonly #owner: RpcOwner;
  readonly #transactions: Transactions<Asker<unknown>>;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;
  readonly #onTimer = (): void => this.#wake();

  constructor({ clock, random, owner }: RpcComponents) {
    this.#clock = clock;
    this.#owner = owner;
    this.#transactions = new Transactions({ random });
  }

  get outstanding(): number {
    return this.#transactions.outstanding;
  }

  /** Sends a query. False, with `asker` never called, if 512 are under way, this is closed, or the address is not IPv4. */
  query<S>(address: Address, body: QueryBody, asker: Asker<S>, subject: S): boolean {
    if (this.#isClosed) return false;
    const nowMs = this.#clock.now();
    const transactionId = this.#transactions.begin(address, asker as Asker<unknown>, nowMs, subject);
    if (transactionId === undefined) return false;
    this.#owner.send(encodeQuery(body, transactionId), address);
    this.#wakeBy(nowMs + this.#transactions.slowAfterMs, nowMs);
    return true;
  }

  /** Hands an answer to whoever asked. False if nobody did. */
  receive(answer: KrpcResponse | KrpcError, from: Address, nowMs: number): boolean {
    const transaction = this.#transactions.match(answer.transactionId, from, nowMs);
    if (transaction === undefined) return false;
    // What was just learnt about round trips may make others slow sooner.
    if (this.#transactions.outstanding > 0) this.#wakeBy(nowMs + this.#transactions.slowAfterMs, nowMs);
    if (answer.kind === 'response') {
      this.#owner.onAnswered(answer.id, from, nowMs);
      transaction.context.onResponse(answer, transaction.subject);
    } else transaction.context.onFailure(transaction.subject);
    return true;
  }

  /** Ends all without telling anyone. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#transactions.clear();
  }

  /** The timer is left to run when answers come: it finds nothing then, which is cheaper than setting it anew each time. */
  #wakeBy(deadlineMs: number, nowMs: number): void {
    if (this.#isClosed || this.#timerAtMs <= deadlineMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = deadlineMs;
    this.#timer = this.#clock.setTimer(Math.max(deadlineMs - nowMs, 0), this.#onTimer);
  }

  #wake(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.now();
    const { slow, failed } = this.#transactions.expire(nowMs);
    for (const { context, subject } of slow) context.onSlow?.(subject);
    for (const transaction of failed) this.#fail(transaction);
    const deadlineMs = this.#transactions.nextDeadlineMs();
    if (deadlineMs !== undefined) this.#wakeBy(deadlineMs, nowMs);
  }

  #fail({ address, context, subject }: Transaction<Asker<unknown>>): void {
    context.onFailure(subject);
    this.#owner.onUnanswered(address);
  }
}
