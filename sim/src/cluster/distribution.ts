/** How long things take, as drawn by seed: the shapes that launches and outages of real runners have. */
import type { RandomStream } from '../host/index.ts';

/** Milliseconds. A pair is short for uniform. */
export type Distribution =
  | readonly [leastMs: number, mostMs: number]
  /** Sums of many small waits. `sigma` is that of the logarithm: 0.5 puts nine of ten within a factor of 2.3. */
  | {
      readonly kind: 'log-normal';
      readonly medianMs: number;
      readonly sigma: number;
      readonly mostMs?: number;
    }
  /** Waits for what comes at random; `leastMs` is added to each. */
  | {
      readonly kind: 'exponential';
      readonly meanMs: number;
      readonly leastMs?: number;
      readonly mostMs?: number;
    };

/** A fresh draw, in ms. */
export function drawMs(random: RandomStream, distribution: Distribution): number {
  if (!('kind' in distribution)) {
    const [leastMs, mostMs] = distribution;
    return leastMs === mostMs ? leastMs : random.between(leastMs, mostMs);
  }
  const { mostMs = Number.POSITIVE_INFINITY } = distribution;
  switch (distribution.kind) {
    case 'log-normal':
      return Math.min(mostMs, distribution.medianMs * Math.exp(distribution.sigma * normal(random)));
    case 'exponential':
      return Math.min(
        mostMs,
        (distribution.leastMs ?? 0) - distribution.meanMs * Math.log(1 - random.float()),
      );
  }
}

/** Box and Muller 1958. */
function normal(random: RandomStream): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.float()));
  return radius * Math.cos(2 * Math.PI * random.float());
}
