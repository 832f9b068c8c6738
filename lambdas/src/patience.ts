/** Waiting: pauses, and pauses that grow and are jittered, so that those who were refused together do not return together. */
import type { Clock, Random } from '@skep/p2p-core/host';

export function pause(clock: Clock, durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(durationMs, resolve);
  });
}

const firstBackOffMs = 250;
const longestBackOffMs = 5_000;

/** How long to wait after the `failures`-th failure in a row, from 1: between half of a doubling ceiling and all of it. */
export function backOffMs(random: Random, failures: number): number {
  const ceilingMs = Math.min(longestBackOffMs, firstBackOffMs * 2 ** (failures - 1));
  return ceilingMs * (0.5 + random.float() / 2);
}

/** Does all, at most `atOnce` at a time; results in the order of `items`. */
export async function sideBySide<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await work(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
