/** A node's own tests of what it stands in: what `run-tests` has every node do, and what comes back. */
import * as z from 'zod';
import { Generation, SlotName } from './identity.ts';

export const SelfTestId = z.string().regex(/^[0-9a-f]{16}$/);

/** One check of one node. `skipped` says in `detail` why it has nothing to check. */
export const SelfTestCheck = z.object({
  name: z.enum(['ring', 'dht', 'transfer', 'disk', 'clock']),
  outcome: z.enum(['passed', 'failed', 'skipped']),
  /** What was measured, or what failed, in a sentence. */
  detail: z.string().max(400),
  tookMs: z.number().min(0),
});
export type SelfTestCheck = z.infer<typeof SelfTestCheck>;

/** `missing`: the node did not report in time. */
export const SelfTestResult = z
  .object({
    slot: SlotName,
    generation: Generation,
    outcome: z.enum(['passed', 'failed', 'missing']),
    checks: z.array(SelfTestCheck).max(16),
  })
  .meta({ id: 'SelfTestResult' });
export type SelfTestResult = z.infer<typeof SelfTestResult>;
