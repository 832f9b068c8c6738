/** A leader that leaves: it has one member stand in its place, and waits for a while for another to lead. */
import type { MemberId } from './member.ts';

export class Transfer {
  readonly to: MemberId;
  /** The term to be stood for. */
  readonly round: number;
  readonly #untilMs: number;
  #nextMs: number;

  constructor(now: number, options: { to: MemberId; round: number; patienceMs: number }) {
    this.to = options.to;
    this.round = options.round;
    this.#untilMs = now + options.patienceMs;
    this.#nextMs = now;
  }

  get nextDueMs(): number {
    return Math.min(this.#nextMs, this.#untilMs);
  }

  isVain(now: number): boolean {
    return now >= this.#untilMs;
  }

  /** Whether `to` is to be asked at `now`; it is asked again after `waitMs`. */
  asksNow(now: number, waitMs: number): boolean {
    if (now < this.#nextMs) return false;
    this.#nextMs = now + waitMs;
    return true;
  }
}

/** Of those that could lead, one with the newest configuration heard of, and of these the nearest. */
export function chooseSuccessor(
  fit: readonly MemberId[],
  versionOf: (member: MemberId) => number,
  distanceMs: (member: MemberId) => number | undefined,
): MemberId | undefined {
  const far = Number.MAX_VALUE;
  const [best] = fit.toSorted(
    (a, b) => versionOf(b) - versionOf(a) || (distanceMs(a) ?? far) - (distanceMs(b) ?? far),
  );
  return best && { slot: best.slot, generation: best.generation };
}
