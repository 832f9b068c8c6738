/**
 * Orders for the control API, left in the table and waited for: functions outside the network need no way to it. Each has
 * an id of its own, so that an answer is that to one's own asking.
 */
import { Order, tableKeys } from '@skep/contract';
import type { Json, Store } from '@skep/control-api';
import { toHex } from '@skep/p2p-core/bytes';
import type { Clock, Random } from '@skep/p2p-core/host';
import { pause } from './patience.ts';

export interface OrderComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
}

const idBytes = 16;
const pollMs = 1_000;

export type OrderErrorCode =
  /** The control API will not do it. */
  | 'refused'
  /** It did not get to it, or to its end: it may be asked again. */
  | 'not-in-time';

/** An order was not carried out; `message` says why. */
export class OrderError extends Error {
  override readonly name = 'OrderError';
  readonly code: OrderErrorCode;
  constructor(code: OrderErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Leaves the order, waits up to `waitMs` for it to be done, and removes it. Rejects OrderError, StoreError. */
export async function placeOrder(
  { clock, random, store }: OrderComponents,
  ask: Order['ask'],
  waitMs: number,
): Promise<Order & { state: 'done' }> {
  const key = tableKeys.order(toHex(random.bytes(idBytes)));
  const asked: Order = { ask, askedAtMs: clock.wallTime(), state: 'asked' };
  await store.commit([{ key, expectedVersion: 0, put: asked as Json }]);
  const dueMs = clock.now() + waitMs;
  for (;;) {
    const row = await store.get(key);
    if (row === undefined)
      throw new OrderError('not-in-time', `somebody removed the order ${ask.kind}: give it again`);
    const order = Order.parse(row.value);
    const isOver = order.state === 'done' || order.state === 'failed';
    if (isOver || clock.now() >= dueMs) {
      // Changed at this very moment: it may be done now. Whatever else it is, nobody waits for it any more.
      if (!(await store.commit([{ key, expectedVersion: row.version, remove: true }])) && !isOver) continue;
      return concluded(order, waitMs);
    }
    await pause(clock, Math.min(pollMs, Math.max(1, dueMs - clock.now())));
  }
}

function concluded(order: Order, waitMs: number): Order & { state: 'done' } {
  const { ask, state, message } = order;
  const seconds = Math.round(waitMs / 1_000);
  switch (state) {
    case 'done':
      return { ...order, state };
    case 'failed':
      throw new OrderError(
        'refused',
        message ?? `the control API does not say why ${ask.kind} failed: its log does`,
      );
    case 'asked': {
      const unheard = `the control API did not take up the order ${ask.kind} within ${seconds} s: see whether its instance runs`;
      throw new OrderError('not-in-time', unheard);
    }
    case 'working':
      throw new OrderError(
        'not-in-time',
        `the control API was not done with ${ask.kind} within ${seconds} s: ask again`,
      );
  }
}
