/**
 * What is done to a machine to make it worse than it is: the one vocabulary for ShapedHost, which does it to
 * any Host, and for faults, which ask for it. Every field may be absent, and absent means untouched. Its zod
 * twin is `conditions.ts` of the contract.
 */
export interface Conditions {
  /** Absent: no limit. A rate holds for all sockets of the machine together, and each of them gets its fair share. */
  readonly link?: LinkConditions;
  /** Traffic with a remote host: the first path whose `with` fits decides, and decides alone. */
  readonly paths?: readonly PathConditions[];
  readonly clock?: ClockConditions;
  readonly disk?: DiskConditions;
}

/** Rates of what is on the wire, IP headers included. */
export interface LinkConditions {
  readonly upBytesPerSecond?: number;
  readonly downBytesPerSecond?: number;
}

export interface PathConditions {
  /** IP literals of remotes. */
  readonly with: 'any' | readonly string[];
  /** Added to what this end sends: one way, so that a round trip grows by it once. */
  readonly delayMs?: number;
  /** Each message is delayed by a further time, uniform in 0 to this. Streams keep their order. */
  readonly jitterMs?: number;
  /** 0 to 1, of what this end sends. A stream loses no bytes by it: it pays with the time of a retransmission. */
  readonly lossRate?: number;
  /** 0 to 1: datagrams that arrive twice. */
  readonly duplicateRate?: number;
  /** 0 to 1: datagrams that later ones overtake. */
  readonly reorderRate?: number;
  /** Nothing passes this way: datagrams vanish, streams stall until the cut heals or their time is up. */
  readonly cut?: 'both' | 'in' | 'out';
}

export interface ClockConditions {
  /** Added to wallTime; monotonic time is never touched. A jump is a skew that is set at once. */
  readonly skewMs?: number;
}

export interface DiskConditions {
  /** Whatever would write rejects disk-full; reading and removing go on. */
  readonly full?: boolean;
  /** Added to each operation. */
  readonly delayMs?: number;
  /** Of reads and writes together. */
  readonly bytesPerSecond?: number;
  /** 0 to 1, of operations: they reject io. */
  readonly readErrorRate?: number;
  readonly writeErrorRate?: number;
  /** 0 to 1, of reads of payload: they come back wrong, which a hash tells. */
  readonly corruptReadRate?: number;
}
