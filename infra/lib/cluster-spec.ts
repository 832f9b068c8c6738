/**
 * The spec of a cluster as far as a deployment must know it: the file that `skep up` and `skep cost` read too. Whatever is
 * not needed here is known by name alone, so that a misspelt field is told before anything is deployed; its value is
 * judged by the control API. A test holds the names to the contract's.
 */
import * as z from 'zod';

/** `-c bootstrap=5` is text. */
const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
const judgedLater = z.unknown().optional();

export const ClusterSpec = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z][a-z0-9-]{0,38}[a-z0-9]$/,
      'lower-case letters, digits and dashes, 2 to 40, starting with a letter',
    )
    .optional(),
  bootstrap: count(1, 100).optional(),
  index: count(0, 100).optional(),
  peers: count(0, 10_000).optional(),
  spares: z.literal(0, 'machines on AWS cannot be given another slot: leave spares out').optional(),
  placement: z
    .strictObject({
      instanceTypes: z.array(z.string().min(1)).min(1).max(8).optional(),
      zones: z.array(z.string().min(1)).min(1).max(8).optional(),
    })
    .optional(),
  heal: judgedLater,
  graceMs: judgedLater,
  leaseMs: judgedLater,
  watchdogMs: judgedLater,
  reportIntervalMs: judgedLater,
  orphanMs: judgedLater,
  redeploymentsPerSlot: judgedLater,
  redeploymentsPerCluster: judgedLater,
  uploadBytesPerSecond: judgedLater,
  downloadBytesPerSecond: judgedLater,
  network: judgedLater,
  ephemeral: judgedLater,
});
export type ClusterSpec = z.infer<typeof ClusterSpec>;
