/**
 * The bundle: the directory that a run leaves, `NAME-SEED-RUNNER/`. Two runs of the simulator with one scenario
 * and one seed leave the same bytes: nothing in it tells the real time that a simulation took.
 */
import * as z from 'zod';
import { Generation, InfoHash, SlotName } from './identity.ts';
import { RunnerName } from './scenario.ts';

/** What lies in a bundle's directory. */
export const bundleFiles = {
  /** The scenario, byte for byte as it was given. */
  scenario: 'scenario.yaml',
  /** One RunRecord. */
  run: 'run.json',
  /** A RunEvent a line, in the order of their times. */
  events: 'events.ndjson',
  /** A RunSample a line, in the order of their times. */
  samples: 'samples.ndjson',
} as const;

export const bundleFormat = 1;

/** Milliseconds since the cluster served, by the clock of the runner; negative before that. */
const RunTimeMs = z.number();
const Facts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** Something that happened: in the cluster, as its journal has it, or to it, as the run did it. */
export const RunEvent = z
  .strictObject({
    atMs: RunTimeMs,
    source: z.enum(['cluster', 'run']),
    kind: z.string(),
    slot: SlotName.optional(),
    generation: Generation.optional(),
    data: Facts,
  })
  .meta({ id: 'RunEvent' });
export type RunEvent = z.infer<typeof RunEvent>;

/** One node at one moment, as the control API shows it. */
export const RunSample = z
  .strictObject({
    atMs: RunTimeMs,
    slot: SlotName,
    generation: Generation,
    state: z.string(),
    ringRole: z.string().optional(),
    term: z.int().optional(),
    dhtNodes: z.int().optional(),
    torrents: z.array(
      z.strictObject({
        infoHash: InfoHash,
        state: z.string(),
        haveBytes: z.number(),
        downloadRate: z.number(),
        uploadRate: z.number(),
        downloadedBytes: z.number(),
        uploadedBytes: z.number(),
        wastedBytes: z.number(),
        peers: z.int(),
      }),
    ),
  })
  .meta({ id: 'RunSample' });
export type RunSample = z.infer<typeof RunSample>;

/** How one content spread. Times are from its start to the last verified piece, in ms. */
export const DownloadSummary = z.strictObject({
  content: z.string(),
  infoHash: InfoHash,
  lengthBytes: z.number(),
  leeches: z.int(),
  complete: z.int(),
  medianMs: z.number().optional(),
  p95Ms: z.number().optional(),
  lastMs: z.number().optional(),
  /** No swarm of such links does it faster; missing where links have no limits. */
  boundMs: z.number().optional(),
  /** Those that were there from the start, by the time they took; others from the moment they came. */
  finished: z.array(z.strictObject({ slot: SlotName, generation: Generation, tookMs: z.number() })),
});
export type DownloadSummary = z.infer<typeof DownloadSummary>;

export const ExpectationOutcome = z.strictObject({
  expectation: z.enum(['downloads', 'healed', 'lastFinisher', 'invariants']),
  /** `not-judged`: this runner cannot see it. */
  outcome: z.enum(['passed', 'failed', 'not-judged']),
  /** What was measured, in a sentence. */
  detail: z.string(),
});
export type ExpectationOutcome = z.infer<typeof ExpectationOutcome>;

/** `failed`: the subject broke an expectation. `broken`: the platform could not run it, so nothing is known. */
export const Verdict = z.enum(['passed', 'failed', 'broken']);
export type Verdict = z.infer<typeof Verdict>;

export const RunRecord = z
  .strictObject({
    format: z.literal(bundleFormat),
    scenario: z.string(),
    seed: z.string(),
    runner: RunnerName,
    versions: z.strictObject({ skep: z.string() }),
    verdict: Verdict,
    /** Why it is broken. */
    problem: z.string().optional(),
    expectations: z.array(ExpectationOutcome),
    /** From the cluster's being asked for to its serving. */
    startupMs: z.number().optional(),
    /** From its serving to the end of the run. */
    durationMs: z.number().optional(),
    downloads: z.array(DownloadSummary),
    healing: z
      .strictObject({
        faults: z.int(),
        lastFaultEndedMs: RunTimeMs,
        /** From there to a whole cluster; missing if it did not come to that. */
        healedAfterMs: z.number().optional(),
        redeployments: z.int(),
      })
      .optional(),
    /** Rules of the design that were broken; of the simulator only. */
    violations: z.array(z.strictObject({ invariant: z.string(), atMs: z.number(), detail: z.string() })),
    /** Over all that crossed the simulated network: equal for runs that took one course. */
    traceHash: z.string().optional(),
  })
  .meta({ id: 'RunRecord' });
export type RunRecord = z.infer<typeof RunRecord>;

/** The name of a run's directory. */
export function bundleName(run: { scenario: string; seed: string; runner: RunnerName }): string {
  return `${run.scenario}-${run.seed}-${run.runner}`;
}
