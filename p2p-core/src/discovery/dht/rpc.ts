/**
 * Queries sent and answers awaited: transactions with one timer for all of them. Every asker hears exactly once
 * of its answer or failure, and possibly before that that the answer is slow.
 */
import type { Address, Clock, Random, Timer } from '../../host/host.ts';
import { encodeQuery, type KrpcError, type KrpcResponse, type QueryBody } from './krpc.ts';
import { type Transaction, Transactions } from './transactions.ts';

export interface Asker {
  /** `response` holds views of the datagram, valid during the call only. */
  onResponse(response: KrpcResponse): void;
  /** No answer yet, though others would have answered by now. */
  onSlow?(): void;
  /** An error was answered, or nothing in 4 seconds. */
  onFailure?(): void;
}

export interface RpcComponents {
  readonly clock: Clock;
  readonly random: Random;
  /** Sends a datagram that is borrowed for the duration of the call. */
  readonly send: (datagram: Uint8Array, to: Address) => void;
  /** A node answered, before its asker is told. */
  readonly onAnswered: (id: Uint8Array, from: Address, nowMs: number) => void;
  /** A node left a query unanswered; its asker has been told. */
  readonly onUnanswered: (address: Address) => void;
}

export class Rpc {
  readonly #components: RpcComponents;
  readonly #transactions: Transactions<Asker>;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(components: RpcComponents) {
    this.#components = components;
    this.#transactions = new Transactions(components);
  }

  get outstanding(): number {
    return this.#transactions.outstanding;
  }

  /** Sends a query. False, with `asker` never called, if 512 are under way or this is closed. */
  query(address: Address, body: QueryBody, asker: Asker): boolean {
    if (this.#isClosed) return false;
    const nowMs = this.#components.clock.now();
    const transactionId = this.#transactions.begin(address, asker, nowMs);
    if (transactionId === undefined) return false;
    this.#components.send(encodeQuery(body, transactionId), address);
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
      this.#components.onAnswered(answer.id, from, nowMs);
      transaction.context.onResponse(answer);
    } else transaction.context.onFailure?.();
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
    this.#timer = this.#components.clock.setTimer(Math.max(deadlineMs - nowMs, 0), () => this.#wake());
  }

  #wake(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#components.clock.now();
    const { slow, failed } = this.#transactions.expire(nowMs);
    for (const { context } of slow) context.onSlow?.();
    for (const transaction of failed) this.#fail(transaction);
    const deadlineMs = this.#transactions.nextDeadlineMs();
    if (deadlineMs !== undefined) this.#wakeBy(deadlineMs, nowMs);
  }

  #fail({ address, context }: Transaction<Asker>): void {
    context.onFailure?.();
    this.#components.onUnanswered(address);
  }
}
