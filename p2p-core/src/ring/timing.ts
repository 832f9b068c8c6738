/** The ring's times, all in milliseconds of the monotonic clock, and their defaults. */
export interface RingTiming {
  /** How often each node probes its successor and one other member. */
  readonly probeIntervalMs: number;
  /** A probe not answered by then is tried through others, as long as no round trip to the member was measured. */
  readonly probeTimeoutMs: number;
  /** From the first silence to death, if others confirm it: longer than any pause that must be survived. */
  readonly graceMs: number;
  /** How often a node compares what it holds of all members with one of them. */
  readonly syncIntervalMs: number;
  /** At most one connection attempt (for evidence) per member in this time. */
  readonly connectIntervalMs: number;
  /** Without a leader's heartbeat for a random time from this range, and the leader suspect, a node stands. */
  readonly electionTimeoutMs: readonly [number, number];
  /** The same when the leader is known to be gone: small, and random so that two seldom stand together. */
  readonly staggerMs: readonly [number, number];
  /**
   * A candidacy without a majority by then ends. This, `staggerMs`, `retryMs` and `resendMs` hold where round trips are
   * not known yet; measured ones scale them, from half of these times to eight times.
   */
  readonly candidacyMs: readonly [number, number];
  /** After a lost candidacy the next one waits this long, and up to eight times that after more of them. */
  readonly retryMs: readonly [number, number];
  /** Vote requests without an answer are sent again. */
  readonly resendMs: number;
  /** How long a sign that the control API was reached stays good enough to stand for election. */
  readonly authorityFreshMs: number;
  /** A call of the authority not answered by then counts as unreachable. */
  readonly authorityTimeoutMs: number;
  /** An elected node that cannot reach the authority for this long gives up. */
  readonly acquirePatienceMs: number;
  /** Pause before a failed lease call is tried again. */
  readonly leaseRetryMs: number;
  /** First and longest pause between two requests to redeploy one slot. */
  readonly redeployRetryMs: readonly [number, number];
  /** How long a leader that leaves waits for another to lead. */
  readonly transferMs: number;
  /** An accepted request is repeated if the configuration has not moved on by then. */
  readonly redeployReminderMs: number;
}

export const DEFAULT_TIMING: RingTiming = {
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  graceMs: 6_000,
  syncIntervalMs: 10_000,
  connectIntervalMs: 1_000,
  electionTimeoutMs: [1_000, 2_000],
  staggerMs: [50, 150],
  candidacyMs: [500, 1_000],
  retryMs: [100, 400],
  resendMs: 150,
  authorityFreshMs: 30_000,
  authorityTimeoutMs: 3_000,
  acquirePatienceMs: 5_000,
  leaseRetryMs: 250,
  transferMs: 500,
  redeployRetryMs: [250, 5_000],
  redeployReminderMs: 15_000,
};
