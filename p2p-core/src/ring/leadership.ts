/**
 * Holding the lease: the elected node asks the authority, leads only once granted, and stops acting before
 * the lease can have ended. A pure machine.
 *
 * A lease's duration is counted from before its request was sent, by this node's own monotonic clock, and
 * only 80 % of it are used, so that clocks that run at slightly different rates do no harm. No clocks are
 * compared. The authority grants a term only above the lease's present one, and a renewal only to its holder.
 */
import type { RingTiming } from './timing.ts';

export type LeaseAnswer =
  | { readonly granted: true; readonly term: number; readonly durationMs: number }
  /** `term` is the term of the lease as it stands. */
  | { readonly granted: false; readonly term: number };

export type LeadershipOutput =
  /** To be answered by `answered` with `request`. */
  | {
      readonly type: 'lease';
      readonly method: 'acquire' | 'renew';
      readonly term: number;
      readonly request: number;
    }
  | { readonly type: 'granted'; readonly term: number; readonly durationMs: number }
  | { readonly type: 'refused'; readonly term: number; readonly currentTerm: number }
  | { readonly type: 'lost'; readonly term: number; readonly reason: string };

const USED_SHARE = 0.8;
const RENEW_SHARE = 1 / 3;
const NOTHING: readonly LeadershipOutput[] = [];

interface Tenure {
  readonly term: number;
  readonly sinceMs: number;
  grants: number;
  /** Of the grant counted from latest; undefined until the first. */
  grant: { readonly sentMs: number; readonly durationMs: number } | undefined;
  nextAskMs: number;
  method: 'acquire' | 'renew';
  /** An acquisition went unanswered, so the lease may already be ours. */
  outcomeUnknown: boolean;
  inFlight: { readonly request: number; readonly sentMs: number } | undefined;
}

export class Leadership {
  readonly #timing: RingTiming;
  #tenure: Tenure | undefined;
  #request = 0;

  constructor(timing: RingTiming) {
    this.#timing = timing;
  }

  /** Whether this node may act as leader at this instant: ask before every act. */
  mayAct(now: number): boolean {
    const grant = this.#tenure?.grant;
    return grant !== undefined && now < grant.sentMs + grant.durationMs * USED_SHARE;
  }

  /** How long others must still respect the lease; 0 without one. */
  remainingMs(now: number): number {
    const grant = this.#tenure?.grant;
    return grant === undefined ? 0 : Math.max(0, grant.sentMs + grant.durationMs - now);
  }

  /** How often this lease was granted, renewals included. */
  get grants(): number {
    return this.#tenure?.grants ?? 0;
  }

  /** When `wake` is due. */
  nextDueMs(): number {
    const tenure = this.#tenure;
    if (tenure === undefined) return Number.POSITIVE_INFINITY;
    const { grant, sinceMs, inFlight, nextAskMs } = tenure;
    const endMs =
      grant === undefined
        ? sinceMs + this.#timing.acquirePatienceMs
        : grant.sentMs + grant.durationMs * USED_SHARE;
    return inFlight === undefined ? Math.min(endMs, nextAskMs) : endMs;
  }

  elected(now: number, term: number): readonly LeadershipOutput[] {
    this.#tenure = {
      term,
      sinceMs: now,
      grants: 0,
      grant: undefined,
      nextAskMs: now,
      method: 'acquire',
      outcomeUnknown: false,
      inFlight: undefined,
    };
    return this.wake(now);
  }

  stop(): void {
    this.#tenure = undefined;
  }

  wake(now: number): readonly LeadershipOutput[] {
    const tenure = this.#tenure;
    if (tenure === undefined) return NOTHING;
    if (tenure.grant !== undefined && !this.mayAct(now)) {
      return this.#end(tenure, 'the lease could not be renewed in time');
    }
    if (tenure.grant === undefined && now >= tenure.sinceMs + this.#timing.acquirePatienceMs) {
      return this.#end(tenure, 'the control API could not be reached');
    }
    if (tenure.inFlight !== undefined || now < tenure.nextAskMs) return NOTHING;
    this.#request += 1;
    tenure.inFlight = { request: this.#request, sentMs: now };
    return [{ type: 'lease', method: tenure.method, term: tenure.term, request: this.#request }];
  }

  /** `answer` undefined: the authority could not be reached, or did not answer in time. */
  answered(now: number, request: number, answer: LeaseAnswer | undefined): readonly LeadershipOutput[] {
    const tenure = this.#tenure;
    if (tenure === undefined || tenure.inFlight?.request !== request) return NOTHING;
    const { sentMs } = tenure.inFlight;
    tenure.inFlight = undefined;
    if (answer === undefined) {
      tenure.outcomeUnknown = true;
      tenure.nextAskMs = now + this.#timing.leaseRetryMs;
      return this.wake(now);
    }
    if (answer.granted && answer.term === tenure.term) {
      const first = tenure.grant === undefined;
      tenure.grants += 1;
      tenure.grant = { sentMs, durationMs: answer.durationMs };
      tenure.method = 'renew';
      tenure.nextAskMs = sentMs + answer.durationMs * RENEW_SHARE;
      if (!this.mayAct(now)) return this.#end(tenure, 'the grant came too late to be used');
      return first ? [{ type: 'granted', term: tenure.term, durationMs: answer.durationMs }] : NOTHING;
    }
    if (tenure.method === 'acquire' && tenure.outcomeUnknown && answer.term === tenure.term) {
      // Perhaps the unanswered acquisition came through: only its holder can renew it.
      tenure.method = 'renew';
      tenure.nextAskMs = now;
      return this.wake(now);
    }
    this.#tenure = undefined;
    return [{ type: 'refused', term: tenure.term, currentTerm: answer.term }];
  }

  #end(tenure: Tenure, reason: string): readonly LeadershipOutput[] {
    this.#tenure = undefined;
    return [{ type: 'lost', term: tenure.term, reason }];
  }
}
