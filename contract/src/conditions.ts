/**
 * What is done to a machine to make it worse than it is: the zod twin of p2p-core's `Conditions`. Every field
 * may be absent, and absent means untouched.
 */
import * as z from 'zod';

export const longestDelayMs = 600_000;
/** Beyond a cluster's largest size, its control API included. */
export const mostRemotes = 11_000;

const Rate = z.number().min(0).max(1);
const DelayMs = z.number().min(0).max(longestDelayMs);
const BytesPerSecond = z.number().min(1).max(1e12);

/** Rates of the machine's own link, shared by all of its traffic. */
export const LinkConditions = z.strictObject({
  upBytesPerSecond: BytesPerSecond.optional(),
  downBytesPerSecond: BytesPerSecond.optional(),
});
export type LinkConditions = z.infer<typeof LinkConditions>;

/** What becomes of what this end sends to a remote. */
export const PathImpairments = z.strictObject({
  /** Added one way, so that a round trip grows by it once. */
  delayMs: DelayMs.optional(),
  /** Each message is late by a further time, uniform in 0 to this. Streams keep their order. */
  jitterMs: DelayMs.optional(),
  /** 0 to 1. A stream loses no bytes by it: it pays with the time of a retransmission. */
  lossRate: Rate.optional(),
  /** 0 to 1: datagrams that arrive twice. */
  duplicateRate: Rate.optional(),
  /** 0 to 1: datagrams that later ones overtake. */
  reorderRate: Rate.optional(),
});
export type PathImpairments = z.infer<typeof PathImpairments>;

export const PathConditions = z.strictObject({
  /** IP literals of remotes. */
  with: z.union([
    z.literal('any'),
    z
      .array(z.union([z.ipv4(), z.ipv6()]))
      .min(1)
      .max(mostRemotes)
      .readonly(),
  ]),
  ...PathImpairments.shape,
  /** Nothing passes this way: datagrams vanish, streams stall until the cut heals or their time is up. */
  cut: z.enum(['both', 'in', 'out']).optional(),
});
export type PathConditions = z.infer<typeof PathConditions>;

export const DiskConditions = z.strictObject({
  /** Whatever would write fails with disk-full; reading and removing go on. */
  full: z.boolean().optional(),
  /** Added to each operation. */
  delayMs: DelayMs.optional(),
  /** Of reads and writes together. */
  bytesPerSecond: BytesPerSecond.optional(),
  /** 0 to 1, of operations. */
  readErrorRate: Rate.optional(),
  writeErrorRate: Rate.optional(),
  /** 0 to 1, of reads of payload: they come back wrong, which a hash tells. */
  corruptReadRate: Rate.optional(),
});
export type DiskConditions = z.infer<typeof DiskConditions>;

/** Added to the wall clock; a jump is a skew that is set at once. At most a year either way. */
export const SkewMs = z.number().min(-31_536_000_000).max(31_536_000_000);

export const Conditions = z
  .strictObject({
    /** Absent: no limit. */
    link: LinkConditions.optional(),
    /** The first path whose `with` fits a remote decides, and decides alone. */
    paths: z.array(PathConditions).max(mostRemotes).readonly().optional(),
    clock: z.strictObject({ skewMs: SkewMs.optional() }).optional(),
    disk: DiskConditions.optional(),
  })
  .meta({ id: 'Conditions', description: 'What is done to a machine to make it worse than it is.' });
export type Conditions = z.infer<typeof Conditions>;
