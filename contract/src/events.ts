/** The journal's events: what happened to a cluster, in one order. */
import * as z from 'zod';
import { ClusterName, Generation, SlotName } from './identity.ts';

/** Kinds the control API itself writes; a node's own events (ring, downloads) come under the kinds it chose. */
export const eventKinds = [
  'cluster-created',
  'cluster-deleting',
  'cluster-deleted',
  'node-added',
  'node-removed',
  'ring-changed',
  'node-launched',
  'node-launch-failed',
  'node-joined',
  'node-serving',
  'node-dead',
  'node-stopped',
  'spare-assigned',
  'spare-given-up',
  'lease-granted',
  'lease-refused',
  'redeployment-accepted',
  'redeployment-refused',
  'generation-gone',
  'redeployment-complete',
  'redeployment-cancelled',
  'torrent-added',
  'torrent-removed',
  'fault-injected',
  'fault-over',
  'tests-started',
  'tests-done',
] as const;

export const ClusterEvent = z
  .object({
    /** Grows by one in a journal; the `id` of its server-sent event. */
    sequence: z.int().min(1),
    cluster: ClusterName,
    /** When it was written, by the control API's wall clock. */
    atMs: z.number(),
    /** When it happened, by the same clock, where that is known to be earlier: a node reports late. */
    happenedAtMs: z.number().optional(),
    kind: z.string(),
    slot: SlotName.optional(),
    generation: Generation.optional(),
    lamport: z.int().min(0),
    data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  })
  .meta({ id: 'ClusterEvent' });
export type ClusterEvent = z.infer<typeof ClusterEvent>;
