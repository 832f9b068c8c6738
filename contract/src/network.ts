/**
 * The network that a cluster's machines stand in, apart from any fault: how far they are from each other, and
 * how fast their links are. Whatever the runner, the same spec gives the same figures.
 */
import * as z from 'zod';
import { LinkConditions, PathImpairments } from './conditions.ts';
import { controlApiNode, type FaultNode } from './fault.ts';
import { Role, SlotName } from './identity.ts';
import { type AwsRegion, awsRegions, regionLatencyMs } from './region-latencies.ts';

const LatencyMs = z.number().min(0).max(60_000);

/** An AWS region whose latencies to the others are published. */
const RegionName = z
  .enum(awsRegions as [AwsRegion, ...AwsRegion[]])
  .meta({ id: 'RegionName', description: 'An AWS region, for instance eu-central-1.' });

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

/**
 * One way, in ms; the same in both directions. `one` and `other` are slots, or `control-api`, which stands in
 * the first region.
 */
export function latencyBetweenMs({ latencyMs }: NetworkSpec, one: FaultNode, other: FaultNode): number {
  if (typeof latencyMs === 'number') return latencyMs;
  if ('regions' in latencyMs) {
    return regionLatencyMs(regionOf(latencyMs.regions, one), regionOf(latencyMs.regions, other));
  }
  const { minMs, maxMs } = latencyMs;
  return minMs + (maxMs - minMs) * fractionOf(one < other ? `${one} ${other}` : `${other} ${one}`);
}

/** Slots of each role stand in the regions in turn, so that every region has some of both. */
export function regionOf(regions: readonly AwsRegion[], node: FaultNode): AwsRegion {
  const ordinal = node === controlApiNode ? 1 : Number(node.slice(node.indexOf('-') + 1));
  return regions[(ordinal - 1) % regions.length]!;
}

/** What the slot's link carries. */
export function linkOf({ links = {} }: NetworkSpec, role: Role, slot: SlotName): LinkConditions | undefined {
  return links.bySlot?.[slot] ?? links.byRole?.[role] ?? links.default;
}

/** Evenly spread over [0, 1), and the same for the same text everywhere: FNV-1a, mixed as mulberry32 does. */
function fractionOf(text: string): number {
  let mixed = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193);
  }
  mixed = Math.imul(mixed ^ (mixed >>> 15), 1 | mixed);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
