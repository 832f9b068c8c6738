/**
 * How long answers take, member by member: an average and its spread, moved by each measured round trip (RFC 6298,
 * section 2). Only answers that can belong to one sending alone are samples (Karn), which the caller sees to.
 */
import { formatMember, type MemberId } from './member.ts';

/** RFC 6298: SRTT moves by an eighth, RTTVAR by a quarter, and the timeout is SRTT + 4 RTTVAR. */
const AVERAGE_GAIN = 1 / 8;
const SPREAD_GAIN = 1 / 4;
const SPREADS = 4;
/** Round trips that never vary must not make every small delay a timeout. */
const LEAST_MARGIN_MS = 20;
const LEAST_TIMEOUT_MS = 50;
const MOST_TIMEOUT_MS = 450;

interface Estimate {
  readonly generation: number;
  averageMs: number;
  spreadMs: number;
}

export class RoundTrips {
  /** By slot. */
  readonly #estimates = new Map<string, Estimate>();
  readonly #defaultTimeoutMs: number;

  /** `defaultTimeoutMs` stands for members not measured yet. */
  constructor(defaultTimeoutMs: number) {
    this.#defaultTimeoutMs = defaultTimeoutMs;
  }

  sample(member: MemberId, roundTripMs: number): void {
    if (!(roundTripMs >= 0)) return;
    const held = this.#estimate(member);
    if (held === undefined) {
      const { slot, generation } = member;
      this.#estimates.set(slot, { generation, averageMs: roundTripMs, spreadMs: roundTripMs / 2 });
      return;
    }
    held.spreadMs += SPREAD_GAIN * (Math.abs(held.averageMs - roundTripMs) - held.spreadMs);
    held.averageMs += AVERAGE_GAIN * (roundTripMs - held.averageMs);
  }

  /** When an answer of `member` is overdue, from 50 to 450 ms after it was asked for. */
  timeoutMs(member: MemberId): number {
    const waitMs = this.#waitMs(member, LEAST_MARGIN_MS);
    if (waitMs === undefined) return this.#defaultTimeoutMs;
    return Math.min(MOST_TIMEOUT_MS, Math.max(LEAST_TIMEOUT_MS, waitMs));
  }

  /** The smoothed round trip; undefined before the first. */
  averageMs(member: MemberId): number | undefined {
    return this.#estimate(member)?.averageMs;
  }

  /** By when `count` of `members` will have answered; undefined while fewer are measured. */
  quorumMs(members: Iterable<MemberId>, count: number): number | undefined {
    const waits: number[] = [];
    for (const member of members) {
      const waitMs = this.#waitMs(member, 0);
      if (waitMs !== undefined) waits.push(waitMs);
    }
    return waits.sort((a, b) => a - b)[count - 1];
  }

  /** Forgets all but these, by `formatMember`. */
  keep(members: { has(key: string): boolean }): void {
    for (const [slot, { generation }] of this.#estimates)
      if (!members.has(formatMember({ slot, generation }))) this.#estimates.delete(slot);
  }

  #estimate({ slot, generation }: MemberId): Estimate | undefined {
    const held = this.#estimates.get(slot);
    return held?.generation === generation ? held : undefined;
  }

  #waitMs(member: MemberId, leastMarginMs: number): number | undefined {
    const held = this.#estimate(member);
    return held && held.averageMs + Math.max(leastMarginMs, SPREADS * held.spreadMs);
  }
}
