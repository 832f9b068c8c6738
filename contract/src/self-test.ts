/** A node's own tests of what it stands in: what a test run has every serving node do, and what comes back. */
import * as z from 'zod';
import { Generation, SlotName } from './identity.ts';

/** Names a test run. */
export const SelfTestId = z.string().regex(/^[0-9a-f]{16}$/);

/** One check of one node. `skipped` says in `detail` why it has nothing to check. */
export const SelfTestCheck = z
  .object({
    name: z.enum(['ring', 'dht', 'transfer', 'disk', 'clock']),
    outcome: z.enum(['passed', 'failed', 'skipped']),
    /** What was measured, or what failed, in a sentence. */
    detail: z.string().max(400),
    tookMs: z.number().min(0),
  })
  .meta({ id: 'SelfTestCheck' });
export type SelfTestCheck = z.infer<typeof SelfTestCheck>;

const Checks = z.array(SelfTestCheck).max(16);

/** What a node tells of a test run that it has done its part of. */
export const SelfTestReport = z.strictObject({ id: SelfTestId, checks: Checks });
export type SelfTestReport = z.infer<typeof SelfTestReport>;

/** `missing`: the node did not report in time. */
export const SelfTestResult = z
  .object({
    slot: SlotName,
    generation: Generation,
    outcome: z.enum(['passed', 'failed', 'missing']),
    checks: Checks,
  })
  .meta({ id: 'SelfTestResult' });
export type SelfTestResult = z.infer<typeof SelfTestResult>;

/** The tests of all nodes that served when they were asked for. */
export const SelfTestRun = z
  .object({
    id: SelfTestId,
    state: z.enum(['running', 'done']),
    startedAtMs: z.number(),
    /** Who has not reported by then is missing. */
    untilMs: z.number(),
    /** How many nodes are tested. */
    nodes: z.int().min(0),
    /** By role and ordinal; of a run that is done, one for every node. */
    results: z.array(SelfTestResult),
  })
  .meta({ id: 'SelfTestRun', description: 'One run of the self-tests of a cluster.' });
export type SelfTestRun = z.infer<typeof SelfTestRun>;

/** Whether a run is done, with every node having passed. */
export function hasPassed({ state, results }: SelfTestRun): boolean {
  return state === 'done' && results.every(({ outcome }) => outcome === 'passed');
}
