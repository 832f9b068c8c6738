/**
 * Whom a node holds for the leader, and how long it waits for that one: while it hears it, or while the lease runs that it
 * was shown, by the leader or by others that were. What is passed on of a leader ends with its lease, which a later word
 * of the same grant does not lengthen.
 */
import { type MemberId, sameMember } from './member.ts';
import type { LeaderShown } from './messages.ts';

export class Allegiance {
  #leader: MemberId | undefined;
  #heardMs = Number.NEGATIVE_INFINITY;
  #leaseUntilMs = Number.NEGATIVE_INFINITY;
  /** In which it was shown to lead; a node's own term may have gone on since. */
  #term = 0;
  #grant = 0;
  #former: MemberId | undefined;
  /** Until this term, word of others that someone leads is out of date. */
  #vacatedTerm = -1;

  get leader(): MemberId | undefined {
    return this.#leader;
  }

  /** Who led before the place was last open. */
  get former(): MemberId | undefined {
    return this.#former;
  }

  /** By when the lease that was shown last ends, if it is not shown again. */
  get leaseUntilMs(): number {
    return this.#leaseUntilMs;
  }

  /** Whether that is another than before. */
  becomes(leader: MemberId | undefined): boolean {
    if (leader === this.#leader || sameMember(leader, this.#leader)) return false;
    this.#leader = leader;
    return true;
  }

  /** `itself`: the leader has said so, and not another for it. */
  shown(now: number, { leaseMs, grant, term }: LeaderShown, itself: boolean): void {
    if (itself) this.#heardMs = now;
    this.#leaseUntilMs = now + leaseMs;
    this.#term = term;
    this.#grant = grant;
  }

  /** Whether another's word of a leader says more than is known in `term`. */
  isNews({ term, grant, leaseMs }: LeaderShown, ownTerm: number): boolean {
    if (leaseMs <= 0 || term <= this.#vacatedTerm) return false;
    return term > ownTerm || this.#leader === undefined || grant > this.#grant;
  }

  /** The place is known to be open, in `term`. Who led is named until `becomes` says otherwise. */
  end(term: number): void {
    this.#former = this.#leader;
    this.#vacatedTerm = term;
    this.#leaseUntilMs = Number.NEGATIVE_INFINITY;
    this.#heardMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether the leader is to be waited for, who was heard that lately or whose lease runs. */
  holds(now: number, patienceMs: number): boolean {
    return now < this.#leaseUntilMs || (this.#leader !== undefined && now - this.#heardMs < patienceMs);
  }

  /** To be passed on, while the lease that was shown runs. */
  toShow(now: number): LeaderShown | undefined {
    if (this.#leader === undefined || now >= this.#leaseUntilMs) return undefined;
    return { member: this.#leader, term: this.#term, grant: this.#grant, leaseMs: this.#leaseUntilMs - now };
  }
}
