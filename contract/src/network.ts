/**
 * The network that a cluster's machines stand in, apart from any fault: how far they are from each other, and
 * how fast their links are. Whatever the runner, the same spec gives the same figures.
 */
import * as z from 'zod';
import { LinkConditions, PathImpairments } from './conditions.ts';
import { Role, SlotName } from './identity.ts';

const LatencyMs = z.number().min(0).max(60_000);

export const RegionName = z.string().regex(/^[a-z]{2}(-[a-z]+){1,3}-[1-9]$/);

export const NetworkSpec = z
  .strictObject({
    /**
     * One way, from machine to machine, in ms: a round trip takes twice this. A number is the same between any two; `minMs`
     * and `maxMs` give each pair of slots its own, evenly spread; with `regions` slots stand in them in turn,
     * and have the latencies published for those.
     */
    latencyMs: z
      .union([
        LatencyMs,
        z
          .strictObject({ minMs: LatencyMs, maxMs: LatencyMs })
          .refine(({ minMs, maxMs }) => minMs <= maxMs, 'minMs is at most maxMs'),
        z.strictObject({ regions: z.array(RegionName).min(1).max(64) }),
      ])
      .default(0),
    /** Each message is late by a further time, uniform in 0 to this. */
    jitterMs: PathImpairments.shape.jitterMs,
    /** 0 to 1, of what each machine sends. Streams lose time by it, datagrams are lost. */
    lossRate: PathImpairments.shape.lossRate,
    /** Rates of the machines' links: those of the slot, or else of its role, or else the default, or else no limit. */
    links: z
      .strictObject({
        default: LinkConditions.optional(),
        byRole: z.partialRecord(Role, LinkConditions).optional(),
        bySlot: z
          .partialRecord(SlotName, LinkConditions)
          .refine((links) => Object.keys(links).length <= 11_000, 'at most 11 000 slots')
          .optional(),
      })
      .optional(),
  })
  .meta({
    id: 'NetworkSpec',
    description:
      'The network that machines stand in. With one, even an empty one, each has an address of its own and can be partitioned, degraded, and have its clock and disk made worse.',
  });
export type NetworkSpec = z.infer<typeof NetworkSpec>;
